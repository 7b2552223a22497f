"""Steps by induction over whole numbers: the base case and the step from K to K + 1, both identities."""

from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from .identity import Identity
from .verdict import Verdict, holds


@dataclass(frozen=True)
class Induction:
    """A quantity with value `base` at `first`, and value `step` at K + 1 when it is `known` at K, equals `closed`.

    Attributes
    ----------
    says : what the step shows
    variable : Symbol, the K of the induction
    first : the least K
    base : the quantity at `first`
    known : Symbol that stands for the quantity at K within `step`
    step : the quantity at K + 1, in terms of `known` and `variable`
    closed : the claimed value, in terms of `variable`

    Examples
    --------
    >>> K, f = sp.Symbol("K", integer=True, positive=True), sp.Symbol("f")
    >>> Induction("1 + 2 + ... + K", K, 1, sp.S(1), f, f + K + 1, K * (K + 1) / 2).decide().status
    'holds'
    >>> Induction("powers", K, 0, sp.S(1), f, 2 * f, 2**K).decide().status
    'holds'
    >>> Induction("wrong base", K, 0, sp.S(3), f, 2 * f, 2**K).decide().status
    'refuted'
    """

    says: str
    variable: sp.Symbol
    first: int
    base: sp.Expr
    known: sp.Symbol
    step: sp.Expr
    closed: sp.Expr
    kind: ClassVar[str] = "induction"

    def decide(self) -> Verdict:
        first = Identity("base", self.base, self.closed.subs(self.variable, self.first)).decide()
        if first.status != "holds":
            return Verdict(first.status, f"base {self.variable} = {self.first}: {first.reason}")
        after = self.step.subs(self.known, self.closed)
        then = Identity("step", after, self.closed.subs(self.variable, self.variable + 1)).decide()
        if then.status != "holds":
            return Verdict(then.status, f"step: {then.reason}")
        return holds(f"base {self.variable} = {self.first}, and the step from {self.variable} to {self.variable} + 1")
