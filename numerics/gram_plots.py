"""Gram matrices as heat-maps: contexts sorted by attribute, lines between blocks, one fixed symmetric scale.

The colour map falls in lightness from -1 to 1, so that greyscale print keeps the sign that a red-and-blue map loses;
yellow against blue is told apart with every colour vision.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from ..theory.attributes import Attributes
from ..theory.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .trajectory import Trajectory

SIMILARITY = LinearSegmentedColormap.from_list("similarity", ["#fff68f", "#ebe3a6", "#c4c7cb", "#5577ad", "#0b1f4a"])
MOST_CELLS = 256  # cells a side that a panel can show
MOST_CONTEXTS = 4096  # beyond, one Gram matrix takes over 128 MiB
MOST_LINES = 40  # thin lines a side before they hide the cells


def gram_figure(
    rows: "Mapping[str, Trajectory]", times: np.ndarray, by: str | Sequence[str] | None = None
) -> tuple[Any, Any]:
    """Centred cosine Gram matrices, one row a trajectory and one column a time.

    Parameters
    ----------
    rows : trajectories by name, of the same structure
    times : array (columns,)
    by : attributes to sort by, outermost first; the formula's order if None

    Returns
    -------
    fig, axes (rows, columns)

    Raises
    ------
    InputError
        For unknown attributes, and for more contexts than a figure can show.
    """
    import matplotlib.pyplot as plt

    attributes = next(iter(rows.values())).attributes
    order, names = sorted_contexts(attributes, by)
    cells = min(len(order), MOST_CELLS)
    fig, axes = plt.subplots(
        len(rows), len(times), figsize=(1.7 * len(times) + 0.7, 1.6 * len(rows) + 0.6), squeeze=False
    )
    for (name, trajectory), line in zip(rows.items(), axes, strict=True):
        for ax, time in zip(line, times, strict=True):
            values = block_means(centred_cosine(trajectory.gram(time))[np.ix_(order, order)], cells)
            image = ax.imshow(values, vmin=-1, vmax=1, cmap=SIMILARITY, interpolation="nearest")
            draw_block_lines(ax, attributes, names, cells)
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(name)
    for ax, time in zip(axes[0], times, strict=True):
        ax.set_title(time_title(time), fontsize=9)
    axes[-1, 0].set_xlabel(f"sorted by {', '.join(names)}", fontsize=8, loc="left")
    bar = fig.colorbar(image, ax=axes, shrink=0.8, pad=0.01, ticks=[-1, 0, 1])
    bar.set_label("centred cosine")
    return fig, axes


def time_title(time: float) -> str:
    """A time for a title, to three digits.

    Examples
    --------
    >>> time_title(1234.5), time_title(1.2e7)
    ('t = 1230', 't = 1.2e+07')
    """
    return f"t = {float(f'{time:.3g}'):g}"


def centred_cosine(gram: np.ndarray) -> np.ndarray:
    """Cosines between the rows of H less their mean, from the Gram matrix (m, m); 0 for a row that is the mean."""
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1, keepdims=True) + gram.mean()
    norms = np.sqrt(np.clip(np.diag(centred), 0.0, None))
    scale = np.outer(norms, norms)
    return np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 1e-300)


def sorted_contexts(attributes: Attributes, by: str | Sequence[str] | None = None) -> tuple[np.ndarray, list[str]]:
    """Contexts sorted by attributes, the first varying slowest, and the attributes in that order.

    An attribute brings those it is nested in before it: species of different genera are no blocks.

    Returns
    -------
    order : array (m,), places in the formula's order
    names : all attributes, outermost first

    Raises
    ------
    InputError
        For unknown attributes, and for more contexts than a figure can show.

    Examples
    --------
    >>> order, names = sorted_contexts(Attributes("color[2] * shape[3]"), "shape")
    >>> order.tolist(), names
    ([0, 3, 1, 4, 2, 5], ['shape', 'color'])
    """
    factors = [factor.name for factor in attributes.factors]
    wanted = [by] if isinstance(by, str) else list(by or ())
    unknown = [name for name in wanted if name not in factors]
    if unknown:
        raise InputError(f"by: {unknown[0]!r} is no attribute of {attributes}; choose among {', '.join(factors)}.")
    m = int(attributes.cardinality)
    if m > MOST_CONTEXTS:
        raise InputError(f"gram: {attributes} has {m} contexts; a Gram matrix is drawn for at most {MOST_CONTEXTS}.")
    above = attributes.ancestors
    chain = [part for name in wanted for part in (*(f for f in factors if f in above[name]), name)]
    names = list(dict.fromkeys(chain + factors))
    grid = np.arange(m).reshape(attributes.shape)
    return grid.transpose([factors.index(name) for name in names]).ravel(), names


def block_means(matrix: np.ndarray, cells: int) -> np.ndarray:
    """Means over blocks of neighbours, (cells, cells) from (m, m); the matrix itself where it is no larger."""
    m = len(matrix)
    if m <= cells:
        return matrix
    edges = np.round(np.linspace(0, m, cells + 1)).astype(int)
    sums = np.add.reduceat(np.add.reduceat(matrix, edges[:-1], axis=0), edges[:-1], axis=1)
    return sums / np.outer(np.diff(edges), np.diff(edges))


def block_borders(attributes: Attributes, names: Sequence[str]) -> list[np.ndarray]:
    """Places between contexts where a block ends, for each attribute but the last, outermost first.

    An attribute's blocks are those that it and the attributes before it make; borders that an earlier one has are
    left out.
    """
    m = int(attributes.cardinality)
    found: list[np.ndarray] = []
    blocks = 1
    for name in names[:-1] if len(names) > 1 else names:
        blocks *= int(attributes.sizes[name])
        places = np.arange(1, blocks) * (m // blocks)
        found.append(np.setdiff1d(places, np.concatenate(found)) if found else places)
    return found


def draw_block_lines(ax: "Axes", attributes: Attributes, names: Sequence[str], cells: int) -> None:
    """Lines between the values of the first attribute, thin ones within them as far as they leave room."""
    scale = cells / int(attributes.cardinality)
    for depth, places in enumerate(block_borders(attributes, names)):
        if len(places) > MOST_LINES:
            break
        for at in places * scale - 0.5:
            ax.axhline(at, color="k", lw=0.7 if depth == 0 else 0.25)
            ax.axvline(at, color="k", lw=0.7 if depth == 0 else 0.25)
