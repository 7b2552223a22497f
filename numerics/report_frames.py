"""What the slider of a report shows: Gram matrices, shares and texts at the recorded times, small enough to embed.

Cosines are rounded to 1/124 and sent as bytes, matrices above 96 contexts as means over blocks of neighbours, and of
long records the frames nearest to log-spaced times.
"""

import base64
from typing import Any

import numpy as np

from .crosscheck import Check
from .gram_plots import SIMILARITY, block_borders, block_means, centred_cosine, sorted_contexts
from .plots import log_spaced
from .trajectory import Trajectory

MOST_FRAMES = 60
MOST_CELLS = 96
MOST_LINES = 40
STEPS = 124  # of a cosine from 0 to 1


def frames_of(check: Check, axes: dict[str, Any]) -> dict[str, Any]:
    """Plain data for the page's script.

    Parameters
    ----------
    check : of `crosscheck`
    axes : the figures' axes over time, laid out; the cursor runs through them

    Returns
    -------
    dict with, for T frames and m contexts in at most 96 cells a side,
        captions, steps (T,) : the frame in words, and the step it is of
        at : the frame to start with, nearest to the observed window's peak
        side, lines : cells a side; borders of blocks as [place from 0 to 1, width]
        colours : 249 colours of cosines -1 to 1
        grams : base64 of bytes (2, T, side, side), 124 (1 + cosine), forecast before observed
        forecast, observed (T, strata without the mean) : shares of H
        cursors : for each of the axes the places `at` (T,) from 0 to 1 across its figure, and its `top` and `bottom`
    """
    run, held = check.run, check.trajectories[check.designated]
    times = frame_times(run.time)
    at = np.searchsorted(run.time, times)
    order, names = sorted_contexts(run.attributes)
    side = min(len(order), MOST_CELLS)
    steps, loss = run.data["step"].values[at], run.data["loss"].values[at]
    window = check.windows["observed"]
    return {
        "captions": [f"step {step} of {run.data['step'].values[-1]}, loss {value:.3g}"
                     for step, value in zip(steps.tolist(), loss, strict=True)],
        "steps": steps.tolist(),
        "at": int(np.argmin(np.abs(times - window.peak))) if window else 0,
        "side": side,
        "lines": _lines(block_borders(run.attributes, names), len(order)),
        "colours": [[round(255 * part) for part in SIMILARITY(k / (2 * STEPS))[:3]] for k in range(2 * STEPS + 1)],
        "grams": base64.b64encode(_bytes(held, times, side) + _bytes(run, times, side)).decode(),
        "forecast": held.shares()[at].round(4).tolist(),
        "observed": run.shares()[at].round(4).tolist(),
        "cursors": {name: _cursor(ax, times) for name, ax in axes.items()},
    }  # fmt: skip


def frame_times(recorded: np.ndarray) -> np.ndarray:
    """The recorded times, or of more than sixty the first and those nearest to log-spaced ones; each once, in order."""
    if len(recorded) <= MOST_FRAMES:
        return recorded
    return np.unique(np.concatenate([recorded[:1], log_spaced(recorded, MOST_FRAMES - 1)]))


def _bytes(trajectory: Trajectory, times: np.ndarray, side: int) -> bytes:
    small = [block_means(centred_cosine(trajectory.gram(time)), side) for time in times]
    return np.clip(np.round(STEPS * (1 + np.stack(small))), 0, 2 * STEPS).astype(np.uint8).tobytes()


def _lines(borders: list[np.ndarray], m: int) -> list[list[float]]:
    found: list[list[float]] = []
    for depth, places in enumerate(borders):
        if len(places) > MOST_LINES:
            break
        found += [[round(float(at) / m, 6), 2 if depth == 0 else 1] for at in places]
    return found


def _cursor(ax: Any, times: np.ndarray) -> dict[str, Any]:
    """How far across its figure each time lies, and how far from the top and the bottom the axes end."""
    across = ax.transData.transform(np.stack([times, np.full(len(times), ax.get_ylim()[1])], axis=1))[:, 0]
    box = ax.get_position()
    return {
        "at": (across / ax.figure.bbox.width).round(5).tolist(),
        "top": round(1 - box.y1, 5),
        "bottom": round(box.y0, 5),
    }
