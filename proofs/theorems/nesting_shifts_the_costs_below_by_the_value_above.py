"""Max-margin on a nesting X / Y: solve X alone, then Y at costs lowered by X's value per context."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import Cases, Identity, Step

STATEMENT = r"""Structures $X$ (above) and $Y$ (below) of $V_X$ and $V_Y$ elements, costs $b_A$ on the strata $A$ of
$X$, $b_B$ on those $X \times B$ below. Let $z^X$ solve the max-margin programme of $X$ with value $C$, and $z^Y$ that
of $Y$ at the costs $b_B - C/V_X \ge 0$, with $S = \sum_B m_B z^Y_B \le V_Y$. Then $z_A = (V_Y - S) z^X_A$, $z_{X
\times B} = z^Y_B$ solves the programme of $X/Y$. So phases below change where $b_B - C/V_X$ cross, and what is above
fades as the labels below drift apart ($S \to V_Y$): for one factor below, or an ETF, $S = V_Y - 1$ and $z_A =
z^X_A$."""
PAIRS = {
    "(a[n1] * b[n2]) / c[n3]": ("a[n1] * b[n2]", "c[n3]"),
    "a[n1] / (b[n2] * c[n3])": ("a[n1]", "b[n2] * c[n3]"),
    "a[n1] / b[n2] / c[n3]": ("a[n1]", "b[n2] / c[n3]"),
    "(a[n1] * b[n2]) / (c[n3] * d[n4])": ("a[n1] * b[n2]", "c[n3] * d[n4]"),
}


def theorem() -> Theorem:
    return Theorem(
        name="nesting_shifts_the_costs_below_by_the_value_above",
        statement=STATEMENT,
        setting=("a nesting X / Y", "the programme of one-hot labels"),
        hypotheses=("b_B >= C / V_X below", "S <= V_Y"),
        scope="the composition of certificates for any X and Y (two relations and strata stand for any number); the "
        "form of the programme from the package's characters for (a * b) / c, a / (b * c), a / b / c, "
        "(a * b) / (c * d), all sizes.  A statement on the programme",
        claims=(10,),
        rests_on=("a feasible point with a feasible dual of equal value is optimal",),
        proof=(*(step for formula in PAIRS for step in form(formula)), *composition()),
        mutations={
            "below not lowered": composition(lowered=0),
            "above at full whatever lies below": composition(rest=False),
            "the strata below with multiplicity m_B": form("a[n1] / (b[n2] * c[n3])", copies=False),
            "a crossing instead of a nesting": form("a[n1] * b[n2] * c[n3]", ("a[n1]", "b[n2] * c[n3]")),
        },
    )


def form(formula: str, parts: tuple[str, str] | None = None, copies: bool = True) -> tuple[Step, ...]:
    """The entries m_A (1 - chi_A(T)) / V of the programme in terms of those of X and Y.

    Relations within X see A as X does, over V_Y, and X x B as m_B / V_Y; relations below, X x T, see no A, and X x B as
    Y does.
    """
    whole = Attributes(formula)
    X, Y = (Attributes(part) for part in parts or PAIRS[formula])
    everything = list(X.sizes)

    def entry(structure: Attributes, A: str, T: str) -> sp.Expr:
        m, V = structure.multiplicities, structure.cardinality
        return m[A] * (1 - structure.character(A, T)) / V

    def below(B: str) -> str:
        return whole.term({*everything, *(B.split(":") if B != "1" else ())})

    steps: list[Step] = []
    named = {*X.names, *(below(B) for B in Y.names)} == set(whole.names)
    steps.append(Cases(f"{formula}: strata", (("of X, and X x B", named, "==", True),)))
    if not named:
        return tuple(steps)
    for T in X.names[:-1]:
        steps += [Identity(f"{T}, {A}", entry(whole, A, T), entry(X, A, T) / Y.cardinality) for A in X.names[1:]]
        for B in Y.names[1:]:
            weight = Y.multiplicities[B] / Y.cardinality
            steps.append(Identity(f"{T}, X x {B}", entry(whole, below(B), T), weight))
    for T in Y.names[:-1]:
        steps += [Identity(f"X x {T}, {A}", entry(whole, A, below(T)), sp.S(0)) for A in X.names[1:]]
        for B in Y.names[1:]:
            right = entry(Y, B, T) * (1 if copies else 1 / X.cardinality)
            steps.append(Identity(f"X x {T}, X x {B}", entry(whole, below(B), below(T)), right))
    return tuple(steps)


def composition(lowered: int = 1, rest: bool = True) -> tuple[Step, ...]:
    """Dual V_Y y^X_T within X and V_X y^Y_T below; two relations of each, one stratum A and two strata B.

    `a` and `b` are entries of the programmes of X and Y, C = y^X_1 + y^X_2, and Y's value is that of its lowered costs.
    """
    V_X, V_Y, C, z_A = sp.symbols("V_X V_Y C z_A", positive=True)
    x, y = sp.symbols("x1:3", positive=True), sp.symbols("y1:3", positive=True)
    a, b = sp.symbols("a1:3", positive=True), sp.symbols("b1:3", positive=True)
    m, cost, z = (sp.symbols(f"{letter}1:3", positive=True) for letter in ("m", "c", "z"))
    value = x[0] + x[1]
    total = m[0] * z[0] + m[1] * z[1]
    above = V_Y - total if rest else sp.S(1)
    on_A = sum(V_Y * p * e / V_Y for p, e in zip(x, a))
    on_B = sum(V_Y * p * m[0] / V_Y for p in x) + sum(V_X * p * e for p, e in zip(y, b))
    # Y's dual pays m_B (c_B - C / V_X), so that X x B, of multiplicity V_X m_B, is paid V_X m_B c_B.
    paid_in_Y = ((y[0] * b[0] + y[1] * b[1], m[0] * (cost[0] - lowered * value / V_X)),)
    margin = sum(e * k for e, k in zip((a[0],), (z_A,))) * above / V_Y + total / V_Y
    own = C * above + V_X * sum(k * c * u for k, c, u in zip(m, cost, z))
    below = sum(k * (c - C / V_X) * u for k, c, u in zip(m, cost, z))
    return (
        Identity("A is paid what X pays it", on_A, x[0] * a[0] + x[1] * a[1]),
        Identity("X x B is paid V_X m_B b_B where Y pays its lowered cost", on_B, V_X * m[0] * cost[0], paid_in_Y),
        Identity("margins within X, tight in X, are 1", margin, sp.S(1), ((a[0] * z_A, sp.S(1)),)),
        Identity("equal values", own, V_Y * C + V_X * below),
    )
