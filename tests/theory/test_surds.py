"""Signs of sums of square roots: against 200 digits, and where all but the last digits cancel."""

from fractions import Fraction

import mpmath
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.theory.errors import InputError
from ufmflow.theory.surds import Surds

SQUARE_FREE = [1, 2, 3, 5, 6, 10, 30]
fractions = st.fractions(-5, 5, max_denominator=20)


@given(st.lists(fractions, min_size=7, max_size=7))
def test_signs_are_those_of_many_digits(coefficients):
    surds = Surds.of([sp.sqrt(n) for n in SQUARE_FREE])
    with mpmath.workdps(200):
        roots = [mpmath.sqrt(int(x**2)) for x in surds.generators]
        value = sum(c.numerator * x / c.denominator for c, x in zip(coefficients, roots, strict=True))
    assert surds.sign(tuple(coefficients)) == mpmath.sign(value)
    assert surds.sign(tuple(-c for c in coefficients)) == -mpmath.sign(value)


@pytest.mark.parametrize("steps", [5, 40, 200])
def test_close_rationals_are_told_from_the_root(steps):
    """Convergents p/q of sqrt(2) lie on alternating sides, 1/q^2 apart: up to 150 digits cancel."""
    p, q = 1, 1
    for _ in range(steps):
        p, q = p + 2 * q, p + q
    surds = Surds.of([sp.Integer(1), sp.sqrt(2)])
    assert surds.sign((Fraction(-p), Fraction(q))) == (1 if p * p < 2 * q * q else -1)
    assert surds.sign((Fraction(p), Fraction(-q))) == (-1 if p * p < 2 * q * q else 1)
    assert surds.sign((Fraction(0), Fraction(0))) == 0


@given(st.lists(st.fractions(Fraction(1, 9), 9, max_denominator=9), min_size=1, max_size=5))
def test_numbers_are_recovered_from_their_coordinates(squares):
    numbers = [sp.sqrt(sp.Rational(x.numerator, x.denominator)) for x in squares]
    surds = Surds.of(numbers)
    assert all(sp.expand(surds.number(surds.coordinates(x)) - x) == 0 for x in numbers)
    assert all((x**2).is_Integer for x in surds.generators)


def test_other_numbers_are_taken_as_they_are_and_refused_where_they_cancel():
    """2^(1/4) and 3 2^(1/4) share a generator; sqrt(2 + sqrt(3)) = (sqrt(6) + sqrt(2)) / 2 is not recognised."""
    fourth = sp.root(2, 4)
    surds = Surds.of([fourth, 3 * fourth, sp.Integer(1)])
    assert len(surds.generators) == 2 and surds.sign((Fraction(-1), Fraction(1))) == 1
    nested = Surds.of([sp.sqrt(2 + sp.sqrt(3)), sp.sqrt(6), sp.sqrt(2)])
    zero = {sp.sqrt(6): Fraction(-1, 2), sp.sqrt(2): Fraction(-1, 2)}
    with pytest.raises(InputError, match="^kernel: .* cannot be decided; give kernels whose product"):
        nested.sign(tuple(zero.get(x, Fraction(1)) for x in nested.generators))
