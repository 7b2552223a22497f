"""Steps that bound an expression on a box rigorously, by interval arithmetic with outward rounding and bisection."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import sympy as sp
from mpmath.ctx_iv import MPIntervalContext

from .verdict import Undecided, Verdict, holds, refuted

BITS = 100
MAX_BOXES = 20_000


@dataclass(frozen=True)
class Enclosure:
    """`low < expression < high` (None: no bound) on all of a box of closed rational intervals.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> Enclosure("log 2", sp.log(2), sp.Rational(693, 1000), sp.Rational(694, 1000)).decide().status
    'holds'
    >>> Enclosure("too low", sp.log(2), None, sp.Rational(693, 1000)).decide().status
    'refuted'
    >>> Enclosure("convex", sp.exp(x) - x, sp.Rational(9, 10), None, {x: (sp.S(-1), sp.S(1))}).decide().status
    'holds'
    """

    says: str
    expression: sp.Expr
    low: sp.Rational | None
    high: sp.Rational | None
    box: Mapping[sp.Symbol, tuple[sp.Rational, sp.Rational]] = field(default_factory=dict)
    kind: ClassVar[str] = "interval enclosure"

    def decide(self) -> Verdict:
        context = MPIntervalContext()
        context.prec = BITS
        # Widest boxes first, so that a box that violates the bound is met before the border is refined without end.
        waiting, seen = deque([dict(self.box)]), 0
        while waiting:
            box, seen = waiting.popleft(), seen + 1
            value = _evaluate(self.expression, {x: _interval(context, *ends) for x, ends in box.items()}, context)
            above, below = self._clears(value, context)
            if above and below:
                continue
            if self._violates(value, context):
                return refuted(f"it lies in {value} on {box or 'a point'}")
            if not box or seen > MAX_BOXES:
                raise Undecided(f"the enclosure {value} on {box or 'a point'} is too wide to decide")
            waiting += _halves(box)
        return holds(f"{seen} boxes, outward rounding at {BITS} bits")

    def _clears(self, value: Any, context: MPIntervalContext) -> tuple[bool, bool]:
        above = self.low is None or bool(value.a > _interval(context, self.low, self.low).b)
        below = self.high is None or bool(value.b < _interval(context, self.high, self.high).a)
        return above, below

    def _violates(self, value: Any, context: MPIntervalContext) -> bool:
        under = self.low is not None and bool(value.b <= _interval(context, self.low, self.low).a)
        over = self.high is not None and bool(value.a >= _interval(context, self.high, self.high).b)
        return under or over


def _halves(box: dict[sp.Symbol, tuple[sp.Rational, sp.Rational]]) -> list[dict]:
    widest = max(box, key=lambda x: box[x][1] - box[x][0])
    low, high = box[widest]
    middle = (low + high) / 2
    return [{**box, widest: (low, middle)}, {**box, widest: (middle, high)}]


def _interval(context: MPIntervalContext, low: sp.Rational, high: sp.Rational) -> Any:
    low, high = sp.Rational(low), sp.Rational(high)
    left, right = (context.mpf(int(x.p)) / context.mpf(int(x.q)) for x in (low, high))
    return context.mpf([left.a, right.b])


def _evaluate(x: sp.Expr, box: Mapping[sp.Symbol, Any], context: MPIntervalContext) -> Any:
    """An enclosure of the values of an expression on a box; never by way of floats."""
    if x.is_Rational:
        return _interval(context, x, x)
    if x.is_Symbol:
        if x not in box:
            raise Undecided(f"the box says nothing of {x}")
        return box[x]
    if x is sp.S.Exp1:
        return context.exp(context.mpf(1))
    parts = [_evaluate(part, box, context) for part in x.args]
    if x.is_Add or x.is_Mul:
        total = parts[0]
        for part in parts[1:]:
            total = total + part if x.is_Add else total * part
        return total
    if x.is_Pow and x.exp.is_Integer:
        if x.exp < 0 and 0 in parts[0]:
            raise Undecided(f"{x.base} may vanish")
        return parts[0] ** int(x.exp)
    if x.is_Pow and abs(x.exp) == sp.Rational(1, 2):
        root = context.sqrt(_above_zero(parts[0], x.base))
        return root if x.exp > 0 else 1 / root
    if isinstance(x, sp.exp):
        return context.exp(parts[0])
    if isinstance(x, sp.log):
        return context.log(_above_zero(parts[0], x.args[0]))
    raise Undecided(f"{type(x).__name__} in {x} has no enclosure here")


def _above_zero(value: Any, of: sp.Expr) -> Any:
    if not value.a > 0:
        raise Undecided(f"{of} may fail to be positive")
    return value
