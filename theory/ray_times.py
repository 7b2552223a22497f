"""Time and margin along the ETF ray under cross-entropy, on arrays, accurate wherever floats reach.

The margin M >= 0 grows along a law that is increasing and convex, so Newton's method from above its root goes down to
it without a safeguard:

    free:   V ln(M / M0) + E(M) - E(M0) = rate t,       E(M) = Ei(M) - gamma - ln M = sum_n M^n / (n n!)
    held:   F(M) - F(M0) = rate t,                      F(M) = e^M - 1 + (V - 1) M

All terms of E and F are positive: nothing cancels.  The free law is solved in v = ln(M / M0), in which it is convex too
and starts of any size are alike.  Where e^M would overflow the logarithms of both sides are compared, in which V, kept
below 1e200, has no part left.  Arrays are NumPy's; SciPy's Ei is imported when it is first needed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import InputError

LARGEST_LABEL_COUNT = 1e200
DIRECT = 600.0  # margins up to which e^M is far from overflow
BOUND = 1e250  # of E and F there: below e^600 / 600, and far above V ln(M / M0)
ROUNDS = 100
SMALLEST_MARGIN = 1e-300  # in place of a start at 0, whose logarithm is beside one above 575 as good as that of this
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


def check_label_count(V: float) -> float:
    """V, small enough to be negligible beside e^600."""
    if not 2 <= V <= LARGEST_LABEL_COUNT:
        raise InputError(f"closed_form: {V:.6g} labels are beyond the {LARGEST_LABEL_COUNT:g} that floats can serve.")
    return V


def free_margin(rate: float, t: Any, M0: Any, V: float) -> np.ndarray:
    """M > 0 with V ln(M / M0) + E(M) - E(M0) = rate t, for M0 > 0 and t >= 0 that broadcast."""

    def direct(elapsed: np.ndarray, start: np.ndarray) -> np.ndarray:
        end = elapsed + _entire(start)
        # E(M) >= (e^M - 1 - M) / M, which is at least `end` at this margin.
        level = np.log1p(end)
        above = np.log(level + np.log1p(level) + 1) - np.log(start)

        def step(v: np.ndarray) -> np.ndarray:
            M = start * np.exp(v)
            return (V * v + (_entire(M) - end)) / (V + np.expm1(M))

        return start * np.exp(_newton(step, np.maximum(np.minimum(elapsed / V, above), 0.0), floor=1.0))

    return _grown(rate, t, M0, _entire, _log_entire, direct, _inverse_log_entire)


def held_margin(rate: Any, t: Any, M0: Any, V: float) -> np.ndarray:
    """M >= 0 with F(M) - F(M0) = rate t, for M0, t >= 0 and rates that broadcast."""

    def law(M: np.ndarray) -> np.ndarray:
        return np.expm1(M) + (V - 1) * M

    def direct(elapsed: np.ndarray, start: np.ndarray) -> np.ndarray:
        end = elapsed + law(start)
        above = np.minimum(end / V, np.log1p(end))  # F(M) >= V M and F(M) >= e^M - 1
        return _newton(lambda M: (law(M) - end) / (np.exp(M) + (V - 1)), above)

    def same(x: np.ndarray) -> np.ndarray:
        return x

    return _grown(rate, t, M0, law, same, direct, same)


def free_elapsed(z: Any, z0: Any, root: float, V: float) -> np.ndarray:
    """rate t along the free law from margin z0 / root to z / root; negative backwards, infinite past the floats."""
    z, z0 = np.broadcast_arrays(np.asarray(z, float), np.asarray(z0, float))
    near = np.abs(z - z0) < z0 / 2
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        v = np.where(near, np.log1p((z - z0) / z0), np.log(z) - np.log(z0))
        M, M0 = z / root, z0 / root
        gap = (z - z0) / root
        # Gauss's rule where the two ends would cancel: e^s - 1 over s is entire, and smooth on a unit interval.
        middle = np.expand_dims(M0 + gap / 2, -1) + np.expand_dims(gap / 2, -1) * NODES
        close = gap / 2 * ((np.expm1(middle) / middle) @ WEIGHTS)
        grown = np.where(np.abs(gap) < 1, close, _entire(M) - _entire(M0))
        grown = np.where(np.isnan(grown), np.sign(gap) * np.inf, grown)
        return np.where(gap == 0, 0.0, V * v + grown)


def held_elapsed(z: Any, z0: Any, root: float, V: float) -> np.ndarray:
    """F(z / root) - F(z0 / root); negative backwards, infinite past the floats."""
    z, z0 = np.broadcast_arrays(np.asarray(z, float), np.asarray(z0, float))
    gap = (z - z0) / root
    with np.errstate(over="ignore", invalid="ignore"):
        grown = np.exp(z0 / root) * np.expm1(gap)
        return np.where(gap == 0, 0.0, grown + (V - 1) * gap)


def _grown(
    rate: Any, t: Any, M0: Any, law: Callable, log_law: Callable, direct: Callable, inverse_log_law: Callable
) -> np.ndarray:
    """The margin by `direct`, or by logarithms where the law's value at the end is beyond BOUND."""
    rate, t, M0 = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (rate, t, M0)))
    with np.errstate(over="ignore", divide="ignore"):
        elapsed = rate * t
        log_elapsed = np.log(rate) + np.log(t)
    small = (M0 <= DIRECT) & (elapsed < BOUND)
    margin = np.empty(t.shape)
    margin[small] = direct(elapsed[small], M0[small])
    large = ~small
    if large.any():
        start = M0[large]
        ordinary = np.clip(start, SMALLEST_MARGIN, DIRECT)
        log_start = np.where(start <= DIRECT, np.log(law(ordinary)), log_law(np.maximum(start, DIRECT)))
        end = inverse_log_law(np.logaddexp(log_start, log_elapsed[large]))
        margin[large] = np.maximum(end, start)
    return margin


def _newton(step: Callable[[np.ndarray], np.ndarray], x: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Newton's method for an increasing convex function, from above its root.

    Convergence is quadratic: after a step of 1e-10 of x (or of `floor`, when x is less) none is left but rounding.
    """
    for _ in range(ROUNDS):
        change = step(x)
        x = x - change
        if not (np.abs(change) > 1e-10 * np.maximum(np.abs(x), floor)).any():
            break
    return x


def _entire(M: np.ndarray) -> np.ndarray:
    """E(M) for 0 <= M <= 700: its series below 1, SciPy's Ei above."""
    from scipy.special import expi

    series = np.zeros_like(M)
    factorial = 1.0
    small = np.minimum(M, 1.0)
    coefficients = []
    for n in range(1, 19):
        factorial *= n
        coefficients.append(1 / (n * factorial))
    for coefficient in reversed(coefficients):
        series = (series + coefficient) * small
    large = np.maximum(M, 1.0)
    return np.where(M < 1, series, expi(large) - np.euler_gamma - np.log(large))


def _log_entire(M: np.ndarray) -> np.ndarray:
    """ln E(M) for M >= 500, by the asymptotic series E(M) ~ (e^M / M) sum_n n! / M^n."""
    return M - np.log(M) + np.log(_asymptotic(M))


def _asymptotic(M: np.ndarray) -> np.ndarray:
    total = np.ones_like(M)
    for n in range(10, 0, -1):
        total = 1 + n / M * total
    return total


def _inverse_log_entire(level: np.ndarray) -> np.ndarray:
    """M with ln E(M) = level, for levels above 500; the slope of ln E is close to 1 - 1/M."""
    M = level + np.log(level)
    for _ in range(8):
        M = M - (_log_entire(M) - level) / (1 - 1 / M)
    return M
