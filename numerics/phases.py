"""Phase diagrams: a simulated field from a sweep, the borders that the theory draws through it, and how far they part.

    emergence     kernel ratio x start    squared error                    seen before everything saturates, or never
    persistence   kernel ratio x start    cross-entropy without ridge      what is lost, in part or for good
    survival      ridge x time            cross-entropy with ridge         when structure comes and goes
    capacity      width x kernel ratio    squared error, random start      what a bottleneck keeps

Every field is classified by what the runs did, never by the theory; `predicted` has the theory's classes for the same
cells.  The kernel ratio is that of sqrt(kW kH) on main effects and on the rest, with kW = kH.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp
import xarray as xr

from ..theory.attributes import Attributes
from ..theory.crossover import dimensions
from ..theory.errors import InputError
from ..theory.model import UFM
from ..theory.persistence import staircase
from ..theory.phases import bottleneck_index, bottleneck_width, log_semantic_start, survival
from .options import one_of, whole
from .sweep import sweep

NEVER, TRANSIENT, PARTLY, PERMANENT = range(4)
NAMES = ("never semantic", "transient", "partly collapsed", "permanent")
SEEN = 0.5  # the index from which structure counts as seen, half way from the collapsed geometry to attributes alone
LOST, KEPT = 0.1, 0.9  # indices below and above which the end counts as collapsed, and as attributes alone
LATE = (1e48, 1e60)  # times between which strata gain or lose on the main effects; limits come at log-log speed
SMALL_START = 1e-3  # of `survival`, and the deviation of entries of `capacity`


@dataclass(frozen=True)
class Axis:
    """An axis of a diagram: what it says, and its values in increasing order."""

    label: str
    values: np.ndarray
    log: bool = True


@dataclass(frozen=True)
class Line:
    """A border of the theory: points in the diagram's coordinates; dashed where it is no border of the limit."""

    label: str
    x: np.ndarray
    y: np.ndarray
    dashed: bool = False


@dataclass(frozen=True)
class Diagram:
    """A simulated field of phases with the theory's borders.

    Attributes
    ----------
    name, title, formula : str
    names : of the phases, by number
    x, y : Axis
    phase, predicted : int arrays (y, x)
    unseen : bool array (y, x), where the index never came to 1/2
    lines : the theory's borders
    numbers : disagreement of field and borders in numbers
    """

    name: str
    title: str
    formula: str
    names: tuple[str, ...]
    x: Axis
    y: Axis
    phase: np.ndarray
    predicted: np.ndarray
    unseen: np.ndarray
    lines: tuple[Line, ...]
    numbers: dict[str, float] = field(default_factory=dict)

    def disagreement(self) -> dict[str, float]:
        """`cells`: share of cells in another phase than predicted; `beyond`: of those with no predicted border beside
        them, which the grid's spacing cannot explain; and the diagram's own numbers."""
        differ = self.phase != self.predicted
        return {
            "cells": float(differ.mean()),
            "beyond": float((differ & ~_beside(self.predicted)).mean()),
        } | self.numbers

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        shares = {name: float((self.phase == code).mean()) for code, name in enumerate(self.names)}
        return {"diagram": self.name, "formula": self.formula, "points": list(self.phase.shape), "phases": shares,
                "disagreement": self.disagreement()}  # fmt: skip


def _beside(predicted: np.ndarray) -> np.ndarray:
    """Cells that have a neighbour of another predicted phase."""
    padded = np.pad(predicted, 1, mode="edge")
    rows, columns = predicted.shape
    shifts = [(1 + i, 1 + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return np.any([padded[i : i + rows, j : j + columns] != predicted for i, j in shifts], axis=0)


@dataclass(frozen=True)
class Recipe:
    """How a diagram is made: its usual formula and grid, the sweep's configuration, and what is read off the result."""

    formula: str
    points: int
    config: Callable[[Attributes, int], dict[str, Any]]
    read: Callable[[Attributes, xr.Dataset], Diagram]


def phase_diagram(
    name: str, out: Any = None, formula: str | None = None, points: int | None = None, **options: Any
) -> Diagram:
    """Simulate a phase diagram and hold the theory's borders to it.

    Parameters
    ----------
    name : "emergence", "persistence", "survival" or "capacity"
    out : path, optional
        Of the sweep's store, which is resumed or read again when the same diagram is asked for.
    formula : str, optional
        Crossed attributes; `survival` needs two of one size.
    points : int, optional
        Of each axis (`capacity`: of the kernel ratio; its widths are whole numbers).
    **options
        Of `sweep`: scheduler, workers, memory, space, hours, progress, announce.

    Returns
    -------
    Diagram

    Raises
    ------
    InputError
        For unknown diagrams, formulas that are not crossed, and bad options.

    Examples
    --------
    >>> found = phase_diagram("emergence", formula="a[2] * b[2]", points=6)
    >>> found.disagreement()["beyond"]
    0.0
    """
    recipe = RECIPES[one_of("name", name, tuple(RECIPES))]
    attributes = Attributes(recipe.formula if formula is None else formula)
    if not attributes.semantic_strata() or any(
        len(closure) > 1 for closure in map(attributes.closure, attributes.sizes)
    ):
        raise InputError(f"formula: {attributes} are no crossed attributes; give for example {recipe.formula!r}.")
    count = recipe.points if points is None else whole("points", points, 4, 400)
    return recipe.read(attributes, sweep(recipe.config(attributes, count), out, **options))


def _kernels(attributes: Attributes, ratio: Any = 1, mean: float = 1.0) -> dict[str, Any]:
    """The same kernel on both sides: `ratio` on main effects, 1 on the rest."""
    main = attributes.semantic_strata()
    found = {A: mean if A == "1" else ratio if A in main else 1.0 for A in attributes.names}
    return {"feature_kernel": found, "label_kernel": found}


def _ratio_key(attributes: Attributes) -> str:
    sides = ("feature_kernel", "label_kernel")
    return ",".join(f"{side}.{A}" for side in sides for A in attributes.semantic_strata())


def _range(low: float, high: float, count: int) -> dict[str, Any]:
    return {"from": low, "to": high, "count": count, "scale": "log"}


def _interpolated(values: np.ndarray, at: np.ndarray, level: float) -> float:
    """Where values fall (first to last) through a level, linearly between the last above it and the next; NaN if never."""
    above = np.flatnonzero(values >= level)
    if above.size == 0 or above[-1] == len(values) - 1:
        return np.nan
    i = above[-1]
    return float(np.interp(-level, -values[i : i + 2], at[i : i + 2]))


def _spread(name: str, measured: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Median and largest |measured - known| of what was measured."""
    gap = np.abs(measured - known)
    gap = gap[np.isfinite(gap)]
    if gap.size == 0:
        return {}
    return {f"{name}_median": float(np.median(gap)), f"{name}_largest": float(gap.max())}


# emergence


def _emergence_config(attributes: Attributes, points: int) -> dict[str, Any]:
    V = float(attributes.cardinality)
    grid = {_ratio_key(attributes): _range(1.05, 8.0, points), "init": _range(1e-4, 0.5, points)}
    model = {"attributes": str(attributes), "loss": "mse", **_kernels(attributes)}
    return {
        "model": model,
        "simulate": {"t": 40 * V, "rtol": 1e-6},
        "sweep": {"grid": grid},
    }  # the rest saturates by 10 V


def _emergence(attributes: Attributes, data: xr.Dataset) -> Diagram:
    ratios, starts = data[_ratio_key(attributes)].values, data["init"].values
    height = data["window_height"].transpose("init", ...).values.reshape(len(starts), len(ratios))
    height = np.nan_to_num(height)
    log_c = np.array([float(sp.N(log_semantic_start(r, attributes))) for r in ratios])
    border = np.exp(-0.5 * np.logaddexp(0, log_c))  # w(0) = h(0) = sqrt(z_0), z_0 = 1 / (1 + c)
    measured = [_interpolated(column, np.log(starts), SEEN) for column in height.T]
    return Diagram(
        "emergence", "squared error: seen before all saturates?", str(attributes), NAMES[:2],
        Axis("kernel ratio $\\kappa$ = main effects / rest", ratios), Axis("start $w(0) = h(0)$", starts),
        np.where(height >= SEEN, TRANSIENT, NEVER), np.where(starts[:, None] <= border, TRANSIENT, NEVER),
        height < SEEN, (Line("$1 + c = \\tau/z_0$ (exact)", ratios, border),),
        _spread("log_start", np.array(measured), np.log(border)),
    )  # fmt: skip


# persistence


def _persistence_config(attributes: Attributes, points: int) -> dict[str, Any]:
    order = len(attributes.sizes)
    grid = {_ratio_key(attributes): _range(1.05, 2.0 * order, points), "init": _range(1e-2, 3.0, points)}
    times = [0.0, *np.geomspace(1.0, LATE[1], 400).tolist()]
    model = {"attributes": str(attributes), **_kernels(attributes)}
    return {"model": model, "simulate": {"t": times, "rtol": 1e-6}, "sweep": {"grid": grid, "keep": list(LATE)}}


def _persistence(attributes: Attributes, data: xr.Dataset) -> Diagram:
    key = _ratio_key(attributes)
    ratios, starts = data[key].values, data["init"].values
    main, rest = _split(attributes)
    z: xr.DataArray = xr.ufuncs.log(data["trajectory_z"].transpose("time", "stratum", "init", key))
    gain = z.sel(stratum=rest).values - z.sel(stratum=main).mean("stratum").values[:, None]
    gain = gain[1] - gain[0]  # of each interaction on the main effects, between the two late times
    losing = (gain < 0).sum(axis=0)
    # At smaller ratios main effects are lost.
    phases = [p for p in staircase(UFM(attributes)) if p.high is None or p.high > ratios[0]]
    borders = np.array([float(p.high) for p in phases if p.high is not None])
    lost = np.array([sum(p.direction[A] == 0 for A in rest) for p in phases])
    index = np.searchsorted(borders, ratios)
    phase = _of_losses(losing, len(rest))
    predicted = np.broadcast_to(_of_losses(lost[index], len(rest)), phase.shape)
    lines = [Line("limit: max-margin programme", np.full(2, b), starts[[0, -1]]) for b in borders]
    early = [float(j) for j in range(2, len(attributes.sizes) + 1) if min(abs(borders - j)) > 1e-9 and j < ratios[-1]]
    lines += [Line("while interactions are small", np.full(2, j), starts[[0, -1]], dashed=True) for j in early]
    # Each border as the field has it, from the largest start, whose interactions are never negligible.
    measured = [_crossing(gain[:, -1], lost[i], lost[i + 1], np.log(ratios)) for i in range(len(borders))]
    height = data["window_height"].transpose("init", key).values
    return Diagram(
        "persistence", "cross-entropy without ridge: what is kept as $t \\to \\infty$", str(attributes), NAMES,
        Axis("kernel ratio $\\kappa$ = main effects / rest", ratios), Axis("start $w(0) = h(0)$", starts),
        phase, predicted, ~(height >= SEEN), tuple(lines),
        _spread("log_ratio", np.array(measured), np.log(borders)),
    )  # fmt: skip


def _split(attributes: Attributes) -> tuple[list[str], list[str]]:
    main = list(attributes.semantic_strata())
    return main, [A for A in attributes.names[1:] if A not in main]


def _of_losses(losing: np.ndarray, rest: int) -> np.ndarray:
    """The phase by how many of the interactions lose on the main effects."""
    return np.where(losing == 0, TRANSIENT, np.where(losing == rest, PERMANENT, PARTLY))


def _crossing(gain: np.ndarray, before: int, after: int, at: np.ndarray) -> float:
    """Where the interactions numbered before ... after, by their gain, start to lose: the last change of sign."""
    ordered = np.sort(gain, axis=0)  # (interactions, ratios): those that lose most first
    return _interpolated(ordered[before:after].mean(axis=0), at, 0.0)


# survival


def _survival_config(attributes: Attributes, points: int) -> dict[str, Any]:
    V = float(attributes.cardinality)
    ridges, times = (1e-5 / V, 0.3 / V), V * np.geomspace(0.05, 5e6, 8 * points)
    _survival_times(attributes, ridges)  # refuses structures that have no formula before anything runs
    model = {"attributes": str(attributes), **_kernels(attributes, 4.0)}
    return {
        "model": model, "simulate": {"t": [0.0, *times.tolist()], "init": SMALL_START, "rtol": 1e-6},
        "sweep": {"grid": {"ridge": _range(*ridges, points)}, "keep": times.tolist()},
    }  # fmt: skip


def _survival(attributes: Attributes, data: xr.Dataset) -> Diagram:
    ridges, times = data["ridge"].values, data["time"].values
    index = data["trajectory_semantic_index"].transpose("time", "ridge").values
    onset, end = _survival_times(attributes, ridges)
    before = np.logical_and.accumulate(index < SEEN, axis=0)
    phase = np.where(before, 0, np.where(index >= SEEN, 1, 2))
    predicted = np.where(times[:, None] < onset, 0, np.where(times[:, None] < end, 1, 2))
    rises = [-_interpolated(column[::-1], -np.log(times[::-1]), SEEN) for column in index.T]
    falls = [_interpolated(column, np.log(times), SEEN) for column in index.T]
    return Diagram(
        "survival", "cross-entropy with ridge: how long structure lives", str(attributes),
        ("not yet semantic", "semantic", "collapsed"),
        Axis("ridge $\\lambda_W = \\lambda_H$", ridges), Axis("time (learning rate × steps)", times),
        phase, predicted, np.zeros_like(phase, dtype=bool),
        (Line("onset: growth alone", ridges, onset), Line("end: ridge's release of the interaction", ridges, end)),
        _spread("log_onset", np.array(rises), np.log(onset)) | _spread("log_end", np.array(falls), np.log(end)),
    )  # fmt: skip


def _survival_times(attributes: Attributes, ridges: Iterable[float]) -> np.ndarray:
    """Onset and end by ridge, array (2, ridges)."""
    models = (UFM(attributes, ridge=ridge, **_kernels(attributes, 4.0)) for ridge in ridges)
    return np.array([survival(model, SMALL_START) for model in models]).T


# capacity


def _capacity_config(attributes: Attributes, points: int) -> dict[str, Any]:
    V = int(attributes.cardinality)
    times = [0.0, *np.geomspace(0.1, 40.0 * V, 200).tolist()]
    return {
        "model": {"attributes": str(attributes), "loss": "mse", **_kernels(attributes, mean=0.0)},
        "simulate": {"t": times, "full": True, "gaussian": SMALL_START, "rtol": 1e-4},
        "sweep": {"grid": {_ratio_key(attributes): _range(1.05, 4.0, points),
                           "width": {"from": 1, "to": V + 1, "count": V + 1}}},
    }  # fmt: skip


def _capacity(attributes: Attributes, data: xr.Dataset) -> Diagram:
    key = _ratio_key(attributes)
    ratios, widths = data[key].values, data["width"].values
    M, N = (float(x) for x in dimensions(attributes))
    capacity = widths / (M + N)
    final = data["final_semantic_index"].transpose(key, "width").values
    height = data["window_height"].transpose(key, "width").values
    kept = np.array([float(bottleneck_index(int(d), attributes)) for d in widths])
    seen = ratios[:, None] >= _ratio_seen(attributes, widths)
    borders = [float(bottleneck_width(level, attributes)) / (M + N) for level in ("9/10", "1/10")]
    phase, predicted = _of_end(height >= SEEN, final), _of_end(seen, np.broadcast_to(kept, final.shape))
    shown = ratios[-1] / 1.5
    return Diagram(
        "capacity", "squared error: what a bottleneck keeps", str(attributes), NAMES,
        Axis("capacity $d/(V - 1)$", capacity, log=False), Axis("kernel ratio $\\kappa$ = main effects / rest", ratios),
        phase, predicted, ~(height >= SEEN),
        (*(Line("kept index 0.9 and 0.1", np.full(2, b), ratios[[0, -1]]) for b in borders),
         Line("emergence before saturation", capacity, _ratio_seen(attributes, widths))),
        _spread("index", final[ratios > shown].ravel(), np.broadcast_to(kept, final[ratios > shown].shape).ravel()),
    )  # fmt: skip


def _of_end(seen: np.ndarray, final: np.ndarray) -> np.ndarray:
    end = np.where(final < LOST, TRANSIENT, np.where(final < KEPT, PARTLY, PERMANENT))
    return np.where(seen, end, NEVER)


def _ratio_seen(attributes: Attributes, widths: np.ndarray) -> np.ndarray:
    """The kernel ratio from which a random start is small enough: of the order of what its growing part has.

    Entries of deviation s leave (W + H^T)/2 a Gram matrix with eigenvalues up to s^2 (sqrt(V) + sqrt(d))^2 / 2.
    """
    largest = (SMALL_START * (np.sqrt(float(attributes.cardinality)) + np.sqrt(widths))) ** 2 / 2
    grid = np.geomspace(1.001, 64.0, 400)
    log_c = np.array([float(sp.N(log_semantic_start(r, attributes))) for r in grid])
    return np.exp(np.interp(np.log(largest), -log_c, np.log(grid)))


RECIPES: Mapping[str, Recipe] = {
    "emergence": Recipe("a[4] * b[4]", 24, _emergence_config, _emergence),
    "persistence": Recipe("a[3] * b[3] * c[3]", 20, _persistence_config, _persistence),
    "survival": Recipe("a[4] * b[4]", 32, _survival_config, _survival),
    "capacity": Recipe("a[4] * b[4]", 10, _capacity_config, _capacity),
}
