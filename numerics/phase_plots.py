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
RASTER = 240  # steps of the grid on which places for the names are compared


def phase_figure(found: Diagram) -> tuple[Any, Any]:
    """The field of a diagram with the borders through it.

    Parameters
    ----------
    found : of `ufmflow.numerics.phases.phase_diagram`

    Returns
    -------
    fig, ax

    Examples
    --------
    >>> from ufmflow.numerics.phases import phase_diagram
    >>> fig, ax = phase_figure(phase_diagram("emergence", formula="a[2] * b[2]", points=4))
    >>> ax.get_title()
    'squared error: seen before all saturates?'
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
        fig.legend(loc="outside lower center", ncols=2, handlelength=3)
        _name_phases(ax, found)
        return fig, ax


def _edges(axis: Axis) -> np.ndarray:
    """Borders of the cells around the axis's values."""
    at = np.log(axis.values) if axis.log else axis.values
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.exp(edges) if axis.log else edges


def _name_phases(ax: Any, found: Diagram) -> None:
    """Each phase's name, in one line or stacked, where it covers least of other phases, borders and the edge."""
    ax.figure.draw_without_rendering()  # the layout has to be known before text can be measured
    field = _raster(found)
    taken = np.zeros(field.shape)
    for line in found.lines:
        x, y = (np.clip((ax.transAxes.inverted().transform(ax.transData.transform(np.stack([line.x, line.y], axis=1))))
                        .T * RASTER, 0, RASTER - 1))  # fmt: skip
        steps = np.linspace(0, len(x) - 1, 4 * RASTER)
        at = np.arange(len(x))
        taken[np.interp(steps, at, y).astype(int), np.interp(steps, at, x).astype(int)] = 1.0
    for code, name in enumerate(found.names):
        if (found.phase == code).sum() < ROOM:
            continue
        places = []
        for text in dict.fromkeys((name, name.replace(" ", "\n"))):
            label = ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=8, in_layout=False,
                            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip
            box = label.get_window_extent()
            cost, x, y = _best_place(field == code, taken, box.width / ax.bbox.width, box.height / ax.bbox.height)
            label.set_position((x, y))
            places.append((cost, label))
        kept = min(places, key=lambda place: place[0])[1]
        for _, label in places:
            if label is not kept:
                label.remove()


def _raster(found: Diagram) -> np.ndarray:
    """The phases on a fine grid over the axes, rows from the bottom."""
    at = (np.arange(RASTER) + 0.5) / RASTER
    index = []
    for axis in (found.y, found.x):
        edges = np.log(_edges(axis)) if axis.log else _edges(axis)
        index.append(np.searchsorted(edges[1:-1], edges[0] + at * (edges[-1] - edges[0])))
    return found.phase[np.ix_(*index)]


def _best_place(inside: np.ndarray, taken: np.ndarray, width: float, height: float) -> tuple[float, float, float]:
    """What a box of the given size covers of other phases and borders where it is best, and the centre of that place.

    Sizes and places are fractions of the axes.  Among places that cover equally little, the one deepest inside.
    """
    from scipy.ndimage import distance_transform_edt, uniform_filter

    rows, columns = int(np.ceil(height * RASTER)) + 2, int(np.ceil(width * RASTER)) + 2
    covered = uniform_filter(~inside + taken, size=(rows, columns), mode="constant", cval=1.0)
    depth = distance_transform_edt(np.pad(inside & (taken == 0), 1))[1:-1, 1:-1]
    best = covered.min()
    depth -= 1e-3 * np.abs(np.arange(RASTER) - RASTER / 2)  # along an even strip, the middle
    row, column = np.unravel_index(int(np.argmax(np.where(covered <= best + 1e-9, depth, -np.inf))), depth.shape)
    return float(best), (column + 0.5) / RASTER, (row + 0.5) / RASTER
