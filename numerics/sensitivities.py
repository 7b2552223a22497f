"""How the derived semantic window answers to each parameter: derivatives, not differences.

Along the flow the index I(t), the loss L(t) and their derivatives by the parameters are known from the variational
equations, of the modes (`ufmflow.numerics.variations`) or of a network's whole matrices from its random start
(`ufmflow.numerics.matrix_variations`).  The window's times are defined by equations, which are differentiated: peak and
borders as in `ufmflow.theory.window_slopes`, and for the stop, at which L is the goal's,

    dt_s/dp = -L_p / L_t,        dI(t_s)/dp = I_p + I_t dt_s/dp.

Where squared error has its window in closed form, derivatives are those of the closed form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import DOP853, LSODA
from scipy.interpolate import CubicSpline

from ..theory.attributes import Attributes
from ..theory.model import UFM
from ..theory.window_slopes import Point, border_slope, has_closed_form, peak_slope, window_slopes
from .advice_goal import Goal
from .integrate import Progress, integrate
from .matrix_variations import MatrixVariation
from .start import Start
from .variations import Variation

GRIDS = {LSODA: 1500, DOP853: 300}  # times between which the curves are cubic splines in ln t
FIRST = 1e-5  # of the last time, the first after 0
TOLERANCES = {LSODA: (1e-6, 1e-9), DOP853: (1e-4, 1e-6)}  # rtol, atol
SEEN = 0.01  # an index that never exceeds it makes no window


@dataclass(frozen=True)
class Sensitivities:
    """Derivatives of the semantic window.

    Attributes
    ----------
    values : dict
        `onset`, `peak`, `end`, `width` in time (learning rate x steps), `height`; with a goal's loss also `stop`, when
        the loss is first the goal's, and `index at stop`.  What does not occur by the last time is left out, and so is
        a border that is the first or the last time itself; `width` needs the end, and an onset or a window from 0 on.
    slopes : dict from quantity to dict from parameter to derivative
        Of the logarithm of times and widths, of an index itself; for the parameters see `variations.Variation` and
        `matrix_variations.MatrixVariation`.  The closed form has none by the ridge.
    method : "closed form", "modes" or "matrices"
    """

    values: dict[str, float]
    slopes: dict[str, dict[str, float]]
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"method": self.method, "values": self.values, "slopes": self.slopes}


def sensitivities(model: UFM, init: Any, t_end: float, goal: Goal | None = None) -> Sensitivities | None:
    """Derivatives of a model's window from a start on the strata; None where there is no window by `t_end`.

    Parameters
    ----------
    model : UFM with numbers
    init : as for `ufmflow.simulate`, reduced; for the closed form a number, or the pair (w(0), h(0)) of every stratum
    t_end : last time, learning rate x steps
    goal : of its attribute the index is, and of its loss the stop; all main effects and no stop if None

    Raises
    ------
    InputError
        For models with symbols, without shared attributes, or with more strata than a Jacobian is generated for.
    IntegrationError
        When the variations cannot be integrated.

    Examples
    --------
    >>> from ufmflow.theory.kernels import embedding_kernel
    >>> structure = Attributes("color[4] * shape[6]")
    >>> kernel = embedding_kernel(structure, {"color": 1, "shape": 1}, residual=1)
    >>> found = sensitivities(UFM(structure, feature_kernel=kernel), 0.01, 1e3)
    >>> round(found.slopes["onset"]["head rate"] + found.slopes["onset"]["body rate"], 3)  # time is rate x steps
    -1.0
    """
    wanted = goal or Goal("widest")
    wanted.check(model.attributes, model.labels)
    if has_closed_form(model) and wanted.loss is None and wanted.attribute is None and not isinstance(init, Mapping):
        found = window_slopes(model, init)
        return None if found is None else Sensitivities(found.values, found.slopes, "closed form")
    variation = Variation.of(model, init)
    times = _times(t_end, GRIDS[LSODA])
    path = integrate(LSODA, variation.rates, variation.start, times, *TOLERANCES[LSODA], variation.jacobian)
    index = Index.of_goal(wanted, model.attributes, model.labels)
    first = len(variation.modes.flow.w)
    rows = []
    for state in path.T:
        y, S = variation.split(state)
        loss, downhill = variation.loss(y)
        # The index does not see the common scale by which phi of a normalized model differs from h.
        I, I_p = index(y[first:] ** 2, 2 * (y[first:, None] * S[first:]).T)
        rows.append((I, I_p, loss, downhill @ S))
    return _read(variation.names, times, rows, wanted.loss, "modes")


def network_sensitivities(
    start: Start, t_end: float, goal: Goal | None = None, progress: Progress | None = None
) -> Sensitivities | None:
    """Derivatives of the window that a network's kernel at its start makes, by the flow of its whole matrices.

    The network's own random start, head included, is in it; its kernel is held still.  Arguments and results as for
    `sensitivities`, with `head scale` (the size of the head at its start) among the parameters.

    Raises
    ------
    InputError
        For a body with weight decay, and attributes that labels do not share.
    IntegrationError
        When the variations cannot be integrated.
    """
    wanted = goal or Goal("widest")
    wanted.check(start.attributes, start.labels)
    variation = MatrixVariation.of(start)
    times = _times(t_end, GRIDS[DOP853])
    path = integrate(DOP853, variation.rates, variation.initial, times, *TOLERANCES[DOP853], progress=progress)
    index = Index.of_goal(wanted, start.attributes, start.labels)
    rows = []
    for state in path.T:
        energies, moved, loss, loss_p = variation.observed(state)
        rows.append((*index(energies, moved), loss, loss_p))
    return _read(variation.names, times, rows, wanted.loss, "matrices")


@dataclass(frozen=True)
class Index:
    """The semantic index of energies e_A: (held . e / of . e - etf) / (1 - etf).

    Attributes
    ----------
    held, of : arrays (strata,), multiplicities where a stratum counts, else 0
    etf : the ratio in the collapsed geometry
    """

    held: np.ndarray
    of: np.ndarray
    etf: float

    @classmethod
    def of_goal(cls, goal: Goal, attributes: Attributes, labels: tuple[str, ...] | None) -> "Index":
        """The index that a goal speaks of."""
        held, of, etf = goal.strata(attributes, labels)
        m = attributes.multiplicities
        first, second = (np.array([float(m[A]) * (A in chosen) for A in attributes.names]) for chosen in (held, of))
        return cls(first, second, etf)

    def __call__(self, e: np.ndarray, moved: np.ndarray) -> tuple[float, np.ndarray]:
        """The index, and its changes (P,) from those of the energies (P, strata)."""
        total = self.of @ e
        share = self.held @ e / total
        return (share - self.etf) / (1 - self.etf), moved @ (self.held - share * self.of) / total / (1 - self.etf)


def _times(t_end: float, count: int) -> np.ndarray:
    return np.append(0.0, np.geomspace(FIRST * t_end, t_end, count))


def _read(
    names: tuple[str, ...], times: np.ndarray, rows: list[tuple], loss: float | None, method: str
) -> Sensitivities | None:
    """The window and its slopes from (I, I_p, L, L_p) at each of the times."""
    I, I_p, L, L_p = (np.array(column[1:]) for column in zip(*rows, strict=True))
    if not I.max() > SEEN:
        return None
    x = np.log(times[1:])
    index, moved = CubicSpline(x, I), CubicSpline(x, I_p)
    values: dict[str, float] = {}
    slopes: dict[str, np.ndarray] = {}

    def point(at: float) -> Point:
        """With derivatives by ln t in the place of those by t."""
        return Point(float(index(at)), float(index(at, 1)), float(index(at, 2)), moved(at), moved(at, 1))

    def add(name: str, at: float, slope: np.ndarray) -> None:
        values[name], slopes[name] = float(np.exp(at)), slope

    top = int(np.argmax(I))
    peak = point(x[top])
    turns = [root for root in index.derivative().roots(extrapolate=False) if abs(root - x[top]) <= x[1] - x[0]]
    if 0 < top < len(x) - 1 and turns:
        at = min(turns, key=lambda root: -index(root))
        peak = point(at)
        add("peak", at, peak_slope(peak))
    values["height"], slopes["height"] = peak.I, peak.I_p
    crossings = index.solve(peak.I / 2, extrapolate=False)
    if rows[0][0] < peak.I / 2 and crossings.size:
        add("onset", crossings[0], border_slope(point(crossings[0]), peak))
    if I[-1] < peak.I / 2:
        add("end", crossings[-1], border_slope(point(crossings[-1]), peak))
        onset, slope = values.get("onset", 0.0), slopes.get("onset", np.zeros(len(names)))
        values["width"] = values["end"] - onset
        slopes["width"] = (values["end"] * slopes["end"] - onset * slope) / values["width"]
    if loss is not None and rows[0][2] > loss and L.min() <= loss:
        levels = CubicSpline(x, L)
        at = levels.solve(loss, extrapolate=False)[0]
        here = point(at)
        add("stop", at, -CubicSpline(x, L_p)(at) / levels(at, 1))
        values["index at stop"], slopes["index at stop"] = here.I, here.I_p + here.I_t * slopes["stop"]
    named = {name: dict(zip(names, map(float, row), strict=True)) for name, row in slopes.items()}
    return Sensitivities(values, named, method)
