"""The max-margin programme of a crossed or nested structure, and the basic solutions that certificates are built from.

    min sum_A m_A b_A z_A    subject to    sum_A m_A (1 - chi_A(T)) / V z_A >= 1 for every T but `same`,   z >= 0,

with b_A = 1 / sqrt(kW_A kH_A), over the strata A but the mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from ..theory.attributes import Attributes


@dataclass(frozen=True)
class MarginProgramme:
    """Cost and constraint rows, with the names of the strata (columns) and relations (rows)."""

    strata: tuple[str, ...]
    relations: tuple[str, ...]
    cost: tuple[sp.Expr, ...]
    rows: tuple[tuple[sp.Expr, ...], ...]

    @property
    def bounds(self) -> tuple[sp.Expr, ...]:
        """Every margin is at least 1."""
        return (sp.S(1),) * len(self.rows)


def margin_programme(attributes: Attributes, cost_per_dimension: Mapping[str, sp.Expr]) -> MarginProgramme:
    """The programme of a structure with b_A for each stratum but the mean."""
    m, V = attributes.multiplicities, attributes.cardinality
    strata, relations = attributes.names[1:], attributes.names[:-1]
    rows = tuple(tuple(m[A] * (1 - attributes.character(A, T)) / V for A in strata) for T in relations)
    return MarginProgramme(strata, relations, tuple(m[A] * cost_per_dimension[A] for A in strata), rows)


def by_order(programme: MarginProgramme) -> MarginProgramme:
    """Crossed factors of one size: strata with equally many attributes share one z, and so do relations.

    The programme is convex and does not change when attributes are exchanged, so some optimum is of this form.
    """

    def order(name: str) -> int:
        return 0 if name == "1" else name.count(":") + 1

    degrees = sorted({order(A) for A in programme.strata})
    columns = {d: [j for j, A in enumerate(programme.strata) if order(A) == d] for d in degrees}
    first = {order(T): i for i, T in reversed(list(enumerate(programme.relations)))}
    kept = sorted(first, reverse=True)  # fewest differences first
    cost = tuple(sum(programme.cost[j] for j in columns[d]) for d in degrees)
    rows = tuple(tuple(sp.cancel(sum(programme.rows[first[t]][j] for j in columns[d])) for d in degrees) for t in kept)
    return MarginProgramme(tuple(map(str, degrees)), tuple(map(str, kept)), cost, rows)


def basic_solution(
    programme: MarginProgramme, support: Sequence[int], active: Sequence[int]
) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """Primal and dual with the given columns in use and the given rows tight; the checker says whether they solve."""
    square = sp.Matrix([[programme.rows[i][j] for j in support] for i in active])
    primal = _solve(square, [sp.S(1)] * len(active))
    dual = _solve(square.T, [programme.cost[j] for j in support])
    spread = (dict(zip(support, primal, strict=True)), dict(zip(active, dual, strict=True)))
    return (
        [spread[0].get(j, sp.S(0)) for j in range(len(programme.cost))],
        [spread[1].get(i, sp.S(0)) for i in range(len(programme.rows))],
    )


def _solve(matrix: sp.Matrix, right: Sequence[sp.Expr]) -> list[sp.Expr]:
    """The solution of a linear system over QQ(symbols)."""
    augmented = matrix.row_join(sp.Matrix(right)).to_DM().to_field()
    reduced, pivots = augmented.rref()
    if pivots != tuple(range(matrix.rows)):
        raise ArithmeticError("the system is singular: these columns and rows are no basis")
    return [sp.factor(x) for x in reduced.to_Matrix()[:, -1]]
