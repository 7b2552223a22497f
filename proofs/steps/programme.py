"""Steps that say that a point solves a linear programme: primal and dual feasibility, and equal objectives, exactly.

    min cost . x   subject to   rows x >= bounds,  x >= 0          (primal)
    max bounds . y subject to   rows' y <= cost,   y >= 0          (dual)

The data may be rational functions of symbols on a domain; each inequality is then a positivity step of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import sympy as sp

from .identity import Identity
from .positivity import Domain, Positive
from .verdict import Undecided, Verdict, holds, refuted


@dataclass(frozen=True)
class LinearProgramme:
    """`primal` is optimal, by the certificate `dual`; the only optimum when `unique`.

    For uniqueness: an optimum vanishes where the dual's slack is positive and is tight where the dual is; the step
    checks that what is left determines it.

    Examples
    --------
    >>> one = sp.S(1)
    >>> LinearProgramme("x + 2 y, x + y >= 1", (one, 2 * one), ((one, one),), (one,), (one, one * 0), (one,),
    ...                 unique=True).decide().status
    'holds'
    >>> LinearProgramme("the dearer", (one, 2 * one), ((one, one),), (one,), (one * 0, one), (one,)).decide().status
    'refuted'
    """

    says: str
    cost: Sequence[sp.Expr]
    rows: Sequence[Sequence[sp.Expr]]
    bounds: Sequence[sp.Expr]
    primal: Sequence[sp.Expr]
    dual: Sequence[sp.Expr]
    domain: Domain = field(default_factory=dict)
    unique: bool = False
    kind: ClassVar[str] = "linear programme"

    def decide(self) -> Verdict:
        tight = [_dot(row, self.primal) - bound for row, bound in zip(self.rows, self.bounds, strict=True)]
        columns = list(zip(*self.rows, strict=True))
        spare = [c - _dot(column, self.dual) for c, column in zip(self.cost, columns, strict=True)]
        parts = {"primal": self.primal, "dual": self.dual, "constraint": tight, "dual slack": spare}
        for name, values in parts.items():
            for i, value in enumerate(values):
                verdict = Positive(name, sp.sympify(value), self.domain, strict=False).decide()
                if verdict.status != "holds":
                    return Verdict(verdict.status, f"{name} {i}: {verdict.reason}")
        equal = Identity("objectives", _dot(self.cost, self.primal), _dot(self.bounds, self.dual)).decide()
        if equal.status != "holds":
            return Verdict(equal.status, f"objectives: {equal.reason}")
        return self._determined(spare, columns) if self.unique else holds("both feasible, objectives equal")

    def _determined(self, spare: list[sp.Expr], columns: list[tuple[sp.Expr, ...]]) -> Verdict:
        active = [i for i, y in enumerate(self.dual) if self._is_positive(y)]
        support = [j for j, gap in enumerate(spare) if not self._is_positive(gap)]
        matrix = sp.Matrix([[columns[j][i] for j in support] for i in active])
        if matrix.rows != matrix.cols:
            if matrix.free_symbols:
                raise Undecided("uniqueness with symbols needs as many tight constraints as variables")
            return holds("unique") if matrix.rank() == matrix.cols else refuted("other optima exist or may exist")
        over = matrix.applyfunc(sp.cancel).to_DM().to_field() if support else None
        determinant = sp.factor(over.domain.to_sympy(over.det())) if over else sp.S(1)
        if determinant == 0:
            return refuted("other optima exist or may exist")
        sides = (Positive("determinant", s * determinant, self.domain).decide().status for s in (1, -1))
        return holds("unique") if "holds" in sides else refuted(f"the determinant {determinant} may vanish")

    def _is_positive(self, value: sp.Expr) -> bool:
        if value == 0:
            return False
        return Positive("", sp.sympify(value), self.domain).decide().status == "holds"


def _dot(left: Sequence[sp.Expr], right: Sequence[sp.Expr]) -> sp.Expr:
    return sum((a * b for a, b in zip(left, right, strict=True)), sp.S(0))
