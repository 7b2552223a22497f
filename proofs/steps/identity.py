"""Steps that are identities between expressions: decided by normal form over QQ, after differentiation where asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import sympy as sp
from sympy.core.function import AppliedUndef

from .normal_form import remainder
from .verdict import Undecided, Verdict, holds, refuted

DIGITS = 40  # of the evaluation at a point of difference
NOTICEABLE = sp.Float(10) ** -20


@dataclass(frozen=True)
class Identity:
    """`left == right` as rational functions over QQ of symbols, exponentials, logarithms and roots.

    Attributes
    ----------
    says : what the step shows
    left, right : Expr
    where : pairs of expressions that are equal; the identity then is one modulo these relations

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> Identity("a square", (x + 1) ** 2, x**2 + 2 * x + 1).decide().status
    'holds'
    >>> Identity("no square", (x + 1) ** 2, x**2 + 2 * x).decide().status
    'refuted'
    """

    says: str
    left: sp.Expr
    right: sp.Expr
    where: tuple[tuple[sp.Expr, sp.Expr], ...] = ()
    kind: ClassVar[str] = "identity"

    def decide(self) -> Verdict:
        difference = sp.sympify(self.left) - sp.sympify(self.right)
        rest = remainder(difference, [left - right for left, right in self.where])
        if rest == 0:
            return holds("normal form 0 over QQ")
        if self.where:
            return refuted(f"normal form modulo the relations is {_short(rest)}, not 0")
        point = _point(difference)
        gap = _value(difference, point)
        if gap is None or abs(gap) < NOTICEABLE:
            raise Undecided(f"normal form {_short(rest)} is not 0, but no point of difference was found")
        return refuted(f"the sides differ by {sp.N(gap, 6)} at {', '.join(f'{s}={v}' for s, v in point.items())}")


@dataclass(frozen=True)
class DifferentialIdentity:
    """`solution` obeys the flow `rates`, and passes through `start` at time 0; by substitution and normal form.

    Attributes
    ----------
    says : what the step shows
    solution : mapping from state symbol to an expression in `time`
    rates : mapping from state symbol to its rate, an expression in state symbols
    time : Symbol
    start : mapping from state symbol to its value at time 0; empty to leave the start open
    where : pairs of expressions that are equal

    Examples
    --------
    >>> t, x, a = sp.symbols("t x a")
    >>> DifferentialIdentity("growth", {x: sp.exp(a * t)}, {x: a * x}, t, {x: 1}).decide().status
    'holds'
    >>> DifferentialIdentity("wrong start", {x: sp.exp(a * t)}, {x: a * x}, t, {x: 2}).decide().status
    'refuted'
    """

    says: str
    solution: Mapping[sp.Symbol, sp.Expr]
    rates: Mapping[sp.Symbol, sp.Expr]
    time: sp.Symbol
    start: Mapping[sp.Symbol, sp.Expr] = field(default_factory=dict)
    where: tuple[tuple[sp.Expr, sp.Expr], ...] = ()
    kind: ClassVar[str] = "differential identity"

    def decide(self) -> Verdict:
        if not self.solution or set(self.solution) != set(self.rates):
            raise Undecided("each state symbol needs both a solution and a rate")
        for x, solution in self.solution.items():
            rate = self.rates[x].subs(dict(self.solution), simultaneous=True)
            verdict = Identity(f"d{x}/dt", sp.diff(solution, self.time), rate, self.where).decide()
            if verdict.status != "holds":
                return Verdict(verdict.status, f"d{x}/dt: {verdict.reason}")
        for x, value in self.start.items():
            verdict = Identity(f"{x}(0)", self.solution[x].subs(self.time, 0), value, self.where).decide()
            if verdict.status != "holds":
                return Verdict(verdict.status, f"{x}(0): {verdict.reason}")
        return holds(f"{len(self.solution)} equations and {len(self.start)} initial values, each with normal form 0")


def _point(expression: sp.Expr) -> dict[sp.Expr, sp.Expr]:
    """A rational point that respects the symbols' assumptions (whole where they are integers, positive all)."""
    names = sorted(expression.free_symbols, key=str)
    return {s: sp.Integer(i + 2) if s.is_integer else sp.Rational(2 * i + 3, 3 * i + 7) for i, s in enumerate(names)}


def _value(expression: sp.Expr, point: Mapping[sp.Expr, sp.Expr]) -> sp.Expr | None:
    value = expression.subs(dict(point), simultaneous=True)
    unknown = sorted(value.atoms(AppliedUndef), key=str)
    value = value.xreplace({f: sp.Rational(i + 1, i + 5) for i, f in enumerate(unknown)})
    number = sp.N(value, DIGITS)
    return number if number.is_number and number.is_finite else None


def _short(expression: sp.Expr) -> str:
    text = str(expression)
    return text if len(text) < 120 else f"{text[:117]}..."
