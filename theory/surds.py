"""Sums of rational multiples of square roots, with signs that are decided exactly.

Square roots of different square-free whole numbers are linearly independent over the rationals, so such a sum vanishes
only when every coefficient does, and otherwise enough digits show its sign.

Reference: Besicovitch 1940.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from .errors import InputError

FLOAT_ERROR = 1e-13  # of a sum of some dozens of floats, relative to the sum of their sizes
MAX_DIGITS = 2000  # for numbers whose dependence is not known


@dataclass(frozen=True)
class Surds:
    """The rational span of positive `generators`: square roots, or other exact numbers taken as they are.

    Examples
    --------
    >>> surds = Surds.of([sp.sqrt(8) / 3, sp.Integer(2), sp.sqrt(2)])
    >>> surds.generators, surds.coordinates(sp.sqrt(8) / 3)
    ((1, sqrt(2)), (Fraction(0, 1), Fraction(2, 3)))
    >>> surds.sign((Fraction(-99, 70), Fraction(1)))
    -1
    """

    generators: tuple[sp.Expr, ...]

    @classmethod
    def of(cls, numbers: Iterable[sp.Expr]) -> "Surds":
        """The span of some exact positive (or zero) numbers."""
        parts = {_split(x)[1] for x in numbers if x != 0}
        return cls(tuple(sorted(parts, key=lambda x: (float(x), str(x)))) or (sp.Integer(1),))

    def coordinates(self, number: sp.Expr) -> tuple[Fraction, ...]:
        """The coefficients of one of the numbers that the span was made of."""
        factor, generator = _split(number)
        return tuple(factor if x == generator else Fraction(0) for x in self.generators)

    def number(self, coordinates: tuple[Fraction, ...]) -> sp.Expr:
        """The number with the given coefficients."""
        return sum(
            (sp.Rational(c.numerator, c.denominator) * x for c, x in zip(coordinates, self.generators, strict=True)),
            sp.Integer(0),
        )

    def sign(self, coordinates: tuple[Fraction, ...]) -> int:
        """-1, 0 or 1.

        Raises
        ------
        InputError
            When generators that are no square roots cancel beyond 2000 digits.
        """
        used = [(c, x) for c, x in zip(coordinates, self.generators, strict=True) if c]
        if len(used) <= 1:
            return (used[0][0] > 0) - (used[0][0] < 0) if used else 0
        terms = [float(c) * float(x) for c, x in used]
        total, size = sum(terms), sum(map(abs, terms))
        if abs(total) > FLOAT_ERROR * size:
            return 1 if total > 0 else -1
        independent = all((x**2).is_Integer for _, x in used)
        digits = 30
        while independent or digits <= MAX_DIGITS:
            # Each root is enclosed between neighbouring multiples of 10^-digits.
            low = high = Fraction(0)
            for c, x in used:
                below = _floor(x, digits)
                low += c * (below if c > 0 else below + 1)
                high += c * (below + 1 if c > 0 else below)
            if low > 0 or high < 0:
                return 1 if low > 0 else -1
            digits *= 2
        raise InputError(
            f"kernel: {self.number(coordinates)} is 0 to {MAX_DIGITS} digits and cannot be decided; "
            "give kernels whose product kW kH on each stratum is rational."
        )


def _split(number: sp.Expr) -> tuple[Fraction, sp.Expr]:
    """A positive number as a rational times a generator; the root of a rational as that of a square-free integer."""
    square = number**2
    if square.is_Rational:
        # sqrt(p / q) = sqrt(p q) / q, and SymPy takes the square factors out of p q.
        factor, root = sp.sqrt(square.p * square.q).as_coeff_Mul()
        return Fraction(int(factor.p), int(factor.q)) / int(square.q), root
    factor, rest = number.as_coeff_Mul()
    return Fraction(int(factor.p), int(factor.q)), rest


def _floor(number: sp.Expr, digits: int) -> int:
    """floor(number * 10^digits), exactly for roots; to within the last digit for others."""
    square = number**2
    if square.is_Integer:
        return math.isqrt(int(square) * 100**digits)
    return int(sp.floor(sp.N(number, digits + 20) * sp.Integer(10) ** digits))
