"""Sphere, cross-entropy without ridge: every positive start ends at the largest margin; with equal label kernels that
is the ETF, whatever the features' kernel.

Let z* solve min sum_A m_A z_A / sqrt(kW_A), margins >= 1, with value V*; y_A = m_A z*_A / (V* sqrt(kW_A)) sums to 1.
Put R = |W|, Q = sum_A m_A h_A^2 / kH_A; then d ln(h_A / sqrt Q)/dt = kH_A (g_A w_A / h_A - c), and Nc = P Mbar.
Suppose Mbar <= kappa sqrt(N) R / V* for good, kappa < 1, and let b = N / kappa^2. By AM-GM

    sum_A y_A [ d ln w_A/dt + b / (kH_A R^2) d ln(h_A / sqrt Q)/dt ]
        >= 2 sqrt(b) P / (V* R) - b c / R^2 >= (ln R)' / kappa^2.

The second terms' integral is bounded above: by parts, as ln(h_A / sqrt Q) is bounded above and b / R^2 falls. So the
weighted mean of ln w_A outgrows ln R, which bounds it. That R grows without bound is the same comparison with a
constant in place of b / R^2: while P >= P0, the mean of ln w_A grows linearly, but (R^2)' = 2 P Mbar is bounded.
"""

import sympy as sp

from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, GALLERY, MIXED, SCOPE, flow, model
from ..steps import NONNEGATIVE, POSITIVE, Identity, Interval, Positive, Step, SumOfSquares

STATEMENT = r"""One-hot cross-entropy on the sphere, no ridge, any positive kernels $\kappa^W, \kappa^H$, and a start
with $w_A, h_A > 0$ on the support of a solution $z^*$ of $\min \sum_A m_A z_A / \sqrt{\kappa^W_A}$, $M_T(z) \ge 1$,
$z \ge 0$, of value $V^*$. Then the loss tends to 0 and $\min_T M_T / |W| \to \sqrt N / V^*$, the largest value that
any $w, h$ with $\sum m_A h_A^2 = N$ have: $\kappa^H$ drops out of the end state as well. Where the solution is
unique, $z / \min_T M_T \to z^*$ and $h_A^2 \to N z^*_A / (V^* \sqrt{\kappa^W_A})$. **Equal label kernels**: $\sum_T
v_T M_T = \sum_{A \ne 1} m_A z_A$, so $z^* = 1$ on all strata but the mean, uniquely: every start with all $w_A, h_A >
0$ ends in the ETF."""


def theorem() -> Theorem:
    return Theorem(
        name="positive_starts_on_the_sphere_reach_the_largest_margin",
        statement=STATEMENT,
        setting=("cross-entropy", "sphere", "positive kernels, as the programme divides by them"),
        hypotheses=("one-hot", "no ridge on W", "w, h > 0 on the support of a solution of the programme at the start"),
        scope=f"the sum of margins: {SCOPE}; the flow: one factor, a * b, chains of up to 3, (a * b) / c, (a / b) * c; "
        "the inequalities and the comparison: all structures.  Normalized features with equal kernels are the same "
        "flow, since their norm stays; with unequal ones they are not covered",
        claims=(13,),
        rests_on=(
            "comparison of scalar differential inequalities, integration by parts",
            "ln x <= x - 1 and x exp(-x) <= exp(-1)",
            "margins, z and the norms depend continuously on the direction, which ranges over a compact set",
            "the margins determine z on the strata but the mean (their characters are independent)",
        ),
        uses=(
            "the_normalised_margin_never_falls",
            "positive_starts_reach_the_largest_margin",
            "dropped_strata_shrink_as_W_grows_on_the_sphere",
        ),
        proof=(
            *(step for formula in (*CROSSED[:2], *CHAINS, *MIXED) for step in features(formula)),
            *growth(),
            *norm(2),
            *norm(3),
            *norm(7),
            *comparison(),
            *(step for formula in GALLERY for step in simplex(formula)),
        ),
        mutations={
            "ln h without the weighted norm": features("a[n1] * b[n2]", weighted=False),
            "AM-GM with 3 for 2": growth(factor=3),
            "the norm with kW for its root": norm(2, power=2),
            "kappa > 1": comparison(below=False),
            "twice the sum of margins": simplex("a[n1] * b[n2]", factor=2),
        },
        references=("Lyu, Li 2020 (limits are stationary points of the margin problem)", "Papyan, Han, Donoho 2020"),
    )


def features(formula: str, weighted: bool = True) -> tuple[Step, ...]:
    """h_A'/h_A - Q'/(2 Q) = kH_A (g_A w_A / h_A - c), with c, a and f as they are defined."""
    derived, structure = flow(formula, constraint="sphere"), model(formula, constraint="sphere")
    m, kH, h = structure.attributes.multiplicities, structure.feature_kernel, derived.h
    named = {symbol: value for symbol, value in derived.definitions if str(symbol).startswith("f_")}
    c, a = sp.symbols("c a", real=True)
    exact = dict(derived.definitions)[c]
    Q = sum(m[A] * h[A] ** 2 / kH[A] for A in h)
    change = sum(sp.diff(Q, h[A]) * derived.rates[h[A]].xreplace(named) for A in h).subs(c, exact)
    steps: list[Step] = [Identity(f"{formula}: Q' = -2 a Q", change, -2 * a * Q)]
    for A in h:
        rate = derived.rates[h[A]].xreplace(named) + (a * h[A] if weighted else 0)
        steps.append(Identity(f"{formula}: growth of h on {A}", rate, kH[A] * (derived.g[A] * derived.w[A] - c * h[A])))
        steps.append(
            Identity(
                f"{formula}: dw/dt on {A}", derived.rates[derived.w[A]], structure.label_kernel[A] * derived.g[A] * h[A]
            )
        )
    return tuple(steps)


def growth(factor: int = 2) -> tuple[Step, ...]:
    """kW g h / w + (b / R^2) g w / h - 2 sqrt(b kW) g / R is a square; p = sqrt(kW), s = sqrt(b) / R."""
    p, s, w, h, g = sp.symbols("p s w h g", positive=True)
    rate = p**2 * g * h / w + s**2 * g * w / h
    domain = dict.fromkeys((w, h, g), POSITIVE)
    return (SumOfSquares("AM-GM", rate - factor * p * s * g, ((g / (w * h), p * h - s * w),), domain),)


def norm(count: int, power: int = 1) -> tuple[Step, ...]:
    """(sum m z / sqrt(kW))^2 <= |W|^2 N, by Lagrange's identity; p = sqrt(kW)."""
    m, p, w, h = (sp.symbols(f"{letter}1:{count + 1}", positive=True) for letter in "mpwh")
    x = [a / b for a, b in zip(w, p)]
    form = sum(a * b**2 for a, b in zip(m, x)) * sum(a * b**2 for a, b in zip(m, h))
    form -= sum(a * b * c / d**power for a, b, c, d in zip(m, w, h, p)) ** 2
    squares = [(m[i] * m[j], x[i] * h[j] - x[j] * h[i]) for i in range(count) for j in range(i)]
    return (SumOfSquares(f"cost and norm, {count} strata", form, tuple(squares), dict.fromkeys(m, POSITIVE)),)


def comparison(below: bool = True) -> tuple[Step, ...]:
    """2 sqrt(b) P / (V R) - b c / R^2 >= (ln R)' / kappa^2: sqrt(b) = n / kappa, N = n^2, Mbar = kappa n R / V - e."""
    P, value, R, n = sp.symbols("P V R n", positive=True)
    kappa, e = sp.symbols("kappa e", nonnegative=True)
    mean = kappa * n * R / value - e
    root, c = n / kappa, P * mean / n**2
    gap = 2 * root * P / (value * R) - root**2 * c / R**2 - P * mean / R**2 / kappa**2
    domain = dict.fromkeys((P, value, R, n), POSITIVE) | {e: NONNEGATIVE}
    domain[kappa] = Interval(sp.S(0), sp.S(1), open=True) if below else Interval(sp.S(1), open=True)
    return (
        Positive("the mean of ln w grows at (ln R)' / kappa^2", gap, domain, strict=False),
        Positive("and 1 / kappa^2 > 1", 1 / kappa**2 - 1, domain),
    )


def simplex(formula: str, factor: int = 1) -> tuple[Step, ...]:
    """sum v M = sum m z over the strata but the mean, V - 1 when all margins are 1, as they are at z = 1."""
    derived, attributes = flow(formula), model(formula).attributes
    m, V = attributes.multiplicities, attributes.cardinality
    defined = {str(symbol): value for symbol, value in derived.definitions}
    margin = {T.name: defined[f"M_{T.name.replace(':', '__')}"] for T in attributes.relations[:-1]}
    total = sum(T.valency * margin[T.name] for T in attributes.relations[:-1])
    ones = {z: sp.Integer(A != "1") for A, z in derived.z.items()}
    return (
        Identity(f"{formula}: the sum of margins", total, factor * sum(m[A] * derived.z[A] for A in m if A != "1")),
        *(Identity(f"{formula}: margin {T} of the ETF", M.xreplace(ones), sp.S(1)) for T, M in margin.items()),
        Identity(f"{formula}: valencies", sum(T.valency for T in attributes.relations[:-1]), V - 1),
    )
