"""The figure of a phase diagram: simulated phases in greys, the theory's borders as lines, cells where the two part.

Greys are far enough apart for print; what is never seen is hatched, so that no phase rests on its shade alone.
"""

from typing import Any

import matplotlib.colors
import numpy as np

from .phases import Axis, Diagram
from .plots import house_style

GREYS = {2: ("1.0", "0.72"), 3: ("1.0", "0.6", "0.82"), 4: ("1.0", "0.85", "0.66", "0.42")}
LINES = ("-", "-.", ":")
ROOM = 6  # cells that a phase needs, at the least, for its name


def phase_figure(found: Diagram) -> tuple[Any, Any]:
    """The field of a diagram with the borders through it.

    Returns
    -------
    fig, ax
    """
    import matplotlib.pyplot as plt

    with house_style():
        fig, ax = plt.subplots(figsize=(5.4, 4.1))
        x, y = found.x.values, found.y.values
        shades = matplotlib.colors.ListedColormap(GREYS[len(found.names)])
        ax.pcolormesh(*map(_edges, (found.x, found.y)), found.phase, cmap=shades, vmin=-0.5, vmax=len(found.names) - 0.5,
                      rasterized=True)  # fmt: skip
        if found.unseen.any():
            ax.pcolor(*map(_edges, (found.x, found.y)), np.ma.masked_where(~found.unseen, found.phase), hatch="////",
                      facecolor="none", edgecolor="0.5", lw=0)  # fmt: skip
        seen_labels: dict[str, str] = {}
        for line in found.lines:
            style = "--" if line.dashed else seen_labels.setdefault(line.label, LINES[len(seen_labels) % len(LINES)])
            known = ax.get_legend_handles_labels()[1]
            ax.plot(line.x, line.y, style, color="black", lw=2, label=None if line.label in known else line.label)
        differ = np.argwhere(found.phase != found.predicted)
        if differ.size:
            ax.plot(x[differ[:, 1]], y[differ[:, 0]], "x", color="black", ms=4, mew=1, ls="none",
                    label="simulated phase differs")  # fmt: skip
        ax.set(xlabel=found.x.label, ylabel=found.y.label, title=found.title,
               xscale="log" if found.x.log else "linear", yscale="log" if found.y.log else "linear",
               xlim=_edges(found.x)[[0, -1]], ylim=_edges(found.y)[[0, -1]])  # fmt: skip
        for side, axis in ((ax.xaxis, found.x), (ax.yaxis, found.y)):
            if axis.log and axis.values[-1] < 20 * axis.values[0]:
                side.set_major_formatter("{x:g}")
                side.set_minor_formatter("{x:g}")
        _name_phases(ax, found)
        fig.legend(loc="outside lower center", ncols=2, handlelength=3)
        return fig, ax


def _edges(axis: Axis) -> np.ndarray:
    """Borders of the cells around the axis's values."""
    at = np.log(axis.values) if axis.log else axis.values
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.exp(edges) if axis.log else edges


def _name_phases(ax: Any, found: Diagram) -> None:
    """Each phase's name at its cell that lies deepest inside it."""
    for code, name in enumerate(found.names):
        inside = found.phase == code
        if inside.sum() >= ROOM:
            row, column = _deepest(inside)
            ax.text(found.x.values[column], found.y.values[row], name.replace(" ", "\n"), ha="center", va="center",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, fontsize=8)  # fmt: skip


def _deepest(inside: np.ndarray) -> tuple[int, int]:
    """The cell farthest from all cells of other phases and from the edge."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row), int(column)
