"""Crossings: each part alone is optimal iff b_A >= the sum of b over the parts of each interaction A."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.kernels import symbols_for
from ...theory.model import UFM
from ...theory.persistence import phase_boundaries
from ..checker import Theorem
from ..steps import NONNEGATIVE, POSITIVE, SIZE, Identity, LinearProgramme, Step

STATEMENT = r"""A crossing $X_1 \times X_2 \times \dots$ of structures of $V_p$ elements, $V = \prod V_p$; $z^p$
solves the max-margin programme of $X_p$. The point with $z_A = (V/V_p) z^p_A$ on the strata of each part and 0 on
every interaction solves the programme of the crossing if $b_A \ge \sum_p b_{A_p}$ for every interaction $A = A_1
\times A_2 \times \dots$ (sum over the parts that $A$ reaches into), and only if, for interactions of strata with
$z^p_{A_p} > 0$. For chains whose kernels fall from coarse to fine every $z^p$ is the ETF, so it is `if and only if`
for all."""
PAIRS = {
    "(a[n1] / b[n2]) * c[n3]": ("a[n1] / b[n2]", "c[n3]"),
    "(a[n1] / b[n2]) * (c[n3] / d[n4])": ("a[n1] / b[n2]", "c[n3] / d[n4]"),
    "((a[n1] * b[n2]) / c[n3]) * d[n4]": ("(a[n1] * b[n2]) / c[n3]", "d[n4]"),
}


def theorem() -> Theorem:
    return Theorem(
        name="crossed_parts_keep_apart_iff_interactions_cost_more_than_their_parts",
        statement=STATEMENT,
        setting=("crossed", "the programme of one-hot labels", "positive kernels, as b_A = 1/sqrt(kW kH)"),
        hypotheses=(),
        scope="the composition of certificates for any two parts (more by repetition); the form of the programme from "
        "the package's characters for (a / b) * c, (a / b) * (c / d), ((a * b) / c) * d, all sizes; whole certificates "
        "for (a / b) * c with kernels that fall, all sizes; theory/'s inequalities for it.  "
        "A statement on the programme",
        claims=(10,),
        rests_on=("a feasible point with a feasible dual of equal value is optimal",),
        uses=("nested_chains_with_coarse_first_kernels_always_collapse",),
        proof=(
            *(step for formula in PAIRS for step in form(formula)),
            *composition(),
            *(certificate(strict) for strict in (False, True)),
            *stated(),
        ),
        mutations={
            "interactions without the multiplicity of the other part": form("(a[n1] / b[n2]) * c[n3]", weighted=False),
            "the dearer part instead of the sum": composition(both=False),
            "interactions that cost less than their parts": (certificate(True, excess=-1),),
        },
    )


def form(formula: str, weighted: bool = True) -> tuple[Step, ...]:
    """Relations T that differ in one part p see A as m_A / m_{A_p} times what X_p sees, over V / V_p; else 0."""
    whole, parts = Attributes(formula), [Attributes(part) for part in PAIRS[formula]]
    m, V = whole.multiplicities, whole.cardinality
    steps: list[Step] = []
    for part in parts:
        others = set(whole.sizes) - set(part.sizes)
        for T in part.names[:-1]:
            within = set(T.split(":")) if T != "1" else set()
            relation = whole.term(others | within)
            for A in whole.names[1:]:
                own = part.term(set(A.split(":")) & set(part.sizes))
                entry = part.multiplicities[own] * (1 - part.character(own, T)) / part.cardinality
                factor = m[A] / part.multiplicities[own] if weighted else 1
                left = m[A] * (1 - whole.character(A, relation)) / V
                steps.append(Identity(f"{formula}: {relation}, {A}", left, factor * entry * part.cardinality / V))
    return tuple(steps)


def composition(both: bool = True) -> tuple[Step, ...]:
    """Dual (V / V_p) y^p_T at the relations that differ in part p; one relation and one stratum of each part."""
    V, m, e, b_A = sp.symbols("V m_A e b_A", positive=True)
    size, y, a = (sp.symbols(f"{letter}1:3", positive=True) for letter in ("v", "y", "a"))
    own, b, z = (sp.symbols(f"{letter}1:3", positive=True) for letter in ("m", "b", "z"))
    paid = sum(V / v * p * (m / n * x * v / V) for v, p, n, x in zip(size, y, own, a))
    tight = tuple((p * x, n * c) for p, x, n, c in zip(y, a, own, b))  # each part pays m b where z > 0
    parts = m * (b[0] + b[1] if both else b[0])
    lowered = [V / v * k - e * m / n for v, k, n in zip(size, z, own)]
    margins = [x * v / V * low + m / n * x * v / V * e for x, v, low, n in zip(a, size, lowered, own)]
    values = ((own[0] * b[0] * z[0], y[0]),)  # those of the part
    change = sum(n * c * (low - V / v * k) for n, c, low, v, k in zip(own, b, lowered, size, z)) + m * b_A * e
    return (
        Identity("an interaction is paid the sum of its parts", paid, parts, tight),
        *(Identity("a margin within a part stays", value, x * k) for value, x, k in zip(margins, a, z)),
        Identity("raising z_A against its parts changes the cost", change, e * (m * b_A - m * (b[0] + b[1]))),
        Identity("equal values, part by part", V / size[0] * y[0], own[0] * b[0] * (V / size[0] * z[0]), values),
    )


def certificate(strict: bool, excess: int = 1) -> Step:
    """(a / b) * c with b_ab = b_a + f, interactions at the sum of their parts and more; unique when strict."""
    attributes = Attributes("(a[n1] / b[n2]) * c[n3]")
    n1, n2, n3 = attributes.sizes.values()
    V = attributes.cardinality
    b_a, b_c, f, x1, x2 = sp.symbols("b_a b_c f x1 x2", positive=True)
    b = {"a": b_a, "c": b_c, "a:b": b_a + f}
    b |= {"a:c": b_a + b_c + excess * x1, "a:b:c": b_a + f + b_c + excess * x2}
    z = {"a": n3, "a:b": n3, "c": n1 * n2}
    y = {"c": n3 * (n1 - 1) * n2 * b_a, "a:c": n3 * (n2 - 1) * (b_a + n1 * f), "a:b": n1 * n2 * (n3 - 1) * b_c}
    domain = dict.fromkeys((n1, n2, n3), SIZE) | dict.fromkeys((b_a, b_c), POSITIVE)
    domain |= dict.fromkeys((f, x1, x2), POSITIVE if strict else NONNEGATIVE)
    return LinearProgramme(
        f"(a / b) * c{', unique' if strict else ''}",
        cost=[b[A] for A in attributes.names[1:]],
        rows=[[1 - attributes.character(A, T) for A in attributes.names[1:]] for T in attributes.names[:-1]],
        bounds=[V] * len(attributes.names[:-1]),
        primal=[A.multiplicity * z.get(A.name, sp.S(0)) for A in attributes.strata[1:]],
        dual=[y.get(T, sp.S(0)) / V for T in attributes.names[:-1]],
        domain=domain,
        unique=strict,
    )


def stated() -> tuple[Step, ...]:
    """The left sides of theory/'s inequalities for (a / b) * c with b = 1 / k."""
    attributes = Attributes("(a[n1] / b[n2]) * c[n3]")
    n1 = attributes.sizes["a"]
    k = symbols_for(attributes, "k")
    b = {A: 1 / x for A, x in k.items()}
    found = phase_boundaries(UFM(attributes, feature_kernel=k, label_kernel=k))["attributes only"]
    expected = (
        n1 * b["a:b"] - (n1 - 1) * b["a"],
        b["a:c"] - b["a"] - b["c"],
        b["a:b:c"] - b["a:b"] - b["c"],
    )
    return tuple(Identity(f"condition {i}", x.lhs, y) for i, (x, y) in enumerate(zip(found, expected, strict=True)))
