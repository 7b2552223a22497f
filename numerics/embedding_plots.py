"""The contexts' representations as points of a plane, at log-spaced times.

Colour is the value of the first attribute, the marker that of the second.  Thin lines join each context to the mean of
its first attribute's value, where the value's number stands, so that greyscale print shows the clusters, too.  `configurations` says where points lie.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patheffects import withStroke

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .configurations import frames
from .gram_plots import centred_cosine, time_title
from .plots import MARKERS, house_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .trajectory import Trajectory

MOST_CONTEXTS = 1024  # beyond, points hide each other and a frame takes seconds
COLOURS = 7  # in the style's cycle; more values are shades of one map


def embedding_figure(rows: "dict[str, Trajectory]", times: np.ndarray, method: str = "mds") -> tuple[Any, Any]:
    """Points of the plane at some times, one row a trajectory.

    Parameters
    ----------
    rows : trajectories by name, of the same structure; the later ones are turned onto the first
    times : array (columns,), recorded ones of the first trajectory
    method : "mds" or "pca", see `configurations.frames`

    Returns
    -------
    fig, axes (rows, columns)
    """
    import matplotlib.pyplot as plt

    points = embedding_points(rows, times, method)
    attributes = next(iter(rows.values())).attributes
    fig, axes = plt.subplots(
        len(rows), len(times), figsize=(1.7 * len(times) + 1.0, 1.65 * len(rows) + 0.4), squeeze=False,
        sharex=True, sharey=True,
    )  # fmt: skip
    for name, line, found in zip(rows, axes, points, strict=True):
        for ax, at in zip(line, found, strict=True):
            Scatter(ax, attributes).move(at)
            equal_axes(ax, points)
        line[0].set_ylabel(name)
    for ax, time in zip(axes[0], times, strict=True):
        ax.set_title(time_title(time), fontsize=9)
    key_to_attributes(fig, attributes)
    return fig, axes


def embedding_points(rows: "dict[str, Trajectory]", times: np.ndarray, method: str) -> list[np.ndarray]:
    """For each trajectory the points (T, m, 2); all but the first are turned onto it."""
    attributes = next(iter(rows.values())).attributes
    m = int(np.prod(attributes.shape))
    if m > MOST_CONTEXTS:
        raise InputError(f"embedding: {attributes} has {m} contexts; points are drawn for at most {MOST_CONTEXTS}.")
    found: list[np.ndarray] = []
    for trajectory in rows.values():
        if trajectory.attributes != attributes:
            raise InputError(f"observed: it has {trajectory.attributes}, not {attributes}; give runs of one structure.")
        cosines = [centred_cosine(trajectory.gram(time)) for time in times]
        found.append(frames(cosines, method, guide=found[0] if found else None))
    return found


class Scatter:
    """The points of one panel, which move from frame to frame; contexts in the formula's order."""

    def __init__(self, ax: "Axes", attributes: Attributes):
        self.values = _values(attributes)
        size = max(2.0, min(5.5, 60.0 / np.sqrt(len(self.values))))
        colors, markers = _looks(attributes)
        self.numbers = [
            ax.text(0, 0, str(a + 1), color=color, fontsize=8, fontweight="bold", ha="center", va="center", zorder=3,
                    path_effects=[withStroke(linewidth=2.5, foreground="white")])
            for a, color in enumerate(colors) if len(colors) <= COLOURS
        ]  # fmt: skip
        self.spokes = [ax.plot([], [], "-", color=color, lw=0.5, alpha=0.5, zorder=1)[0] for color in colors]
        self.groups = [
            (self.values[:, 0] == a) & (self.values[:, 1] % len(MARKERS) == k)
            for a in range(len(colors))
            for k in range(len(markers))
        ]
        self.dots = [
            ax.plot([], [], marker, color=color, ms=size, mec="black", mew=0.4, ls="none", zorder=2)[0]
            for color in colors
            for marker in markers
        ]

    def move(self, points: np.ndarray) -> None:
        """Put the points (m, 2) in their places."""
        for dots, group in zip(self.dots, self.groups, strict=True):
            dots.set_data(*points[group].T)
        for a, spokes in enumerate(self.spokes):
            mine = points[self.values[:, 0] == a]
            centre = np.broadcast_to(mine.mean(axis=0), mine.shape)
            if self.numbers:
                self.numbers[a].set_position(centre[0])
            spokes.set_data(*np.stack([centre, mine, np.full(mine.shape, np.nan)], axis=1).reshape(-1, 2).T)


def _values(attributes: Attributes) -> np.ndarray:
    """The values (m, 2) of the first and the second attribute for each context; the second is 0 where there is none."""
    grid = np.indices(attributes.shape).reshape(len(attributes.shape), -1).T
    return grid[:, :2] if grid.shape[1] > 1 else np.hstack([grid, np.zeros_like(grid)])


def _looks(attributes: Attributes) -> tuple[list[Any], str]:
    """Colours of the first attribute's values, markers of the second's; markers recur from the eighth value on."""
    import matplotlib

    n = attributes.shape[0]
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.95, n))
    second = attributes.shape[1] if len(attributes.shape) > 1 else 1
    return [house_color(i) if n <= COLOURS else shades[i] for i in range(n)], MARKERS[: min(second, len(MARKERS))]


def equal_axes(ax: "Axes", points: list[np.ndarray]) -> None:
    """Equal axes without ticks, wide enough for every frame."""
    reach = 1.08 * max(float(np.abs(found).max()) for found in points)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    for side in ("left", "bottom"):
        ax.spines[side].set_color("0.8")


def key_to_attributes(fig: Any, attributes: Attributes) -> None:
    """What colours and markers stand for, where there are few enough to tell apart."""
    from matplotlib.lines import Line2D

    colors, markers = _looks(attributes)
    names = [factor.name for factor in attributes.factors]
    keys = []
    if len(colors) <= COLOURS:
        keys += [Line2D([], [], marker="o", color=color, mec="black", mew=0.4, ls="none", label=f"{names[0]} {i + 1}")
                 for i, color in enumerate(colors)]  # fmt: skip
    if len(names) > 1 and attributes.shape[1] <= len(MARKERS):
        keys += [Line2D([], [], marker=marker, color="0.6", mec="black", mew=0.4, ls="none",
                        label=f"{names[1]} {i + 1}") for i, marker in enumerate(markers)]  # fmt: skip
    if keys:
        fig.legend(handles=keys, loc="outside right center", fontsize=7, handletextpad=0.2)
