"""Steps that say that a rational function is positive on a box: Sturm's theorem, or coefficients after a shift.

One variable: the roots of numerator and denominator in the interval are counted exactly.  Several: each variable is
written as low + u (or (low + high u) / (1 + u) when it is bounded) with u >= 0; when no coefficient is negative, the
function is not.  Where coefficients differ in sign the step looks for a point with the wrong sign, and is undecided
without one; an explicit sum of squares (`SumOfSquares`) can then show more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import sympy as sp

from .normal_form import remainder
from .verdict import Undecided, Verdict, holds, refuted


@dataclass(frozen=True)
class Interval:
    """From `low` to `high` (None: to infinity), rational; with its end points, or without when `open`."""

    low: sp.Rational
    high: sp.Rational | None = None
    open: bool = False


POSITIVE = Interval(sp.S(0), open=True)
NONNEGATIVE = Interval(sp.S(0))
SIZE = Interval(sp.S(2))  # of an attribute

Domain = Mapping[sp.Symbol, Interval]


@dataclass(frozen=True)
class Positive:
    """`expression > 0` (`>= 0` when not `strict`) for every point of `domain`.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> Positive("a square may touch 0", (x - 1) ** 2, {x: Interval(sp.S(0), sp.S(1))}, strict=False).decide().status
    'holds'
    >>> Positive("but is not above it", (x - 1) ** 2, {x: Interval(sp.S(0), sp.S(1))}).decide().status
    'refuted'
    >>> Positive("shifted", x * y - x - y + 1, {x: SIZE, y: SIZE}).decide().status
    'holds'
    """

    says: str
    expression: sp.Expr
    domain: Domain
    strict: bool = True
    kind: ClassVar[str] = "positivity"

    def decide(self) -> Verdict:
        numerator, denominator = sp.fraction(sp.cancel(sp.together(self.expression)))
        free = numerator.free_symbols | denominator.free_symbols
        missing = free - set(self.domain)
        if missing:
            raise Undecided(f"the domain says nothing of {', '.join(sorted(map(str, missing)))}")
        used = {x: self.domain[x] for x in sorted(free, key=str)}
        sign = _sign(denominator, used, strict=True)
        if abs(sign) != 1:
            raise Undecided(f"the denominator {denominator} may vanish or change sign")
        if _sign(sign * numerator, used, self.strict) == 1:
            return holds(f"exact signs on {_described(used)}")
        for point in _samples(used):
            value = (sign * numerator).subs(point)
            if value < 0 or (self.strict and value == 0):
                return refuted(f"it is {self.expression.subs(point)} at {', '.join(f'{x}={v}' for x, v in point.items())}")
        if len(used) == 1:
            return refuted("it vanishes or changes sign within the interval, by Sturm's theorem")
        raise Undecided("coefficients of both signs after the shift, and no point with the wrong sign")


@dataclass(frozen=True)
class SumOfSquares:
    """`expression == sum of weight * square^2` with weights that are not negative on `domain`.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> SumOfSquares("", x**2 - 2 * x * y + y**2, ((sp.S(1), x - y),)).decide().status
    'holds'
    >>> SumOfSquares("", x**2 - 2 * x * y + y**2, ((sp.S(1), x + y),)).decide().status
    'refuted'
    """

    says: str
    expression: sp.Expr
    squares: tuple[tuple[sp.Expr, sp.Expr], ...]
    domain: Domain | None = None
    where: tuple[tuple[sp.Expr, sp.Expr], ...] = ()
    kind: ClassVar[str] = "sum of squares"

    def decide(self) -> Verdict:
        total = sum(weight * square**2 for weight, square in self.squares)
        rest = remainder(self.expression - total, [left - right for left, right in self.where])
        if rest != 0:
            return refuted(f"the squares miss the expression by {rest}")
        for weight, _ in self.squares:
            verdict = Positive("weight", weight, self.domain or {}, strict=False).decide()
            if verdict.status != "holds":
                return Verdict(verdict.status, f"weight {weight}: {verdict.reason}")
        return holds(f"a sum of {len(self.squares)} squares with nonnegative weights")


def _sign(polynomial: sp.Expr, domain: Domain, strict: bool) -> int:
    """1 or -1: the sign on all of the domain (0 allowed unless strict); 0: not determined."""
    if polynomial.is_Rational:
        return int(sp.sign(polynomial)) or (0 if strict else 1)
    symbols = polynomial.free_symbols
    if not symbols or not polynomial.is_polynomial(*symbols) or not sp.Poly(polynomial, *symbols).domain in (sp.ZZ, sp.QQ):
        raise Undecided(f"{polynomial} is no polynomial over QQ")
    domain = {x: interval for x, interval in domain.items() if x in symbols}
    if len(domain) == 1:
        ((x, interval),) = domain.items()
        return _sign_by_roots(sp.Poly(polynomial, x, domain=sp.QQ), interval, strict)
    return _sign_by_shift(polynomial, domain, strict)


def _sign_by_roots(polynomial: sp.Poly, interval: Interval, strict: bool) -> int:
    if strict and _roots(polynomial, interval):
        return 0
    crossings = sp.prod([factor for factor, power in polynomial.sqf_list()[1] if power % 2] or [sp.Poly(1, *polynomial.gens)])
    if _roots(crossings, Interval(interval.low, interval.high, open=True)):
        return 0
    for point in _inside(interval, polynomial.degree() + 1):
        value = polynomial.eval(point)
        if value != 0:
            return int(sp.sign(value))
    return 0


def _roots(polynomial: sp.Poly, interval: Interval) -> int:
    """The number of distinct real roots in the interval, exactly (Sturm)."""
    if polynomial.degree() < 1:
        return 0
    count = polynomial.count_roots(interval.low, interval.high)
    if interval.open:
        ends = {interval.low} | ({interval.high} if interval.high is not None else set())
        count -= sum(polynomial.eval(end) == 0 for end in ends)
    return int(count)


def _inside(interval: Interval, count: int) -> list[sp.Rational]:
    """More points in the interior than a polynomial of that degree has roots."""
    if interval.high is None:
        return [interval.low + i for i in range(1, count + 1)]
    width = interval.high - interval.low
    return [interval.low + width * sp.Rational(i, count + 1) for i in range(1, count + 1)]


def _sign_by_shift(polynomial: sp.Expr, domain: Domain, strict: bool) -> int:
    shifts = {x: sp.Dummy(str(x)) for x in domain}
    substitution = {
        x: i.low + shifts[x] if i.high is None else (i.low + i.high * shifts[x]) / (1 + shifts[x])
        for x, i in domain.items()
    }
    if strict and any(i.high is not None and not i.open for i in domain.values()):
        raise Undecided("strict positivity up to a closed upper end is decided for one variable alone")
    shifted = sp.fraction(sp.together(polynomial.subs(substitution, simultaneous=True)))[0]
    coefficients = sp.Poly(shifted, *shifts.values(), domain=sp.QQ).as_dict()
    for sign in (1, -1):
        if all(sign * c >= 0 for c in coefficients.values()):
            return sign if not strict or _positive_term(coefficients, list(domain.values())) else 0
    return 0


def _positive_term(coefficients: Mapping[tuple[int, ...], sp.Rational], intervals: list[Interval]) -> bool:
    """Whether some term vanishes nowhere: its variables all stay off the lower end."""
    return any(all(power == 0 or intervals[i].open for i, power in enumerate(powers)) for powers in coefficients)


def _samples(domain: Domain) -> list[dict[sp.Symbol, sp.Rational]]:
    """Points to look for a wrong sign at: near both ends, and between."""
    axes = []
    for interval in domain.values():
        points = [interval.low + d for d in (sp.Rational(1, 50), sp.S(1), sp.S(3), sp.S(40))]
        if interval.high is not None:
            width = interval.high - interval.low
            points = [interval.low + width * f for f in (sp.Rational(1, 50), sp.Rational(1, 2), sp.Rational(49, 50))]
            points += [] if interval.open else [interval.high]
        axes.append(points + ([] if interval.open else [interval.low]))
    return [dict(zip(domain, point, strict=True)) for point in product(*axes)]


def _described(domain: Domain) -> str:
    if not domain:
        return "a number"
    left, right = ("(", ")"), ("[", "]")
    return ", ".join(
        f"{x} in {(left if i.open else right)[0]}{i.low}, {'oo' if i.high is None else i.high}"
        f"{(left if i.open or i.high is None else right)[1]}"
        for x, i in domain.items()
    )
