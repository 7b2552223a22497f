"""Steps that compare finitely many exact values: rationals, matrices of rationals, and plain finite data."""

import operator
from dataclasses import dataclass
from typing import Any, ClassVar

import sympy as sp

from .verdict import Undecided, Verdict, holds, refuted

COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Cases:
    """Every (label, left, relation, right) holds, with relation one of ==, !=, <, <=, >, >=.

    Examples
    --------
    >>> Cases("small squares", (("2", sp.Integer(2) ** 2, "==", sp.Integer(4)),)).decide().status
    'holds'
    >>> Cases("a float", (("2", 0.5, "==", sp.Rational(1, 2)),)).decide()
    Traceback (most recent call last):
    ufmflow.proofs.steps.verdict.Undecided: case 2: 0.5 is not exact
    """

    says: str
    cases: tuple[tuple[str, Any, str, Any], ...]
    kind: ClassVar[str] = "finite cases"

    def decide(self) -> Verdict:
        if not self.cases:
            raise Undecided("no cases")
        for label, left, relation, right in self.cases:
            for value in (left, right):
                if not _is_exact(value):
                    raise Undecided(f"case {label}: {value} is not exact")
            if not COMPARE[relation](left, right):
                return refuted(f"case {label}: {left} {relation} {right} is false")
        return holds(f"{len(self.cases)} cases")


def _is_exact(value: Any) -> bool:
    """Whether equality of values is equality of what they stand for: rationals and finite containers of them."""
    if isinstance(value, (bool, int, str, type(sp.true), type(sp.false))):
        return True
    if isinstance(value, (tuple, list, frozenset)):
        return all(_is_exact(part) for part in value)
    if isinstance(value, dict):
        return all(_is_exact(key) and _is_exact(part) for key, part in value.items())
    if isinstance(value, sp.MatrixBase):
        return all(entry.is_Rational for entry in value)
    return isinstance(value, sp.Expr) and bool(value.is_Rational)
