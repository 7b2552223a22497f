"""Explicit Runge-Kutta schemes of order 4 that are stable on a long stretch of the negative real axis.

A step of size h is a product of Euler steps and a finish of four stages:

    X_1 = y,   X_{j+1} = X_j + alpha_j h f(X_j),                          j = 1 ... n,   u = X_{n+1}
    U_i = u + h sum_{j<i} a_ij k_j,   k_i = f(U_i),   i = 1 ... 4,         y_new = u + h sum_i b_i k_i.

On y' = lambda y it multiplies by P(z) = w(z) prod_j (1 + alpha_j z), z = h lambda.  The alphas are such that |P| is small
down to z = -0.33 (n + 4)^2 (`damped_zeros`); the finish is then determined, up to two
nodes, by the eight conditions of order 4 on the whole (`finish`), in closed form, so that it holds in exact arithmetic
for whatever alphas.  The Euler steps are taken in Leja's order, which keeps their partial products small.

Sources: zeros of polynomials orthogonal in w^2, Abdulle, Fourth order Chebyshev methods with recurrence relation, SIAM J.
Sci. Comput. 23 (2002) 2041; products of Euler steps, Medovikov, BIT 38 (1998) 372.  The closed form of the finish is
derived here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial, sqrt
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from ..theory.errors import InputError

DAMPED = 0.8  # |P| stays below max(DAMPED, 1 - x/2); 0.95 would reach no more than 2% further
MOST = 250  # Euler steps; with more the finish's sums lose their digits
ROUNDS, NODES_A_ZERO = 30, 6
NODES = (
    Fraction(1, 2),
    Fraction(3, 4),
)  # second and third node of the finish, between its first and the end of the step
ESTIMATE = Fraction(1)  # weight of u - y: global errors then resemble those of the order-5 pair at equal tolerance


@dataclass(frozen=True)
class Scheme:
    """One scheme: Euler factors, the finish, and the weights of the error estimate.

    Attributes
    ----------
    alphas : n factors, in the order in which they are applied
    nodes : c_1 ... c_4 of the finish, of which the first is the sum of the alphas
    rows : a_21; a_31, a_32; a_41, a_42, a_43
    weights : b_1 ... b_4
    errors : e_0 ... e_4, the estimate is e_0 (u - y) + h sum_i e_i k_i, of order h^4
    """

    alphas: tuple
    nodes: tuple
    rows: tuple[tuple, ...]
    weights: tuple
    errors: tuple


def finish(alphas: Sequence, fractions: Sequence = NODES) -> Scheme:
    """The finish of order 4 for given Euler factors, in the arithmetic of the factors.

    With the sums E over the Euler stages and c_1 = A = sum alpha, the b_i follow from sum_i b_i c_i^k = 1/(k+1) - E;
    c_4 is the one value for which the condition sum b a a c = 1/24 agrees with the others: as c_1 and c_2 have
    q_i = (a c)_i on the line l(c) = q_1 + A (c - A), the products

        [sum b (c - c_4)(q - l)] [sum b a (c - A)(c - c_2)] = [sum b a (q - l)] [sum b (c - c_4)(c - A)(c - c_2)]

    have one term each, with the same factors, and are linear in c_4.

    Parameters
    ----------
    alphas : numbers of one kind: Fraction or float
    fractions : (c_2 - A)/(1 - A) and (c_3 - A)/(1 - A)
    """
    A, q1, E = _euler_sums(alphas)
    one = A - A + 1
    c2, c3 = (A + (one - A) * type(one)(f) for f in fractions)
    m = [one / (k + 1) - E["c"][k] for k in range(4)]
    mq, mcq = one / 6 - E["q"], one / 8 - E["cq"]
    S0, S1 = m[1] - A * m[0], mq - q1 * m[0]
    S2, Sq = one / 12 - E["ac2"] - m[0] * E["c"][2], one / 24 - E["aq"] - m[0] * E["q"]
    beta1, alpha1 = mq - q1 * m[0] - A * S0, mcq - q1 * m[1] - A * (m[2] - A * m[1])
    beta2, alpha2 = m[2] - (A + c2) * m[1] + A * c2 * m[0], m[3] - (A + c2) * m[2] + A * c2 * m[1]
    L2, L3 = S2 - (A + c2) * S1 + A * c2 * S0, Sq - q1 * S0 - A * (S1 - A * S0)
    c4 = (L3 * alpha2 - L2 * alpha1) / (L3 * beta2 - L2 * beta1)
    c = [A, c2, c3, c4]
    b = _solved([[x**k for x in c] for k in range(4)], m)
    q2 = q1 + (c2 - A) * A
    left = [mq - b[0] * q1 - b[1] * q2, mcq - b[0] * A * q1 - b[1] * c2 * q2]
    q3, q4 = _solved([[b[2], b[3]], [b[2] * c3, b[3] * c4]], left)
    a32 = (q3 - q1 - (c3 - A) * A) / (c2 - A)
    row3 = (c3 - A - a32, a32)
    squares = [(c2 - A) * A**2, row3[0] * A**2 + row3[1] * c2**2]
    last = (S2 - b[1] * squares[0] - b[2] * squares[1]) / b[3]
    row4 = _solved([[x**k for x in c[:3]] for k in range(3)], [c4 - A, q4 - q1, last])
    errors = _estimate(c, [q1, q2, q3, q4], [A, q1, E["c"][2], E["q"]])
    return Scheme(tuple(alphas), tuple(c), ((c2 - A,), row3, tuple(row4)), tuple(b), errors)


def _euler_sums(alphas: Sequence) -> tuple[Any, Any, dict[str, Any]]:
    """A, q at the end of the Euler steps, and the sums over their stages of alpha times c^k, q, c q, (a c^2), (a q)."""
    zero = alphas[0] - alphas[0]
    c = q = squares = aq = zero
    powers, sums = [zero] * 4, {"q": zero, "cq": zero, "ac2": zero, "aq": zero}
    for alpha in alphas:
        powers = [p + alpha * c**k for k, p in enumerate(powers)]
        sums["q"] += alpha * q
        sums["cq"] += alpha * c * q
        sums["ac2"] += alpha * squares
        sums["aq"] += alpha * aq
        # What the next stage has accumulated: sum of alpha_i times c_i, c_i^2, q_i, and of alpha_i.
        aq += alpha * q
        squares += alpha * c**2
        q += alpha * c
        c += alpha
    return c, q, {"c": powers, **sums}


def _estimate(c: list, q: list, start: list) -> tuple:
    """e with sum e c^k = 0 for k <= 2 and sum e q = 0, in which u - y counts as `start`."""
    one = c[0] - c[0] + 1
    stages = _solved([[one] * 4, list(c), [x * x for x in c], list(q)], [-s for s in start])
    return tuple(type(one)(ESTIMATE) * e for e in (one, *stages))


def _solved(matrix: list[list], right: list) -> list:
    """Solve a small system by elimination with pivots, in the arithmetic of its entries."""
    rows = [[*row, r] for row, r in zip(matrix, right, strict=True)]
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(i + 1, n):
            factor = rows[k][i] / rows[i][i]
            rows[k] = [x - factor * p for x, p in zip(rows[k], rows[i], strict=True)]
    out: list = [None] * n
    for i in reversed(range(n)):
        out[i] = (rows[i][n] - sum(rows[i][k] * out[k] for k in range(i + 1, n))) / rows[i][i]
    return out


def damped_zeros(factors: int, reach: float) -> np.ndarray:
    """Zeros x = -z of P for n Euler steps and a stretch [0, reach]: those of the polynomial of degree n orthogonal in
    w(-x)^2 / sqrt(x (reach - x)), with w the series of exp(z) / prod (1 - z / zero) to order 4, by iteration.

    Returns
    -------
    array (n,), increasing; it settles in 7 rounds or fewer
    """
    x = reach * (1 - np.cos((np.arange(NODES_A_ZERO * factors + 40) + 0.5) * np.pi / (NODES_A_ZERO * factors + 40))) / 2
    zeros = reach * np.linspace(0.1, 1.0, factors) ** 2
    for _ in range(ROUNDS):
        weights = _series_at(x, zeros) ** 2
        before, now, drop = np.zeros_like(x), np.ones_like(x) / sqrt(weights.sum()), 0.0
        diagonal, beside = [], []
        for _ in range(factors):
            mean = float((weights * x * now * now).sum())
            fresh = (x - mean) * now - drop * before
            drop = sqrt(float((weights * fresh * fresh).sum()))
            diagonal.append(mean)
            beside.append(drop)
            before, now = now, fresh / drop
        last, zeros = zeros, eigvalsh_tridiagonal(np.array(diagonal), np.array(beside[:-1]))
        if np.abs(zeros / last - 1).max() < 1e-9:
            break
    return zeros


def growth(zeros: np.ndarray, x: np.ndarray) -> np.ndarray:
    """|P(-x)| for given zeros and the finish of order 4."""
    out = _series_at(x, zeros)
    for zero in zeros:
        out = out * (1 - x / zero)
    return np.abs(out)


def _series_at(x: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """w(-x): exp(z) / prod (1 - z / zero) to order 4."""
    series = np.array([1 / factorial(k) for k in range(5)])
    for zero in zeros:
        for k in range(1, 5):
            series[k] -= series[k - 1] / zero
    return np.polyval(series[::-1], -x)


def _leja(zeros: np.ndarray) -> list[float]:
    """The largest first, then the one at which the product over those before it is largest."""
    values = np.asarray(zeros)
    logs = np.zeros_like(values)
    left = list(range(values.size))
    out: list[float] = []
    pick = int(np.argmax(values))
    while True:
        out.append(float(values[pick]))
        left.remove(pick)
        if not left:
            return out
        logs += np.log(np.maximum(np.abs(1 - values / values[pick]), 1e-300))
        pick = max(left, key=lambda k: logs[k])


@lru_cache(maxsize=256)
def scheme_of(factors: int) -> tuple[float, Scheme]:
    """The scheme of n Euler steps that reaches furthest, and its reach.

    Raises
    ------
    InputError
        For fewer than 1 or more than 250 Euler steps.

    Examples
    --------
    >>> reach, scheme = scheme_of(12)
    >>> len(scheme.alphas), reach > 0.32 * 16**2
    (12, True)
    """
    if not 1 <= factors <= MOST:
        raise InputError(f"factors: {factors!r} Euler steps; give from 1 to {MOST}.")
    for share in np.arange(0.345, 0.2, -0.005):
        reach = float(share) * (factors + 4) ** 2
        zeros = damped_zeros(factors, reach)
        x = reach * (1 - np.cos(np.linspace(0.0, np.pi, 20 * factors + 200))) / 2
        if np.all(growth(zeros, x) <= np.maximum(DAMPED, 1 - x / 2)):
            return reach, finish([1 / zero for zero in _leja(zeros)])
    raise AssertionError(f"no stable scheme of {factors} Euler steps")
