"""Quotients of polynomials with factored denominators: enough to decide whether a rational function vanishes.

Bringing a sum to its lowest terms takes greatest common divisors in many variables, which is where rational-function
arithmetic spends its time.  Deciding that a quotient is zero needs none: the numerator over *some* common denominator
says it.  Denominators are kept as the powers of polynomials that an expression itself divides by.
"""

from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.polys.rings import PolyElement, PolyRing

from .verdict import Undecided


@dataclass(frozen=True)
class Quotient:
    """`numerator` over the product of `denominator`'s polynomials to their powers."""

    numerator: PolyElement
    denominator: tuple[tuple[PolyElement, int], ...] = ()


def quotient(ring: PolyRing, expression: sp.Expr) -> Quotient:
    """A rational expression over QQ as a quotient of polynomials of `ring`.

    Raises
    ------
    Undecided
        For a division by what vanishes identically, and for what is no rational expression.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> quotient(sp.ring("x", sp.QQ)[0], 1 / x + 1 / (x + 1) - (2 * x + 1) / (x * (x + 1))).numerator
    0
    """
    if expression.is_Rational:
        return Quotient(ring(sp.QQ(expression.p, expression.q)))
    if expression.is_Symbol:
        return Quotient(ring(expression))
    if expression.is_Add:
        return _sum(ring, [quotient(ring, part) for part in expression.args])
    if expression.is_Mul:
        total = Quotient(ring.one)
        for part in expression.args:
            total = _product(total, quotient(ring, part))
        return total
    if expression.is_Pow and expression.exp.is_Integer:
        return _power(quotient(ring, expression.base), int(expression.exp), expression)
    raise Undecided(f"{expression} is no rational function over QQ")


def _product(left: Quotient, right: Quotient) -> Quotient:
    powers = dict(left.denominator)
    for factor, power in right.denominator:
        powers[factor] = powers.get(factor, 0) + power
    return Quotient(left.numerator * right.numerator, tuple(powers.items()))


def _sum(ring: PolyRing, parts: list[Quotient]) -> Quotient:
    common: dict[PolyElement, int] = {}
    for part in parts:
        for factor, power in part.denominator:
            common[factor] = max(common.get(factor, 0), power)
    total = ring.zero
    for part in parts:
        own, lifted = dict(part.denominator), part.numerator
        for factor, power in common.items():
            if power > own.get(factor, 0):
                lifted *= factor ** (power - own.get(factor, 0))
        total += lifted
    return Quotient(total, tuple(common.items()))


def _power(base: Quotient, exponent: int, expression: sp.Expr) -> Quotient:
    if exponent >= 0:
        return Quotient(
            base.numerator**exponent, tuple((factor, power * exponent) for factor, power in base.denominator)
        )
    if not base.numerator:
        raise Undecided(f"a division by zero in {expression}")
    top = base.numerator.ring.one
    for factor, power in base.denominator:
        top *= factor ** (-exponent * power)
    scale, factors = _split(base.numerator)
    return Quotient(top * (1 / scale) ** -exponent, tuple((factor, -exponent * power) for factor, power in factors))


def _split(polynomial: PolyElement) -> tuple[Any, list[tuple[PolyElement, int]]]:
    """A polynomial as a number, powers of variables, and a monic rest, so that denominators share what they can."""
    ring = polynomial.ring
    least = [min(powers) for powers in zip(*polynomial.itermonoms(), strict=True)]
    scale = polynomial.LC
    rest = polynomial.quo_ground(scale)
    if any(least):
        rest = rest.quo(ring({tuple(least): ring.domain.one}))
    factors = [(variable, power) for variable, power in zip(ring.gens, least, strict=True) if power]
    return scale, factors + ([(rest, 1)] if rest != ring.one else [])
