"""Derivatives of the semantic window by the parameters of the model, in closed form for squared error.

A window's times are defined by equations in the index I(t; p), so that with I* = I(t*), subscripts for derivatives,

    peak:    I_t = 0,        dt*/dp = -I_tp / I_tt,                     dI*/dp = I_p(t*)
    border:  I = I*/2,       dt_b/dp = (I_p(t*)/2 - I_p(t_b)) / I_t(t_b).

Squared error, free, no ridge, from any start: with D = k^2 (x0^2 - y0^2)^2, x = w/sqrt(kW), y = h/sqrt(kH),
k = sqrt(kW kH), u = z + sqrt(z^2 + D/4) turns dz/dt = k scale (tau - z) sqrt(D + 4 z^2) into a Moebius motion,

    (u_+ - u)/(u - u_-) = (u_+ - u_0)/(u_0 - u_-) e^{-2 k scale t sqrt(tau^2 + D/4)},    u_+- = tau +- sqrt(tau^2 + D/4),

and h^2 = kH ((u - z)/k - (x0^2 - y0^2)/2), z = (u - D/(4u))/2.  It is smooth across a balanced start, D = 0, where it is
the logistic; so its derivatives are those of the closed form, whatever the start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import sympy as sp

from .brackets import DIGITS
from .errors import InputError
from .exact import exact
from .flow import TIME
from .kernels import cooccurrence_targets
from .model import UFM
from .starts import start_pair
from .window import window

KW, KH, W_0, H_0, TAU, SCALE = sp.symbols("k_W k_H w_0 h_0 tau scale", positive=True)
ARGUMENTS = (TIME, KW, KH, W_0, H_0, TAU, SCALE)
MOVES = (KW, KH, H_0, TAU)  # what parameters of the model move on a stratum


@dataclass(frozen=True)
class Point:
    """The index at a time, with its derivatives by time and by parameters; the last two are sequences over parameters."""

    I: Any
    I_t: Any
    I_tt: Any
    I_p: Any
    I_tp: Any


def peak_slope(peak: Point) -> Any:
    """dt*/dp."""
    return -peak.I_tp / peak.I_tt


def border_slope(border: Point, peak: Point) -> Any:
    """dt/dp of a time at which the index is half of its maximum."""
    return (peak.I_p / 2 - border.I_p) / border.I_t


@dataclass(frozen=True)
class WindowSlopes:
    """The window of squared error and its derivatives in closed form.

    Attributes
    ----------
    values : dict with `onset`, `peak`, `end` (learning rate x steps), where finite, `width` and `height`
    slopes : dict from these to dict from parameter to derivative, of the logarithm of times and of the height itself;
        parameters `head rate` (kW), `body rate` (kH), `kernel of STRATUM`, `kernel ratio` (kH of all main effects) and
        `feature scale` (h0) in their logarithm, and `smoothing` (eps of targets with equal weights) in itself
    """

    values: dict[str, float]
    slopes: dict[str, dict[str, float]]


def has_closed_form(model: UFM) -> bool:
    """Whether the index of a model is known in closed form, whatever the start."""
    plain = model.loss == "mse" and model.constraint == "free" and set(model.ridge) == {sp.S(0)}
    factors = (model.label_kernel, model.feature_kernel, model.tau)
    grows = all(part[A] != 0 for part in factors for A in model.targets if A != "1")
    return plain and grows and not model.free_symbols


def window_slopes(model: UFM, init: Any) -> WindowSlopes | None:
    """Derivatives of the window of a model with squared error; None where there is no window.

    Parameters
    ----------
    model : UFM with numbers, squared error, free, without ridge
    init : w(0) = h(0) > 0 on every stratum, or the pair

    Raises
    ------
    InputError
        For another loss or constraint, a ridge, symbols, and kernels or targets that vanish.

    Examples
    --------
    >>> from .attributes import Attributes
    >>> from .kernels import embedding_kernel
    >>> structure = Attributes("color[4] * shape[6]")
    >>> kernel = embedding_kernel(structure, {"color": 1, "shape": 1}, residual=1)
    >>> found = window_slopes(UFM(structure, loss="mse", feature_kernel=kernel, label_kernel=kernel), 0.01)
    >>> round(found.slopes["peak"]["head rate"] + found.slopes["peak"]["body rate"], 12)  # time is rate x steps
    -1.0
    """
    if not has_closed_form(model):
        raise InputError(
            "window_slopes: the closed form is that of squared error without constraint, ridge and symbols, with positive "
            "kernels and targets; use ufmflow.numerics.sensitivities."
        )
    found = window(model, init)
    if found is None:
        return None
    curve = _Curve.of(model, init)
    times = {name: getattr(found, name)[0] for name in ("onset", "peak", "end")}
    with mpmath.workdps(DIGITS):
        points = {name: curve(t) for name, t in times.items() if mpmath.isfinite(t)}
        if "peak" not in points:
            raise InputError("window_slopes: the index rises for ever, so it has no peak in time; simulate instead.")
        peak = points["peak"]
        moved = {"peak": peak_slope(peak)}
        moved |= {name: border_slope(points[name], peak) for name in ("onset", "end") if name in points and times[name]}
        values = {name: times[name] for name in moved} | {"height": float(peak.I)}
        slopes = {name: slope / times[name] for name, slope in moved.items()} | {"height": peak.I_p}
        if "end" in moved:
            values["width"] = times["end"] - times["onset"]
            slopes["width"] = (moved["end"] - moved.get("onset", 0 * moved["end"])) / values["width"]
    return WindowSlopes(values, {name: _named(curve.names, row) for name, row in slopes.items()})


def _named(names: tuple[str, ...], row: Any) -> dict[str, float]:
    return {name: float(x) for name, x in zip(names, row, strict=True)}


@dataclass(frozen=True)
class _Curve:
    """The index of the closed form: t -> Point."""

    names: tuple[str, ...]
    strata: tuple[tuple[Mapping[sp.Symbol, Any], Any, bool, Any], ...]  # arguments, multiplicity, whether held, moves
    etf: Any

    @classmethod
    def of(cls, model: UFM, init: Any) -> "_Curve":
        w0, h0 = (exact(x, "init") for x in start_pair(init))
        main, m = model.attributes.semantic_strata(model.labels), model.attributes.multiplicities
        kept = model.label_attributes
        shared = [k for k in kept.sizes if set(kept.closure(k)) != set(kept.sizes)]
        soft = cooccurrence_targets(kept, 1, dict.fromkeys(shared, sp.Rational(1, len(shared))))
        names = ("head rate", "body rate", *(f"kernel of {A}" for A in model.attributes.names[1:]), "kernel ratio",
                 "smoothing", "feature scale")  # fmt: skip
        strata = []
        for A in model.attributes.names[1:]:
            kH, on_label = model.feature_kernel[A], A in model.targets
            kW, tau = (model.label_kernel[A], model.tau[A]) if on_label else (sp.S(0), sp.S(0))
            # Targets (1 - eps) I + eps soft at the eps that they have now; tau is on the scale of T's singular values.
            by_eps = tau / model.targets[A] * (soft[A] - 1) if on_label else sp.S(0)
            moves = {
                "head rate": (kW, 0, 0, 0), "body rate": (0, kH, 0, 0), f"kernel of {A}": (0, kH, 0, 0),
                "kernel ratio": (0, kH if A in main else 0, 0, 0), "smoothing": (0, 0, 0, by_eps),
                "feature scale": (0, 0, h0, 0),
            }  # fmt: skip
            rows = [moves.get(name, (0, 0, 0, 0)) for name in names]
            numbers = dict(zip(ARGUMENTS[1:], (kW, kH, w0, h0, tau, model.scale), strict=True))
            strata.append((numbers, m[A], A in main, sp.Matrix(rows)))
        etf = sum(kept.multiplicities[A] for A in main) / (kept.cardinality - 1)
        return cls(names, tuple(strata), etf)

    def __call__(self, t: float) -> Point:
        P = len(self.names)
        held, total = ([mpmath.mpf(0)] * 3 + [mpmath.zeros(P, 1)] * 2 for _ in range(2))
        for numbers, m, inside, moves in self.strata:
            found = _energy(t, numbers)
            by_move = _matrix(moves)
            parts = [*found[:3], by_move * mpmath.matrix(found[3]), by_move * mpmath.matrix(found[4])]
            for sums in (held, total) if inside else (total,):
                for i, part in enumerate(parts):
                    sums[i] = sums[i] + int(m) * part
        return _quotient(held, total, mpmath.mpf(self.etf.p) / self.etf.q)


def _quotient(N: list, D: list, etf: Any) -> Point:
    """(N/D - etf)/(1 - etf) and its derivatives from those of N and D."""
    share = N[0] / D[0]
    s_t = (N[1] - share * D[1]) / D[0]
    s_tt = (N[2] - share * D[2] - 2 * s_t * D[1]) / D[0]
    s_p = (N[3] - share * D[3]) / D[0]
    s_tp = (N[4] - share * D[4] - s_t * D[3] - s_p * D[1]) / D[0]
    scale = 1 / (1 - etf)
    return Point((share - etf) * scale, s_t * scale, s_tt * scale, s_p * scale, s_tp * scale)


def _matrix(rows: sp.Matrix) -> Any:
    return mpmath.matrix([[mpmath.mpf(sp.N(x, DIGITS)) for x in rows.row(i)] for i in range(rows.rows)])


def _energy(t: float, numbers: Mapping[sp.Symbol, Any]) -> tuple[Any, Any, Any, list, list]:
    """h^2, its derivatives d/dt, d^2/dt^2, and d/dp, d^2/dt dp for p in MOVES."""
    if numbers[KW] == 0:  # the label drops the stratum, which without ridge stays as it is
        h0 = mpmath.mpf(sp.N(numbers[H_0], DIGITS))
        return h0**2, mpmath.mpf(0), mpmath.mpf(0), [0, 0, 2 * h0, 0], [0, 0, 0, 0]
    values = _compiled()(t, *(mpmath.mpf(sp.N(numbers[x], DIGITS)) for x in ARGUMENTS[1:]))
    return values[0], values[1], values[2], values[3 : 3 + len(MOVES)], values[3 + len(MOVES) :]


@cache
def _compiled() -> Callable[..., list]:
    """h^2 of the module's text and its derivatives, as code."""
    energy = energy_expression()
    slope = sp.diff(energy, TIME)
    wanted = [
        energy,
        slope,
        sp.diff(slope, TIME),
        *(sp.diff(energy, p) for p in MOVES),
        *(sp.diff(slope, p) for p in MOVES),
    ]
    return sp.lambdify(ARGUMENTS, wanted, "mpmath", cse=True)


def energy_expression() -> sp.Expr:
    """h^2(t) of one stratum under squared error without ridge; see the module's text."""
    k, s = sp.sqrt(KW * KH), sp.sqrt(KW * KH) * SCALE
    gap = W_0**2 / KW - H_0**2 / KH
    D = KW * KH * gap**2
    root = sp.sqrt(TAU**2 + D / 4)
    high = TAU + root
    low = -D / (4 * high)
    first = W_0 * H_0 + sp.sqrt(W_0**2 * H_0**2 + D / 4)
    ratio = (high - first) / (first - low) * sp.exp(-2 * s * root * TIME)
    u = (high + ratio * low) / (1 + ratio)
    z = (u - D / (4 * u)) / 2
    return KH * ((u - z) / k - gap / 2)
