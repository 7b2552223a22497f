"""The projectors P_A are orthogonal idempotents that sum to the identity, for every formula."""

from itertools import product

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import Cases, Identity, MatrixIdentity, Step

STATEMENT = r"""For every formula built by crossing and nesting, $P_A P_B = \delta_{AB} P_A$, $\sum_A P_A = I$ and
$\sum_A m_A = V$."""
EXPLICIT = (
    "a[3]",
    "a[2] * b[3]",
    "a[2] / b[3]",
    "a[2] * b[2] * c[3]",
    "a[2] / b[2] / c[3]",
    "(a[2] * b[2]) / c[2]",
    "a[2] / (b[2] * c[3])",
    "(a[2] / b[2]) * c[2]",
)


def theorem() -> Theorem:
    return Theorem(
        name="strata_projectors_resolve_the_identity",
        statement=STATEMENT,
        setting=("a formula of crossings and nestings",),
        hypotheses=(),
        scope="all formulas, all sizes, by induction over the formula; and the package's own projectors for 8 "
        "structures",
        claims=(3,),
        rests_on=("(X tensor Y)(X' tensor Y') = X X' tensor Y Y'",),
        proof=(*one_factor(), *joined(), *counted(), *explicit()),
        mutations={
            "averaging without 1/n": one_factor(weight=sp.S(1)),
            "nesting like crossing, the finer strata averaged over the coarser factor": joined(averaged=True),
            "multiplicities n_k - 1 throughout": counted(nested_weight=-1),
        },
        references=(
            "Speed, Bailey, On a class of association schemes derived from lattices, 1982",
            "Bailey, Association Schemes, 2004",
        ),
    )


def one_factor(weight: sp.Expr | None = None) -> tuple[Step, ...]:
    """The base case: J/n and I - J/n, with J J = n J."""
    J, n = sp.Symbol("J", commutative=False), sp.Symbol("n", positive=True)
    mean = J * (1 / n if weight is None else weight)
    rules = (((J, J), n * J),)
    return (
        MatrixIdentity("the mean is idempotent", mean * mean, mean, rules),
        MatrixIdentity("its complement is idempotent", (1 - mean) * (1 - mean), 1 - mean, rules),
        MatrixIdentity("they are orthogonal", (1 - mean) * mean, sp.S(0), rules),
        MatrixIdentity("they sum to the identity", mean + (1 - mean), sp.S(1), rules),
    )


def joined(averaged: bool = False) -> tuple[Step, ...]:
    """The induction: X and Y have such projectors (x0 and y0 their means), and so have X * Y and X / Y."""
    x = sp.symbols("x0 x1 x2", commutative=False)
    y = sp.symbols("y0 y1 y2", commutative=False)
    rules = [((b, a), a * b) for a, b in product(x, y)]
    rules += [((p, q), p if p == q else sp.S(0)) for letters in (x, y) for p, q in product(letters, repeat=2)]
    crossed = [a * b for a in x for b in y]
    nested = [a * y[0] for a in x] + [(x[0] if averaged else 1) * b for b in y[1:]]
    steps: list[Step] = []
    for name, projectors in (("X * Y", crossed), ("X / Y", nested)):
        for (i, P), (j, Q) in product(enumerate(projectors), repeat=2):
            steps.append(MatrixIdentity(f"{name}: P_{i} P_{j}", P * Q, P if i == j else sp.S(0), tuple(rules)))
        total = sp.expand(sum(projectors)).subs(x[2], 1 - x[0] - x[1]).subs(y[2], 1 - y[0] - y[1])
        steps.append(MatrixIdentity(f"{name}: they sum to the identity", total, sp.S(1), tuple(rules[:9])))
    return tuple(steps)


def counted(nested_weight: int = 0) -> tuple[Step, ...]:
    """Multiplicities: crossing multiplies sums; nesting keeps X's and adds V_X times those of Y but its mean."""
    VX, VY = sp.symbols("V_X V_Y", positive=True)
    sum_X, sum_Y = sp.symbols("s_X s_Y", positive=True)
    where = ((sum_X, VX), (sum_Y, VY))
    return (
        Identity("X * Y: sum of m", sum_X * sum_Y, VX * VY, where),
        Identity("X / Y: sum of m", sum_X + (VX + nested_weight) * (sum_Y - 1), VX * VY, where),
    )


def explicit() -> tuple[Step, ...]:
    steps: list[Step] = []
    for formula in EXPLICIT:
        attributes = Attributes(formula)
        P = {A: attributes.projector(A) for A in attributes.names}
        V = int(attributes.cardinality)
        cases = [
            (f"{A} {B}", P[A] * P[B], "==", P[A] if A == B else sp.ImmutableMatrix(sp.zeros(V, V)))
            for A, B in product(P, repeat=2)
        ]
        cases += [(f"trace {A}", P[A].trace(), "==", attributes.multiplicities[A]) for A in P]
        cases.append(("sum", sum(P.values(), sp.zeros(V, V)), "==", sp.eye(V)))
        steps.append(Cases(f"the projectors of {formula}", tuple(cases)))
    return tuple(steps)
