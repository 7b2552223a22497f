"""Persistence of attributes: main effects alone are optimal iff b_A >= the sum of b_k over the attributes of A."""

from collections.abc import Callable

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..margins import margin_programme
from ..steps import NONNEGATIVE, POSITIVE, SIZE, Identity, LinearProgramme, Step

STATEMENT = r"""Crossed attributes, $b_A = 1/\sqrt{\kappa^W_A\kappa^H_A}$. The point $z_k = V/n_k$ on main effects and
0 on every interaction solves the max-margin programme if and only if $b_A \ge \sum_{k \in A} b_k$ for every
interaction $A$, and it is the only solution when these are strict. With $\kappa_1$ on main effects and $\kappa_2$ on
interactions: iff $\kappa_1/\kappa_2 \ge K$ (kernel on one side: $k_1/k_2 \ge K^2$), whatever the sizes. The dual is
$y_{T_k} = (n_k - 1) V b_k / n_k$ where $T_k$ lacks $k$ alone."""

Value = Callable[[sp.Expr, sp.Expr], sp.Expr]


def theorem() -> Theorem:
    return Theorem(
        name="attributes_alone_persist_iff_interactions_cost_more_than_their_parts",
        statement=STATEMENT,
        setting=("crossed", "the programme of one-hot labels", "positive kernels, as b_A = 1/sqrt(kW kH)"),
        hypotheses=(),
        scope="all sizes and kernels; K = 2 to 5 by certificates; all K by identities.  A statement on the programme",
        claims=(10,),
        proof=(
            *(step for K in (2, 3, 4, 5) for strict in (False, True) for step in certificate(K, strict)),
            *any_number(),
        ),
        mutations={
            "interactions that cost less than their parts": certificate(2, excess=-sp.Rational(1, 2)),
            "z_k = n_k": certificate(3, primal=lambda V, n: n),
            "a dual without n_k - 1": certificate(2, dual=lambda V, n: V / n),
            "the largest part instead of the sum": any_number(parts=1),
        },
    )


def certificate(
    K: int,
    strict: bool = False,
    excess: sp.Expr | None = None,
    primal: Value = lambda V, n: V / n,
    dual: Value = lambda V, n: (n - 1) * V / n,
) -> tuple[Step, ...]:
    """b_A is the sum over the parts and an excess x_A; `primal` and `dual` give z_k, and y of T_k over b_k."""
    attributes = Attributes(" * ".join(f"{'abcde'[i]}[n{i + 1}]" for i in range(K)))
    n, V = attributes.sizes, attributes.cardinality
    b = {k: sp.Symbol(f"b_{k}", positive=True) for k in n}
    more = {A: sp.Symbol(f"x_{A.replace(':', '')}", positive=True) for A in attributes.names[1:] if A not in n}
    cost = b | {
        A: sum(b[k] for k in A.split(":")) + (x if excess is None else excess * b["a"]) for A, x in more.items()
    }
    programme = margin_programme(attributes, cost)
    z = [primal(V, n[A]) if A in n else sp.S(0) for A in programme.strata]
    lacking = {attributes.term(set(n) - {k}): k for k in n}
    y = [dual(V, n[lacking[T]]) * b[lacking[T]] if T in lacking else sp.S(0) for T in programme.relations]
    domain = dict.fromkeys(n.values(), SIZE) | dict.fromkeys(b.values(), POSITIVE)
    domain |= dict.fromkeys(more.values(), POSITIVE if strict else NONNEGATIVE)
    data = (programme.cost, programme.rows, programme.bounds, z, y, domain)
    return (LinearProgramme(f"K = {K}{', unique' if strict else ''}", *data, unique=strict),)


def any_number(parts: int | None = None) -> tuple[Step, ...]:
    """For any K: T_k tests the strata that hold k alone, with weight m_A n_k / ((n_k - 1) V).

    Dual: A = {k} u B is paid b_A against the sum over its parts.  Necessity: raising z_A by e and lowering z_k by
    e m_A / (n_k - 1) for k in A keeps the margin of every T_k, k in A, and leaves the others above 1 for small e (they
    are 2 at least); it changes the cost by e m_A (b_A - sum b_k).
    """
    V, m, e, b_A, size = sp.symbols("V m_A e b_A r", positive=True)
    # Two parts k, l stand for any number, since every one enters alike.
    n, b = sp.symbols("n_k n_l", positive=True), sp.symbols("b_k b_l", positive=True)
    pays = sum((k - 1) * V * c / k * m * k / ((k - 1) * V) for k, c in zip(n, b))
    parts_sum = m * sum(b[:parts] if parts else b)
    lowered = [V / k - e * m / (k - 1) for k in n]
    margins = [k / V * z + m * k / ((k - 1) * V) * e for k, z in zip(n, lowered)]
    change = sum((k - 1) * c * (z - V / k) for k, c, z in zip(n, b, lowered)) + m * b_A * e
    return (
        Identity("the dual pays the parts", pays, parts_sum),
        *(Identity("the margin of T_k stays 1", margin, sp.S(1)) for margin in margins),
        Identity("the change of cost", change, e * (m * b_A - parts_sum)),
        Identity(
            "equal objectives, each attribute alone", (size - 1) * V / size * b[0], (size - 1) * b[0] * (V / size)
        ),
    )
