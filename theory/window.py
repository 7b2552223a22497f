"""The semantic window: when main effects hold more of H than in the collapsed geometry.

Index of the shares of H (as `Trajectory.window` takes it): I = (S - S_ETF) / (1 - S_ETF), S = sum of m_A h_A^2 over
the label's main effects / sum over all strata but the mean.  Onset, peak, end: when I first reaches half of its
maximum, is at its maximum, last has half of it.

Squared error, free.  h_A(t) is known in closed form, so the three times are roots of a known function.  When all main
effects share k1 = sqrt(kW kH), all other strata k2 < k1, targets are equal and the start is balanced, then with
E = e^{b t}, a = 2 k1 scale tau, b = 2 k2 scale tau, alpha = a/b, c = tau/z0 - 1,

    r = z_1/z_2 = E^{alpha-1} (E + c) / (E^alpha + c),                I = M (r - 1) / (M r + N),
    peak (the only one):  E^alpha = alpha E + c (alpha - 1),   where   r = R = E^{alpha-1} / alpha,
    half-maximum:         r_h = ((2 M + N) R + N) / (M R + M + 2 N),

M and N being the dimensions of the main effects and of the rest; a balanced ridge lowers tau to
tau - sqrt(lam_W lam_H) / scale.

Cross-entropy, free, one-hot.  With sigma = scale sqrt(r), r contexts a label, the pull on a stratum obeys
sigma e^{-Y} <= g_A <= sigma while all z lie in [0, Y]; hence growth lies between two known curves, which bracket the
onset and bound peak and end from below.  No upper bound of the peak or the end is known: without ridge the limit is
reached at log-log speed, or never (permanent geometry).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from .errors import InputError
from .exact import exact
from .model import UFM
from .starts import start_pair
from .transients import H0, W0
from .window_numbers import cross_entropy_numbers, is_balanced, mse_numbers

Bracket = tuple[Any, Any]
TIMES = ("onset", "peak", "end")


@dataclass(frozen=True)
class Window:
    """Onset, peak and end of the semantic window, and the index at its peak, each as (low, high).

    Attributes
    ----------
    onset, peak, end : (low, high)
        Learning rate x steps; oo where the index stays above half of its maximum, or where no bound is known.
    height : (low, high), the index at the peak
    formulas : dict from `onset`, `peak`, `end`, `height` to a pair of expressions, and from `separation` to k1/k2
        Bounds in `w0`, `h0` and the model's symbols, equal where exact; empty where strata have more than two rates.
    hypotheses : what the brackets rest on
    """

    onset: Bracket
    peak: Bracket
    end: Bracket
    height: Bracket
    formulas: dict[str, Any] = field(default_factory=dict)
    hypotheses: tuple[str, ...] = ()


@dataclass(frozen=True)
class TwoRates:
    """A model whose main effects share one rate, and all other strata another.

    Attributes
    ----------
    k1, k2 : sqrt(kW kH) of main effects, and of the rest
    M, N : their dimensions
    pull : scale, times sqrt(r) for cross-entropy
    tau : target, less what a balanced ridge takes (squared error)
    shrink : sqrt(lam_W lam_H)
    """

    k1: sp.Expr
    k2: sp.Expr
    M: sp.Expr
    N: sp.Expr
    pull: sp.Expr
    tau: sp.Expr
    shrink: sp.Expr


def two_rates(model: UFM) -> TwoRates | None:
    """The two rates of a model; None when it has more, drops attributes, or could not stay balanced."""
    main = model.attributes.semantic_strata(model.labels)
    strata = model.attributes.names[1:]
    rest = [A for A in strata if A not in main]
    if model.constraint != "free" or not main or set(strata) - set(model.targets):
        return None
    kW, kH, first = model.label_kernel, model.feature_kernel, strata[0]
    lam_W, lam_H = model.ridge
    alike = [kW[A] * kH[main[0]] - kW[main[0]] * kH[A] for A in strata]  # kW / kH, so that h^2 is z times one number
    alike += [kW[A] * kH[A] - kW[group[0]] * kH[group[0]] for group in (main, rest) for A in group]
    alike += [model.targets[A] - model.targets[first] for A in strata]
    alike += [kW[first] * lam_W - kH[first] * lam_H]
    if any(sp.expand(difference) != 0 for difference in alike):
        return None
    m = model.attributes.multiplicities
    shrink = sp.sqrt(lam_W * lam_H)
    k1, k2 = (sp.sqrt(kW[group[0]] * kH[group[0]]) for group in (main, rest))
    M, N = (sp.factor(sum(m[A] for A in group)) for group in (main, rest))
    return TwoRates(
        k1,
        k2,
        M,
        N,
        pull=model.scale * (sp.sqrt(model.replication) if model.loss == "cross_entropy" else 1),
        tau=model.tau[first] - (shrink / model.scale if model.loss == "mse" else 0),
        shrink=shrink,
    )


def window_formulas(model: UFM) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Brackets of onset, peak, end and height in `w0`, `h0` and the model's symbols, with what they rest on.

    Raises
    ------
    InputError
        When the strata have more than two rates, or the loss has no bracket with the targets given.
    """
    rates = two_rates(model)
    if rates is None:
        raise InputError(
            "window: formulas are known without constraint, when all main effects share kW kH, all other strata share "
            "theirs, kW/kH and the target are the same on all, and kW lam_W = kH lam_H; give numbers and init, or "
            "simulate."
        )
    if model.loss == "cross_entropy" and any(target != 1 for target in model.targets.values()):
        raise InputError("window: with cross-entropy the brackets need one-hot targets; simulate instead.")
    balanced = ("free", "one rate for main effects, a smaller one for the rest", "balanced start: w0^2/kW = h0^2/kH")
    if model.loss == "mse":
        found, hypotheses = _logistic_window(rates), ("squared error", *balanced, "w0 h0 below the plateau")
    else:
        found, hypotheses = (
            _exponential_window(rates),
            ("cross-entropy, one-hot", *balanced, "small start: R >= 2 + N/M"),
        )
    return {**found, "separation": sp.cancel(rates.k1 / rates.k2)}, hypotheses


def half_maximum_ratio(R: sp.Expr, M: sp.Expr, N: sp.Expr) -> sp.Expr:
    """The ratio z_1/z_2 at which M (r - 1) / (M r + N) is half of what it is at R.

    Examples
    --------
    >>> half_maximum_ratio(sp.Integer(3), sp.Integer(1), sp.Integer(1))
    5/3
    """
    return ((2 * M + N) * R + N) / (M * R + M + 2 * N)


def peak_bounds(alpha: sp.Expr, c: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Bounds (low, high) of the root E > 1 of E^alpha = alpha E + c (alpha - 1), equal when alpha is 3/2, 2, 3 or 4.

    Low: E >= 1 on the right side.  High: the tangent of the convex E^alpha at the low one (Newton's step).

    Examples
    --------
    >>> peak_bounds(sp.Integer(2), sp.Integer(8))
    (4, 4)
    """
    exact = _exact_peak(alpha, c)
    if exact is not None:
        return exact, exact
    power = alpha + c * (alpha - 1)  # of low, to the alpha
    low = power ** (1 / alpha)
    return low, low + (low - 1) / (power ** ((alpha - 1) / alpha) - 1)


def _exact_peak(alpha: sp.Expr, c: sp.Expr) -> sp.Expr | None:
    if alpha == 2:
        return 1 + sp.sqrt(1 + c)
    if alpha == 3:  # E = x + 1/x, x^3 = c + sqrt(c^2 - 1); the cosine of an angle when c < 1
        return 2 * sp.cosh(sp.acosh(c) / 3) if not (c.is_number and c < 1) else 2 * sp.cos(sp.acos(c) / 3)
    if alpha == sp.Rational(3, 2):
        return (sp.Rational(1, 2) + sp.cosh(sp.acosh(1 + 2 * c) / 3)) ** 2
    if alpha == 4:  # Ferrari: p^2 = 2 m with m^3 + 3 c m = 2
        root = sp.sqrt(1 + c**3)
        p = sp.sqrt(2 * (sp.cbrt(1 + root) - c / sp.cbrt(1 + root)))
        return (p + sp.sqrt(8 / p - p**2)) / 2
    return None


def _logistic_window(rates: TwoRates) -> dict[str, tuple[sp.Expr, sp.Expr]]:
    """The bounds of E = e^{b t}, each carried with its power E^alpha."""
    alpha, c = sp.cancel(rates.k1 / rates.k2), rates.tau / (W0 * H0) - 1
    b = 2 * rates.k2 * rates.pull * rates.tau
    low, high = peak_bounds(alpha, c)
    if low == high:
        lower = upper = (low, alpha * low + c * (alpha - 1))
    else:
        lower, upper = (low, alpha + c * (alpha - 1)), (high, _power(high, alpha))
    R = [power / (E * alpha) for E, power in (lower, upper)]
    half = [half_maximum_ratio(x, rates.M, rates.N) for x in R]

    def rising(pair: Bracket, r: sp.Expr) -> Bracket:
        """The onset is the least fixed point of E -> (r (E^alpha + c)/(E + c))^(1/(alpha - 1)), which increases."""
        E, power = pair
        base = r * (power + c) / (E + c)
        return _power(base, 1 / (alpha - 1)), _power(base, alpha / (alpha - 1))

    def falling(pair: Bracket, r: sp.Expr) -> Bracket:
        """The end is the greatest fixed point of E -> c/(r - 1 + r c E^-alpha), which increases."""
        bottom = r - 1 + r * c / pair[1]
        return c / bottom, _power(c / bottom, alpha)

    at_start, no_bound = (sp.S(1), sp.S(1)), (sp.oo, sp.oo)
    times = {
        "onset": [rising(rising(pair, r), r)[0] for pair, r in ((at_start, half[0]), (upper, half[1]))],
        "peak": [low, high],
        "end": [falling(falling(pair, r), r)[0] for pair, r in ((lower, half[1]), (no_bound, half[0]))],
    }
    found = {name: tuple(sp.log(E, evaluate=False) / b for E in pair) for name, pair in times.items()}
    return found | {"height": tuple(rates.M * (x - 1) / (rates.M * x + rates.N) for x in R)}


def _power(base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
    """A power left as it stands: SymPy looks for long for the sign of nested bases, all of which are positive here."""
    return base**exponent if exponent.is_Integer else sp.Pow(base, exponent, evaluate=False)


def _exponential_window(rates: TwoRates) -> dict[str, tuple[sp.Expr, sp.Expr]]:
    """With Y = z0 e^{2 k1 s t}, s = sigma - lam:

        (sigma/s) (E1(z0) - E1(Y)) - 2 (k1 lam + k2 s) t <= ln r <= 2 (k1 - k2) s t.

    The lower curve is highest at Y* = -ln((k2 s/k1 + lam)/sigma).  The onset's upper bound puts 1 - Y for e^{-Y}, which
    Lambert's W inverts.
    """
    k1, k2, sigma, lam = rates.k1, rates.k2, rates.pull, rates.shrink
    s, z0 = sigma - lam, W0 * H0
    summit = -sp.log((k2 * s / k1 + lam) / sigma)
    gain = sigma / s * (sp.expint(1, z0) - sp.expint(1, summit))
    peak = sp.log(summit / z0) / (2 * k1 * s)
    R = sp.exp(gain - 2 * (k1 * lam + k2 * s) * peak)
    level = sp.log(2 + rates.N / rates.M)  # r_h for R = oo: the index at 1/2
    share, start = 1 - k2 / k1, sigma / s * z0
    reach = (level - start) / share
    onset = (
        sp.log(half_maximum_ratio(R, rates.M, rates.N)) / (2 * (k1 - k2) * s),
        (reach - sp.LambertW(-start / share * sp.exp(reach))) / (2 * k1 * s),
    )
    end = (gain - level) / (2 * (k1 * lam + k2 * s))
    height = rates.M * (R - 1) / (rates.M * R + rates.N)
    return {"onset": onset, "peak": (peak, sp.oo), "end": (end, sp.oo), "height": (height, sp.S(1))}


def window(model: UFM, init: Any = None) -> Window | None:
    """The semantic window of a model; see `System.window`."""
    if init is None:
        formulas, hypotheses = window_formulas(model)
        return _of_parts([formulas[name] for name in (*TIMES, "height")], formulas, hypotheses)
    start = _start(init)
    if model.constraint != "free":
        raise InputError(
            f"window: nothing is known with constraint {model.constraint}; simulate(model, t).window() has it."
        )
    if model.free_symbols:
        name = min(map(str, model.free_symbols))
        raise InputError(f"window: {name} has no number; give the model numbers, or leave init out for formulas.")
    main = model.attributes.semantic_strata(model.labels)
    if not main:
        return None  # the index is 0 throughout
    found, hypotheses = (mse_numbers if model.loss == "mse" else cross_entropy_numbers)(model, main, start)
    if found is None:
        return None
    rates = two_rates(model)
    if rates is not None and rates.k1 > rates.k2 and is_balanced(model, start):
        return _of_parts(found, *window_formulas(model))
    return _of_parts(found, {}, hypotheses)


def _of_parts(parts: Iterable[Any], formulas: dict[str, Any], hypotheses: tuple[str, ...]) -> Window:
    onset, peak, end, height = parts
    return Window(onset, peak, end, height, formulas, hypotheses)


def _start(init: Any) -> tuple[sp.Expr, sp.Expr]:
    w0, h0 = (exact(x, "init") for x in start_pair(init))
    if not (w0.is_positive and h0.is_positive):
        raise InputError(f"init: {init} is not positive; give w(0) = h(0) > 0, or a pair of positive numbers.")
    return w0, h0
