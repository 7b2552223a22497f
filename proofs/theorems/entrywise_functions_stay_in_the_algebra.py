"""An entrywise function (softmax among them) of an element of the algebra is in the algebra again."""

from itertools import product

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE
from ..steps import Cases, Identity, Step

STATEMENT = r"""A matrix whose entries $q(T)$ depend on the relation $T$ alone is $\sum_A q_A P_A$ with $q_A = \sum_T
v_T q(T) \chi_A(T)$, and has the entries $q(T) = \sum_A m_A \chi_A(T) q_A / V$: the two transforms are inverse to each
other. Hence for any function $f$ the matrix with entries $f(q(T))$ lies in the algebra, and so does the softmax of
its columns, whose sums $\sum_T v_T e^{q(T)}$ are all equal."""
EXPLICIT = ("a[2] * b[3]", "a[2] / b[3]", "(a[2] * b[2]) / c[2]", "(a[2] / b[2]) * c[2]", "a[2] / (b[2] * c[2])")


def theorem() -> Theorem:
    return Theorem(
        name="entrywise_functions_stay_in_the_algebra",
        statement=STATEMENT,
        setting=("a formula of crossings and nestings",),
        hypotheses=(),
        scope=f"{SCOPE}; entries of explicit projectors for {len(EXPLICIT)} structures",
        claims=(3,),
        uses=("strata_projectors_resolve_the_identity",),
        proof=(*(step for formula in GALLERY for step in orthogonality(formula)), *explicit()),
        mutations={
            "characters without valencies": orthogonality("a[n1] * b[n2]", valency=False),
            "nested factors taken as crossed": orthogonality("a[n1] / b[n2]", characters="a[n1] * b[n2]"),
        },
        references=("Bailey, Association Schemes, 2004",),
    )


def orthogonality(formula: str, valency: bool = True, characters: str | None = None) -> tuple[Step, ...]:
    """sum_T v_T chi_A chi_B = delta V/m_A; rows and columns of a square table, so the other order follows."""
    structure = Attributes(formula)
    table = Attributes(characters or formula)
    V, m = structure.cardinality, structure.multiplicities
    v = {T.name: T.valency if valency else sp.S(1) for T in structure.relations}
    steps: list[Step] = []
    for A, B in product(m, repeat=2):
        total = sum(v[T] * table.character(A, T) * table.character(B, T) for T in v)
        steps.append(Identity(f"{formula}: <chi_{A}, chi_{B}>", total, V / m[A] if A == B else sp.S(0)))
    return tuple(steps)


def explicit() -> tuple[Step, ...]:
    """The entry of P_A is m_A chi_A(T) / V where row and column agree on T and no more."""
    steps: list[Step] = []
    for formula in EXPLICIT:
        attributes = Attributes(formula)
        cells = list(product(*(range(n) for n in attributes.shape)))
        cases = []
        for A in attributes.names:
            P = attributes.projector(A)
            for i, j in product(range(len(cells)), repeat=2):
                agree = {k for k, x, y in zip(attributes.sizes, cells[i], cells[j], strict=True) if x == y}
                T = attributes.term(frozenset(k for k in agree if attributes.closure(k) <= agree))
                entry = attributes.multiplicities[A] * attributes.character(A, T) / attributes.cardinality
                cases.append((f"{A}[{i}, {j}]", P[i, j], "==", entry))
        steps.append(Cases(f"entries of the projectors of {formula}", tuple(cases)))
    return tuple(steps)
