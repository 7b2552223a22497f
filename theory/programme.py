"""Linear programmes with costs >= 0, solved exactly: the dual simplex method over rationals.

    min c z    subject to    A z >= b,    z >= 0,        c >= 0.

With costs >= 0 the dual is feasible from the start, so no first phase is needed; of equal choices the one of lowest
number is taken, in rows and in columns, so that degenerate programmes, which symmetry makes common, cannot cycle.

References: Lemke 1954; Bland 1977.
"""

from collections.abc import Sequence
from fractions import Fraction

import sympy as sp


def minimise(
    cost: Sequence[sp.Rational], rows: Sequence[Sequence[sp.Rational]], bounds: Sequence[sp.Rational]
) -> list[sp.Rational] | None:
    """An optimal z of min cost z subject to rows z >= bounds, z >= 0; None when no z is feasible.

    Parameters
    ----------
    cost : n rationals >= 0
    rows : k rows of n rationals
    bounds : k rationals

    Examples
    --------
    >>> one = sp.Integer(1)
    >>> minimise([one, one], [[2 * one, one], [one, 3 * one]], [one, one])
    [2/5, 1/5]
    """
    n, k = len(cost), len(rows)
    # A dictionary: each basic variable is a constant plus multiples of the nonbasic ones, which stand at 0.  Variables
    # 0 .. n-1 are z, n .. n+k-1 the slacks A z - b, which are basic at first.
    constant = [-_fraction(bound) for bound in bounds]
    multiple = [[_fraction(entry) for entry in row] for row in rows]
    price = [_fraction(value) for value in cost]
    basic, nonbasic = list(range(n, n + k)), list(range(n))
    while True:
        short = [(basic[i], i) for i in range(k) if constant[i] < 0]
        if not short:
            break
        leaving = min(short)[1]
        helps = [(price[j] / multiple[leaving][j], nonbasic[j], j) for j in range(n) if multiple[leaving][j] > 0]
        if not helps:
            return None
        entering = min(helps)[2]
        pivot = multiple[leaving][entering]
        # Solve the leaving row for the entering variable, and put it into the other rows and the costs.
        constant[leaving] /= -pivot
        multiple[leaving] = [1 / pivot if j == entering else -x / pivot for j, x in enumerate(multiple[leaving])]
        for i in range(k):
            if i != leaving:
                factor = multiple[i][entering]
                constant[i] += factor * constant[leaving]
                multiple[i] = _substituted(multiple[i], entering, multiple[leaving])
        price = _substituted(price, entering, multiple[leaving])
        basic[leaving], nonbasic[entering] = nonbasic[entering], basic[leaving]
    z = [sp.Integer(0)] * n
    for variable, value in zip(basic, constant, strict=True):
        if variable < n:
            z[variable] = sp.Rational(value.numerator, value.denominator)
    return z


def _fraction(value: sp.Rational) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def _substituted(row: list[Fraction], entering: int, solved: list[Fraction]) -> list[Fraction]:
    factor = row[entering]
    return [factor * y if j == entering else x + factor * y for j, (x, y) in enumerate(zip(row, solved, strict=True))]
