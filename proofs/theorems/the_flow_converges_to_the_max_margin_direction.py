"""Cross-entropy without ridge: balanced positive starts end in the direction that the max-margin programme gives.

The proof needs no assumption on the limit.  With c_A = m_A / sqrt(kW_A kH_A), a_TA = m_A (1 - chi_A(T)) / V, margins
M_T = sum_A a_TA z_A, S = sum_T v_T e^{-M_T}, loss ln(1 + S), p_T = v_T e^{-M_T} / S, r_A = sum_T p_T a_TA and
e = S / (1 + S), the balanced flow is c_A dz_A/dt = 2 e r_A z_A.  Let z* solve the programme, at cost C*, and put

    D = sum_A c_A z_A,    n = sum_A c_A z*_A ln z_A,    Mt = -ln S  (a soft least margin).

1. t (loss(z(t)) - loss(R z*)) <= B / 2 for the Bregman divergence B of R z* from the start: the loss tends to 0.
2. d ln Mt/dt >= d ln D/dt once Mt > 0 (Cauchy-Schwarz), so that Mt / D rises to some g > 0; g <= 1 / C* by duality.
3. dn/dt >= 2 e and dD/dt <= 2 e (Mt + ln(V - 1)) <= 2 e (g D + ln(V - 1)), while n <= C* ln D + constant:
   hence ln D <= g n + constant <= g C* ln D + constant, and g >= 1 / C*.

So z C* / D tends to the programme's optimal points.  Speed: step 1 with R = ln t gives Mt >= ln t - O(ln ln t), and
dMt/dt = 2 e sum_A r_A^2 z_A / c_A <= constant e^{-Mt} D gives Mt <= ln t + O(ln ln t): D ~ C* ln t.
"""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, model
from ..steps import POSITIVE, SIZE, Identity, LinearProgramme, Positive, Step, SumOfSquares

STATEMENT = r"""Cross-entropy, one-hot labels, no ridge, free, from any balanced positive start ($w_A^2/\kappa^W_A =
h_A^2/\kappa^H_A$). With $c_A = m_A/\sqrt{\kappa^W_A\kappa^H_A}$ and $D = \sum_A c_A z_A$, the loss tends to 0, the
normalised least margin $\min_T M_T / D$ tends to its maximum over all directions $z \ge 0$, and $z/D$ to the solutions
of the max-margin programme $\min \sum_A c_A z_A$, $M_T(z) \ge 1$ for all relations $T$ but the same. Moreover $D \sim C^*
\ln t$ with $C^*$ the programme's value."""


def theorem() -> Theorem:
    return Theorem(
        name="the_flow_converges_to_the_max_margin_direction",
        statement=STATEMENT,
        setting=("cross-entropy", "free", "positive kernels, as the programme divides by them"),
        hypotheses=("one-hot", "no ridge", "positive start", "balanced start", "no dropped strata"),
        open_hypotheses=("balanced start", "no dropped strata"),
        scope=f"the flow's equation: {SCOPE}; the inequalities are sums over strata and relations in which each term or "
        "pair of terms is alike, and are checked on three of either: any structure",
        claims=(10,),
        uses=("matrix_flow_reduces_to_the_mode_equations",),
        rests_on=(
            "a smooth flow has a solution for as long as that stays bounded, here for all times: ln z_A grows at a bounded "
            "rate",
            "-x ln x is concave (Gibbs: a relative entropy is not negative)",
            "duality of linear programmes",
        ),
        proof=(
            *(step for formula in GALLERY for step in balanced_flow(formula)),
            *mirror(),
            *convex(),
            *margin_rises(),
            *bounds(),
            *comparison(),
        ),
        mutations={
            "kernels instead of their square root": balanced_flow("a[n1] * b[n2]", root=False),
            "without the multiplicities": balanced_flow("a[n1] * b[n2]", weighted=False),
            "a divergence of the wrong sign": mirror(sign=-1),
            "Cauchy-Schwarz the other way": margin_rises(sign=-1),
            "the soft margin above the margins": bounds(sign=-1),
            "growth in n at twice the margin's rate": comparison(factor=2),
        },
        references=(
            "Lyu and Li 2020: limits of homogeneous models are stationary points of the margin",
            "Gunasekar et al. 2018; Pesme, Dragomir and Flammarion 2024: mirror flow on separable data",
        ),
    )


def balanced_flow(formula: str, root: bool = True, weighted: bool = True) -> tuple[Step, ...]:
    """c_A dz_A/dt = 2 (sum_T v_T q_T a_TA) z_A at w = sqrt(kW) x, h = sqrt(kH) x; v_T q_T = e p_T."""
    derived, structure = flow(formula, loss="cross_entropy"), model(formula, loss="cross_entropy")
    attributes = structure.attributes
    m, V = attributes.multiplicities, attributes.cardinality
    symbols = {str(symbol): symbol for symbol, _ in derived.definitions}
    steps: list[Step] = []
    for A in attributes.names[1:]:
        u, v, x = sp.symbols("u v x", positive=True)
        balanced = {
            structure.label_kernel[A]: u**2,
            structure.feature_kernel[A]: v**2,
            derived.w[A]: u * x,
            derived.h[A]: v * x,
        }
        change = derived.rates[derived.w[A]] * derived.h[A] + derived.rates[derived.h[A]] * derived.w[A]
        change = change.xreplace({derived.g[A]: dict(derived.definitions)[derived.g[A]]}).xreplace(balanced)
        cost = (m[A] if weighted else 1) / (u * v if root else u**2 * v**2)
        pull = sum(
            relation.valency
            * symbols[f"S_{relation.name.replace(':', '__')}"]
            * m[A]
            * (1 - attributes.character(A, relation.name))
            / V
            for relation in attributes.relations[:-1]
        )
        steps.append(Identity(f"{formula}: c dz/dt on {A}", cost * change, 2 * pull * u * v * x**2))
    return tuple(steps)


def _generic() -> tuple[tuple[sp.Symbol, ...], ...]:
    """c, z, r on three strata; each sum below is over strata alike."""
    return tuple(sp.symbols(f"{letter}1:4", positive=True) for letter in "czr")


def mirror(sign: int = 1) -> tuple[Step, ...]:
    """B = sum c (u ln(u/z) - u + z), u = R z*, has dB/dt = 2 e sum r (z - u) = -2 grad loss . (z - u)."""
    c, z, r = _generic()
    u, e = sp.symbols("u1:4", positive=True), sp.Symbol("e", positive=True)
    divergence = sum(sign * ci * (ui * sp.log(ui / zi) - ui + zi) for ci, ui, zi in zip(c, u, z))
    change = sum(sp.diff(divergence, zi) * 2 * e * ri * zi / ci for ci, zi, ri in zip(c, z, r))
    gradient = [-e * ri for ri in r]
    falls = -2 * sum(gi * (zi - ui) for gi, zi, ui in zip(gradient, z, u))
    return (Identity("the divergence falls as the loss does", change, falls),)


def convex() -> tuple[Step, ...]:
    """The loss's second derivative along any direction is the variance of the margins' slopes."""
    q, s = sp.symbols("q1:4", positive=True), sp.symbols("s1:4", real=True)
    mean = sum(qi * si for qi, si in zip(q, s))
    variance = sum(qi * si**2 for qi, si in zip(q, s)) - mean**2
    pairs = tuple((q[i] * q[j], s[i] - s[j]) for i in range(3) for j in range(i))
    domain = dict.fromkeys(q, POSITIVE)
    x, M, v = sp.Symbol("x", real=True), sp.symbols("M1:3", real=True), sp.symbols("v1:3", positive=True)
    # Two relations beside `same`, whose margin and slope are 0.
    loss = sp.log(1 + sum(vi * sp.exp(-Mi - x * si) for vi, Mi, si in zip(v, M, s)))
    weights = [sp.S(1), *(vi * sp.exp(-Mi - x * si) for vi, Mi, si in zip(v, M, s))]
    prob = [weight / sum(weights) for weight in weights]
    slopes = [sp.S(0), *s[:2]]
    direct = sum(p * k**2 for p, k in zip(prob, slopes)) - sum(p * k for p, k in zip(prob, slopes)) ** 2
    return (
        Identity("second derivative of the loss", sp.diff(loss, x, 2), direct),
        SumOfSquares("a variance is not negative", variance, pairs, domain, where=((sum(q), sp.S(1)),)),
    )


def margin_rises(sign: int = 1) -> tuple[Step, ...]:
    """dMt/dt = 2 e sum r^2 z / c,  dD/dt = 2 e sum r z,  and (sum r z)^2 <= (sum r^2 z / c)(sum c z)."""
    c, z, r = _generic()
    e = sp.Symbol("e", positive=True)
    rates = [2 * e * ri * zi / ci for ci, zi, ri in zip(c, z, r)]
    soft = sum(ri * rate for ri, rate in zip(r, rates))  # dMt/dz_A = r_A
    norm = sum(ci * rate for ci, rate in zip(c, rates))
    pairs = tuple((c[i] * c[j] * z[i] * z[j], r[i] / c[i] - r[j] / c[j]) for i in range(3) for j in range(i))
    D, along = sum(ci * zi for ci, zi in zip(c, z)), sum(ri * zi for ri, zi in zip(r, z))
    domain = dict.fromkeys((*c, *z), POSITIVE)
    S, v, M = sp.Symbol("S", positive=True), sp.symbols("v1:3", positive=True), sp.symbols("M1:3", real=True)
    a = sp.symbols("a1:3", real=True)
    x = sp.Symbol("x", real=True)
    total = sum(vi * sp.exp(-Mi - x * ai) for vi, Mi, ai in zip(v, M, a))
    r_A = sum(vi * sp.exp(-Mi - x * ai) * ai for vi, Mi, ai in zip(v, M, a)) / S
    return (
        Identity("dMt/dz_A is r_A", sp.diff(-sp.log(total), x), r_A, where=((S, total),)),
        Identity("the norm's rate", norm, 2 * e * along),
        SumOfSquares("Cauchy-Schwarz", sign * (soft * D - 2 * e * along**2) / (2 * e), pairs, domain),
    )


def bounds(sign: int = 1) -> tuple[Step, ...]:
    """Mt lies below every margin, since e^{-M_T} is a part of S; and by duality least margin x C* <= D."""
    here, others = sp.symbols("E_T E_others", positive=True)
    v = sp.Symbol("v_T", positive=True)
    S = v * here + others
    domain = {here: POSITIVE, others: POSITIVE, v: SIZE}
    y, slack, z = (sp.symbols(f"{letter}1:4", positive=True) for letter in "ysz")
    a = [[sp.Symbol(f"a{i}{j}") for j in range(3)] for i in range(3)]
    cost = [sum(y[i] * a[i][j] for i in range(3)) + slack[j] for j in range(3)]
    D = sum(cost[j] * z[j] for j in range(3))
    by_relation = sum(y[i] * sum(a[i][j] * z[j] for j in range(3)) for i in range(3))
    least, over = sp.Symbol("mu", positive=True), sp.symbols("o1:4", positive=True)
    # M_T = mu + o_T with o_T >= 0, and C* = sum y.
    gap = sum(yi * (least + oi) for yi, oi in zip(y, over)) - least * sum(y)
    return (
        Positive("e^{-M_T} <= S for v_T >= 2", sign * (S - here), domain),
        Positive("e^{-M_T} <= S for v_T = 1", sign * (S - here).subs(v, 1), domain),
        Identity("D is paid by the dual and its slack", D, by_relation + sum(s * x for s, x in zip(slack, z))),
        Positive("D >= C* least margin", gap, dict.fromkeys((*y, least, *over), POSITIVE)),
        _dual_example(),
    )


def _dual_example() -> Step:
    """The ETF's certificate on two crossed attributes with equal kernels: primal 1, dual v_T."""
    attributes = Attributes("a[n1] * b[n2]")
    m, V = attributes.multiplicities, attributes.cardinality
    strata, relations = attributes.names[1:], attributes.relations[:-1]
    rows = [[m[A] * (1 - attributes.character(A, T.name)) / V for A in strata] for T in relations]
    domain = {size: SIZE for size in attributes.sizes.values()}
    return LinearProgramme(
        "C* of equal kernels is V - 1",
        [m[A] for A in strata],
        rows,
        [sp.S(1)] * len(rows),
        [sp.S(1)] * len(strata),
        [T.valency for T in relations],
        domain,
        unique=True,
    )


def comparison(factor: int = 1) -> tuple[Step, ...]:
    """dn/dt = 2 e sum_T p_T M*_T >= 2 e, and dD/dt = 2 e sum_T p_T M_T; with Y = g D + l, dY/dn <= g Y."""
    c, z, r = _generic()
    e = sp.Symbol("e", positive=True)
    star = sp.symbols("zs1:4", positive=True)
    rates = [2 * e * ri * zi / ci for ci, zi, ri in zip(c, z, r)]
    n = sum(ci * si * sp.log(zi) for ci, si, zi in zip(c, star, z))
    change = sum(sp.diff(n, zi) * rate for zi, rate in zip(z, rates))
    p = sp.symbols("p1:4", positive=True)
    a = [[sp.Symbol(f"a{i}{j}") for j in range(3)] for i in range(3)]
    slope = [sum(p[i] * a[i][j] for i in range(3)) for j in range(3)]
    of_star = sum(p[i] * sum(a[i][j] * star[j] for j in range(3)) for i in range(3))
    g, least, entropy, over = sp.symbols("g D l o", positive=True)
    # sum_T p_T (M_T - Mt) = -sum_T p_T ln(p_T / v_T), which Gibbs bounds by ln sum v_T = l.
    x, v, S = sp.symbols("x v S", positive=True)
    return (
        Identity("dn/dt", change, factor * 2 * e * sum(ri * si for ri, si in zip(r, star))),
        Identity("sum r z* is the mean of z*'s margins", sum(k * s for k, s in zip(slope, star)), of_star),
        Positive(
            "a mean of margins above 1 is above 1", sum(pi * over for pi in p), dict.fromkeys((*p, over), POSITIVE)
        ),
        Identity("M_T - Mt = -ln(p_T / v_T)", -sp.log(x) + sp.log(S), -sp.log((v * x / S) / v)),
        Identity(
            "d ln(g D + l) is g dD over g D + l", sp.diff(sp.log(g * least + entropy), least), g / (g * least + entropy)
        ),
    )
