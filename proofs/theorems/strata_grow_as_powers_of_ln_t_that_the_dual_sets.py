"""The speed of persistence: z_A grows like (ln t)^e_A, and e_A is read off the max-margin programme's dual.

Along the balanced flow of `the_flow_converges_to_the_max_margin_direction`, with ds = 2 e dt,

    c_A ln z_A(s) = c_A ln z_A(0) + s sum_T P_T(s) a_TA,      P = mean of p over [0, s],     sum_T P_T = 1.

There ln D / s tends to 1 / C*, and z_A <= D / c_A; so every limit point y of C* P obeys sum_T y_T a_TA <= c_A and
sum_T y_T = C*: it solves the dual.  Where the dual has one solution y*, C* P tends to it, and

    ln z_A / ln D   tends to   e_A = sum_T y*_T a_TA / c_A <= 1,      with D ~ C* ln t,

and e_A = 1 on the support of the direction.  With attributes alone the dual is y_{T_k} = (n_k - 1) V b_k / n_k, so
e_A = (sum of b_k over the attributes k of A) / b_A.
"""

from collections.abc import Callable

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..margins import margin_programme
from ..steps import SIZE, Cases, Identity, Positive, Step

STATEMENT = r"""Cross-entropy, one-hot labels, no ridge, free, balanced positive start; $b_A =
1/\sqrt{\kappa^W_A\kappa^H_A}$. If the dual of the max-margin programme has one solution $y^*$, then $\ln z_A / \ln\ln t
\to e_A = \sum_T y^*_T a_{TA} / (m_A b_A) \le 1$, where $a_{TA} = m_A(1 - \chi_A(T))/V$. Crossed attributes that persist
alone ($b_A > \sum_{k \in A} b_k$ for every interaction): $e_A = \sum_{k \in A} b_k / b_A$; with $\kappa_1$ on main
effects and $\kappa_2$ on interactions of order $j$: $e = j \kappa_2/\kappa_1$ (kernel on one side: $j
\sqrt{k_2/k_1}$)."""


def theorem() -> Theorem:
    return Theorem(
        name="strata_grow_as_powers_of_ln_t_that_the_dual_sets",
        statement=STATEMENT,
        setting=("cross-entropy", "free", "positive kernels, as b_A = 1/sqrt(kW kH)"),
        hypotheses=("one-hot", "no ridge", "positive start", "balanced start", "one dual solution"),
        open_hypotheses=("balanced start", "one dual solution"),
        scope="the exponent as slack of the dual: any structure; attributes alone: all sizes and kernels, K = 2 to 5, "
        "with the dual's uniqueness",
        claims=(10,),
        uses=(
            "the_flow_converges_to_the_max_margin_direction",
            "attributes_alone_persist_iff_interactions_cost_more_than_their_parts",
        ),
        rests_on=("a bounded sequence all of whose limit points are one point converges to it",),
        proof=(*averages(), *(step for K in (2, 3, 4, 5) for step in attributes_alone(K)), *equal_kernels()),
        mutations={
            "the average margin weighs c twice": averages(twice=True),
            "the largest part instead of the sum": attributes_alone(3, parts=1),
            "a dual without n_k - 1": attributes_alone(2, dual=lambda V, n: V / n),
            "kernels instead of their square roots": equal_kernels(root=False),
        },
    )


def averages(twice: bool = False) -> tuple[Step, ...]:
    """d(c_A ln z_A)/ds = sum_T p_T a_TA, and the mean of p over [0, s] collects it; sum_A in n gives sum_T P_T M*_T."""
    c, z, e, s = sp.symbols("c z e s", positive=True)
    p, a = sp.symbols("p1:4", positive=True), sp.symbols("a1:4", real=True)
    pull = sum(pi * ai for pi, ai in zip(p, a))
    rate = 2 * e * pull * z / c
    by_s = sp.diff(c * sp.log(z), z) * rate / (2 * e)
    # Two intervals of lengths s and t with weights p and q: the mean over both collects both.
    q, t = sp.symbols("q1:4", positive=True), sp.Symbol("t", positive=True)
    mean = [(s * pi + t * qi) / (s + t) for pi, qi in zip(p, q)]
    collected = s * pull + t * sum(qi * ai for qi, ai in zip(q, a))
    return (
        Identity("rate of c ln z", by_s, (2 if twice else 1) * pull),
        Identity("the mean collects", (s + t) * sum(w * ai for w, ai in zip(mean, a)), collected),
        Identity("weights sum to 1", sum(mean), sp.S(1), where=((sum(p), sp.S(1)), (sum(q), sp.S(1)))),
    )


def attributes_alone(
    K: int, parts: int | None = None, dual: Callable[[sp.Expr, sp.Expr], sp.Expr] = lambda V, n: (n - 1) * V / n
) -> tuple[Step, ...]:
    """e_A by the dual of the attributes' theorem; unique, since K margins are tight and K strata are in use."""
    attributes = Attributes(" * ".join(f"{'abcde'[i]}[n{i + 1}]" for i in range(K)))
    n, V = attributes.sizes, attributes.cardinality
    b = {A: sp.Symbol(f"b_{A.replace(':', '')}", positive=True) for A in attributes.names[1:]}
    programme = margin_programme(attributes, b)
    lacking = {attributes.term(set(n) - {k}): k for k in n}
    y = [dual(V, n[lacking[T]]) * b[lacking[T]] if T in lacking else sp.S(0) for T in programme.relations]
    steps: list[Step] = []
    for column, A in enumerate(programme.strata):
        exponent = sum(yi * row[column] for yi, row in zip(y, programme.rows)) / programme.cost[column]
        used = A.split(":")[:parts]
        steps.append(Identity(f"K = {K}: e on {A}", exponent, sum(b[k] for k in used) / b[A]))
    domain = dict.fromkeys(n.values(), SIZE)
    primal = {k: V / n[k] for k in n}
    for i, T in enumerate(programme.relations):
        row = {k: programme.rows[i][programme.strata.index(k)] for k in n}
        margin = sum(row[k] * z for k, z in primal.items())
        steps.append(Identity(f"K = {K}: the margin of {T}", margin, sp.Integer(K - order(T))))
        if T in lacking:
            tested = tuple(k for k in n if row[k] != 0)
            steps.append(Cases(f"K = {K}: {T} tests one attribute", ((T, tested, "==", (lacking[T],)),)))
            steps.append(Positive(f"K = {K}: and determines its y", row[lacking[T]], domain))
    return tuple(steps)


def order(name: str) -> int:
    """How many attributes a stratum or relation names."""
    return 0 if name == "1" else name.count(":") + 1


def equal_kernels(root: bool = True) -> tuple[Step, ...]:
    """Main effects with kernel k1 = u^2 on one side, interactions k2 = v^2: e = j v / u, below 1 beyond K^2."""
    u, v = sp.symbols("u v", positive=True)
    steps: list[Step] = []
    for j in (2, 3, 4):
        b_main, b_inter = (1 / u, 1 / v) if root else (1 / u**2, 1 / v**2)
        steps.append(Identity(f"e of order {j}", j * b_main / b_inter, j * v / u))
    at_threshold = tuple(
        (f"order {j} at k1/k2 = j^2", j * sp.sqrt(sp.Rational(1, j**2)), "==", sp.S(1)) for j in (2, 3, 4)
    )
    return (*steps, Cases("at the threshold of persistence the exponent is 1", at_threshold))
