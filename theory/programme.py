"""Linear programmes with costs >= 0, solved exactly, and along a ray of costs.

    min c z    subject to    A z >= b,    z >= 0,        c >= 0;        c = c0 + theta c1 for all theta > 0.

A and b are rational.  Costs may be irrational: the simplex method only adds them up with rational factors and asks for
signs, which `ufmflow.theory.surds` decides.  With costs >= 0 the dual is feasible from the start, so no first phase is
needed; of equal choices the one of lowest number is taken, in rows and in columns, so that degenerate programmes, which
symmetry makes common, cannot cycle.  Along a ray, each basis is optimal up to the theta where a price falls to zero;
primal steps from there lead on.

References: Lemke 1954; Gass and Saaty 1955 (parametric costs); Bland 1977.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from .surds import Surds

Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class Optimum:
    """A vertex that solves a programme.

    Attributes
    ----------
    primal : n exact numbers, z
    dual : k exact numbers, y >= 0 with A' y <= c and b y = c z: the certificate
    unique : whether no other z is optimal
    """

    primal: tuple[sp.Expr, ...]
    dual: tuple[sp.Expr, ...]
    unique: bool


@dataclass(frozen=True)
class Piece:
    """`optimum` solves the programme for low <= theta <= high (None: for all theta >= low).

    The dual is an expression in `THETA`; `unique` is said of the inside of the interval.
    """

    low: sp.Rational
    high: sp.Rational | None
    optimum: Optimum


THETA = sp.Symbol("theta", positive=True)


def minimise(
    cost: Sequence[sp.Expr], rows: Sequence[Sequence[sp.Rational]], bounds: Sequence[sp.Rational]
) -> Optimum | None:
    """An optimal vertex of min cost z subject to rows z >= bounds, z >= 0; None when no z is feasible.

    Parameters
    ----------
    cost : n exact numbers >= 0
    rows : k rows of n rationals
    bounds : k rationals

    Examples
    --------
    >>> one = sp.Integer(1)
    >>> found = minimise([one, sp.sqrt(2)], [[2 * one, one], [one, 3 * one]], [one, one])
    >>> found.primal, found.dual, found.unique
    ((2/5, 1/5), (3/5 - sqrt(2)/5, -1/5 + 2*sqrt(2)/5), True)
    """
    surds = Surds.of(cost)
    table = _Dictionary([surds.coordinates(c) for c in cost], rows, bounds)
    if not table.dual_simplex(surds.sign):
        return None
    return table.optimum(surds.sign, surds.number)


def along_ray(
    cost: Sequence[sp.Rational],
    slope: Sequence[sp.Rational],
    rows: Sequence[Sequence[sp.Rational]],
    bounds: Sequence[sp.Rational],
) -> list[Piece] | None:
    """Optimal vertices for the costs cost + theta slope, for every theta > 0; None when no z is feasible.

    Parameters
    ----------
    cost, slope : n rationals >= 0 each

    Examples
    --------
    >>> one, no = sp.Integer(1), sp.Integer(0)
    >>> for piece in along_ray([one, no], [no, one], [[one, 2 * one]], [one]):
    ...     print(piece.low, piece.high, piece.optimum.primal, piece.optimum.dual)
    0 2 (0, 1/2) (theta/2,)
    2 None (1, 0) (1,)
    """
    table = _Dictionary([(_fraction(c), _fraction(s)) for c, s in zip(cost, slope, strict=True)], rows, bounds)
    theta = Fraction(0)
    if not table.dual_simplex(_just_beyond(theta)):
        return None
    pieces: list[Piece] = []
    while True:
        ends = [-price[0] / price[1] for price in table.price if price[1] < 0]
        optimum = table.optimum(_just_beyond(theta), lambda price: _rational(price[0]) + _rational(price[1]) * THETA)
        pieces.append(Piece(_rational(theta), _rational(min(ends)) if ends else None, optimum))
        if not ends:
            return pieces
        theta = min(ends)
        table.primal_simplex(_just_beyond(theta))


def _just_beyond(theta: Fraction) -> Callable[[Vector], int]:
    """The sign of price[0] + (theta + e) price[1] for every small e > 0."""

    def sign(price: Vector) -> int:
        value = price[0] + theta * price[1] or price[1]
        return (value > 0) - (value < 0)

    return sign


class _Dictionary:
    """Each basic variable as a constant plus multiples of the nonbasic ones, which stand at 0.

    Variables 0 .. n-1 are z, n .. n+k-1 the slacks A z - b, which are basic at first.  Prices (reduced costs) are
    vectors that a `sign` of the caller orders.
    """

    def __init__(self, cost: Sequence[Vector], rows: Iterable[Iterable[sp.Rational]], bounds: Iterable[sp.Rational]):
        self.constant = [-_fraction(bound) for bound in bounds]
        self.multiple = [[_fraction(entry) for entry in row] for row in rows]
        self.price = list(cost)
        self.n, self.k = len(cost), len(self.constant)
        self.basic, self.nonbasic = list(range(self.n, self.n + self.k)), list(range(self.n))

    def dual_simplex(self, sign: Callable[[Vector], int]) -> bool:
        """From prices >= 0 to constants >= 0 too; False when that is impossible."""
        while short := [(self.basic[i], i) for i in range(self.k) if self.constant[i] < 0]:
            row = min(short)[1]
            column = None
            for j in sorted(range(len(self.nonbasic)), key=self.nonbasic.__getitem__):
                own = self.multiple[row][j]
                if own > 0 and (column is None or sign(_combined(self.price, j, column, self.multiple[row])) < 0):
                    column = j
            if column is None:
                return False
            self._pivot(row, column)
        return True

    def primal_simplex(self, sign: Callable[[Vector], int]) -> bool:
        """From constants >= 0 to prices >= 0 too; False when the cost has no lower bound."""
        while falling := [(self.nonbasic[j], j) for j, price in enumerate(self.price) if sign(price) < 0]:
            column = min(falling)[1]
            limits = [
                (-self.constant[i] / self.multiple[i][column], self.basic[i], i)
                for i in range(self.k)
                if self.multiple[i][column] < 0
            ]
            if not limits:
                return False
            self._pivot(min(limits)[2], column)
        return True

    def _pivot(self, row: int, column: int) -> None:
        """Solve a row for the entering variable, and put it into the other rows and the prices."""
        pivot = self.multiple[row][column]
        self.constant[row] /= -pivot
        solved = [1 / pivot if j == column else -x / pivot for j, x in enumerate(self.multiple[row])]
        self.multiple[row] = solved
        for i in range(self.k):
            factor = self.multiple[i][column]
            if i != row and factor:
                self.constant[i] += factor * self.constant[row]
                self.multiple[i] = [
                    factor * y if j == column else x + factor * y
                    for j, (x, y) in enumerate(zip(self.multiple[i], solved, strict=True))
                ]
        entering = self.price[column]
        self.price = [
            tuple(p * y for p in entering) if j == column else tuple(x + p * y for x, p in zip(price, entering))
            for j, (price, y) in enumerate(zip(self.price, solved, strict=True))
        ]
        self.basic[row], self.nonbasic[column] = self.nonbasic[column], self.basic[row]

    def optimum(self, sign: Callable[[Vector], int], number: Callable[[Vector], sp.Expr]) -> Optimum:
        values = dict(zip(self.basic, self.constant, strict=True))
        prices = dict(zip(self.nonbasic, self.price, strict=True))
        primal = tuple(_rational(values.get(j, Fraction(0))) for j in range(self.n))
        dual = tuple(number(prices[j]) if j in prices else sp.Integer(0) for j in range(self.n, self.n + self.k))
        return Optimum(primal, dual, self._is_unique(sign))

    def _is_unique(self, sign: Callable[[Vector], int]) -> bool:
        """Other optima raise nonbasic variables without price alone: maximise the sum of these."""
        free = [j for j, price in enumerate(self.price) if sign(price) == 0]
        if not free:
            return True
        face = _Dictionary([(Fraction(-1),)] * len(free), [[row[j] for j in free] for row in self.multiple], [])
        face.constant, face.k = list(self.constant), self.k
        face.basic, face.nonbasic = list(self.basic), [self.nonbasic[j] for j in free]
        raised = set(face.nonbasic)
        if not face.primal_simplex(lambda price: (price[0] > 0) - (price[0] < 0)):
            return False
        return not any(x in raised and value > 0 for x, value in zip(face.basic, face.constant, strict=True))


def _combined(price: Sequence[Vector], j: int, best: int, row: Sequence[Fraction]) -> Vector:
    """A vector of the sign of price_j / row_j - price_best / row_best, for positive row entries."""
    return tuple(x * row[best] - y * row[j] for x, y in zip(price[j], price[best], strict=True))


def _fraction(value: sp.Rational | Fraction) -> Fraction:
    return Fraction(int(value.numerator), int(value.denominator))


def _rational(value: Fraction) -> sp.Rational:
    return sp.Rational(value.numerator, value.denominator)
