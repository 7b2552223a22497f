"""Steps that say that a rational function is positive on a box: Sturm's theorem, or coefficients after a shift.

One variable: the roots of numerator and denominator in the interval are counted exactly.  Several: each variable is
written as low + u (or (low + high u) / (1 + u) when it is bounded) with u >= 0; when no coefficient is negative, the
function is not.  Where coefficients differ in sign the step looks for a point with the wrong sign, and is undecided
without one; an explicit sum of squares (`SumOfSquares`) can then show more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random
from typing import ClassVar

import sympy as sp
from sympy.polys.rings import PolyElement

from .normal_form import remainder
from .quotient import quotient
from .verdict import Undecided, Verdict, holds, refuted

MAX_SAMPLES = 300  # points tried for a wrong sign


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
        expression = sp.sympify(self.expression)
        if len(expression.free_symbols) <= 1:
            expression = sp.cancel(expression)
        missing = expression.free_symbols - set(self.domain)
        if missing:
            raise Undecided(f"the domain says nothing of {', '.join(sorted(map(str, missing)))}")
        used = {x: self.domain[x] for x in sorted(expression.free_symbols, key=str)}
        ring = sp.ring(list(used) or "x", sp.QQ)[0]
        whole, intervals = quotient(ring, expression), tuple(used.values())
        sign = 1
        for factor, power in whole.denominator:
            own = _sign(factor, intervals, strict=True)
            if own == 0:
                raise Undecided(f"the denominator {factor} may vanish or change sign")
            sign *= own**power
        if _sign(sign * whole.numerator, intervals, self.strict) == 1:
            return holds(f"exact signs on {_described(used)}")
        if not whole.numerator and self.strict:
            return refuted("it is 0 everywhere")
        for point in _samples(used):
            value = expression.xreplace(point)
            if value < 0 or (self.strict and value == 0):
                return refuted(f"it is {value} at {', '.join(f'{x}={v}' for x, v in point.items()) or 'all points'}")
        if len(used) <= 1:
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


def _sign(polynomial: PolyElement, intervals: tuple[Interval, ...], strict: bool) -> int:
    """1 or -1: the sign where each variable is in its interval (0 allowed unless strict); 0: not determined."""
    if not polynomial:
        return 0 if strict else 1
    if polynomial.is_ground:
        return 1 if polynomial.LC > 0 else -1
    occurring = [i for i, powers in enumerate(zip(*polynomial.itermonoms(), strict=True)) if any(powers)]
    if len(occurring) == 1:
        x = polynomial.ring.symbols[occurring[0]]
        return _sign_by_roots(sp.Poly(polynomial.as_expr(), x, domain=sp.QQ), intervals[occurring[0]], strict)
    return _sign_by_shift(polynomial, intervals, occurring, strict)


def _sign_by_roots(polynomial: sp.Poly, interval: Interval, strict: bool) -> int:
    if strict and _roots(polynomial, interval):
        return 0
    odd = [factor for factor, power in polynomial.sqf_list()[1] if power % 2]
    if any(_roots(factor, Interval(interval.low, interval.high, open=True)) for factor in odd):
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


def _sign_by_shift(polynomial: PolyElement, intervals: tuple[Interval, ...], occurring: list[int], strict: bool) -> int:
    if strict and any(intervals[i].high is not None and not intervals[i].open for i in occurring):
        raise Undecided("strict positivity up to a closed upper end is decided for one variable alone")
    for i in occurring:
        polynomial = _shifted(polynomial, i, intervals[i])
    for sign in (1, -1):
        if all(sign * coefficient >= 0 for coefficient in polynomial.itercoeffs()):
            return sign if not strict or _vanishes_nowhere(polynomial, intervals) else 0
    return 0


def _shifted(polynomial: PolyElement, i: int, interval: Interval) -> PolyElement:
    """x = low + u, or x = (low + high u) / (1 + u) times (1 + u)^degree, in the i-th variable."""
    ring, u = polynomial.ring, polynomial.ring.gens[i]
    degree = max(powers[i] for powers in polynomial.itermonoms())
    by_power = [ring.zero for _ in range(degree + 1)]
    for powers, coefficient in polynomial.iterterms():
        rest = tuple(0 if j == i else power for j, power in enumerate(powers))
        by_power[powers[i]] += ring({rest: coefficient})
    low = _rational(interval.low)
    top = low + u if interval.high is None else low + _rational(interval.high) * u
    bottom = ring.one if interval.high is None else 1 + u
    return sum((part * top**k * bottom ** (degree - k) for k, part in enumerate(by_power) if part), ring.zero)


def _rational(number: sp.Rational) -> object:
    number = sp.Rational(number)
    return sp.QQ(number.p, number.q)


def _vanishes_nowhere(polynomial: PolyElement, intervals: tuple[Interval, ...]) -> bool:
    """Whether some term vanishes nowhere: its variables all stay off the lower end."""
    return any(
        all(power == 0 or intervals[i].open for i, power in enumerate(powers)) for powers in polynomial.itermonoms()
    )


def _samples(domain: Domain) -> Iterator[dict[sp.Symbol, sp.Rational]]:
    """Points to look for a wrong sign at: near both ends, and between; all combinations where they are few."""
    axes = [_points(interval) for interval in domain.values()]
    if prod(len(axis) for axis in axes) <= MAX_SAMPLES:
        yield from (dict(zip(domain, point, strict=True)) for point in product(*axes))
        return
    choose = Random(0)  # any points will do; the same ones each time
    for _ in range(MAX_SAMPLES):
        yield {x: choose.choice(axis) for x, axis in zip(domain, axes, strict=True)}


def _points(interval: Interval) -> list[sp.Rational]:
    if interval.high is None:
        points = [interval.low + d for d in (sp.Rational(1, 50), sp.S(1), sp.S(3), sp.S(40))]
    else:
        width = interval.high - interval.low
        points = [interval.low + width * f for f in (sp.Rational(1, 50), sp.Rational(1, 2), sp.Rational(49, 50))]
        points += [] if interval.open else [interval.high]
    return points + ([] if interval.open else [interval.low])


def _described(domain: Domain) -> str:
    if not domain:
        return "a number"
    left, right = ("(", ")"), ("[", "]")
    return ", ".join(
        f"{x} in {(left if i.open else right)[0]}{i.low}, {'oo' if i.high is None else i.high}"
        f"{(left if i.open or i.high is None else right)[1]}"
        for x, i in domain.items()
    )
