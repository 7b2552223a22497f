"""Free model, cross-entropy without ridge: from every positive start the margin tends to the programme's optimum.

Let z* solve the programme min sum_A m_A z_A / sqrt(kW_A kH_A), margins >= 1, with value V*, and X = sum_A y_A ln z_A
with y_A = m_A z*_A / (V* sqrt(kW_A kH_A)), whose sum is 1. Each pull g_A >= 0, so by AM-GM d(ln z_A)/dt >= 2 sqrt(kW
kH) g_A, and sum_A m_A z*_A g_A = sum_T v_T S_T M_T(z*) >= P: X' >= 2 P / V*. The norm has (rho^2)' = 4 P Mbar with
Mbar <= mu + ln(V - 1). If mu + ln(V - 1) <= kappa rho^2 / (2 V*) for good with kappa < 1, then X' >= (ln rho^2)' /
kappa, so X outgrows ln rho^2; but z_A <= const rho^2. So the normalised margin, which never falls, tends to the
largest there is, 1 / (2 V*). That rho grows without bound is the same comparison: while P >= P0, X grows linearly and
rho^2 at most linearly.
"""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, model, sizes
from ..steps import NONNEGATIVE, POSITIVE, Identity, Interval, Positive, Step, SumOfSquares

STATEMENT = r"""One-hot cross-entropy, free, no ridge, positive kernels, and a start with $w_A, h_A > 0$ on the
support of a solution $z^*$ of $\min \sum_A m_A z_A / \sqrt{\kappa^W_A \kappa^H_A}$ subject to $M_T(z) \ge 1$ for all
$T \ne$ same, $z \ge 0$; let $V^*$ be its value. Then the loss tends to 0 and, with $\rho^2 = \sum_A m_A
(w_A^2/\kappa^W_A + h_A^2/\kappa^H_A)$, $\min_T M_T / \rho^2 \to 1 / (2 V^*)$, the largest value that any $w, h$ have.
So every limit of the direction solves the programme; where its solution is unique, $z / \min_T M_T \to z^*$ from
every positive start, with $w_A^2/\kappa^W_A$ and $h_A^2/\kappa^H_A$ in the ratio 1 on the support."""


def theorem() -> Theorem:
    return Theorem(
        name="positive_starts_reach_the_largest_margin",
        statement=STATEMENT,
        setting=("cross-entropy", "free", "positive kernels, as the programme divides by them"),
        hypotheses=("one-hot", "no ridge", "w, h > 0 on the support of a solution of the programme at the start"),
        scope=f"pulls and margins: {SCOPE}; the inequalities between single strata and the comparison: all structures; "
        "Cauchy-Schwarz is a sum of squares stratum by stratum",
        claims=(10,),
        rests_on=(
            "comparison of scalar differential inequalities",
            "ln x <= x - 1 and x exp(-x) <= exp(-1)",
            "margins, z and the norms depend continuously on the direction, which ranges over a compact set",
        ),
        uses=("the_normalised_margin_never_falls", "balanced_factors_cost_z_over_sqrt_kW_kH"),
        proof=(
            *(step for formula in GALLERY for step in pulls(formula)),
            *growth(),
            *norm(),
            *entropy(),
            *(step for formula in GALLERY[:2] for step in rates(formula)),
            *comparison(),
        ),
        mutations={
            "a pull may be negative": pulls("a[n1] * b[n2]", twice=True),
            "z_A grows at 3 sqrt(kW kH) g": growth(factor=3),
            "the norm bounds z without the kernels": norm(kernel=False),
            "the entropy is at most ln(V - 1) - 1": entropy(slack=1),
            "kappa > 1": comparison(below=False),
        },
        references=("Lyu, Li 2020 (limits are stationary points of the margin problem)",),
    )


def pulls(formula: str, twice: bool = False) -> tuple[Step, ...]:
    """m_A g_A = sum of v S (p_A(same) - p_A(T)), all weights >= 0; and sum m_A x_A g_A = sum v S M_T(x) for any x."""
    derived, structure = flow(formula), model(formula)
    attributes = structure.attributes
    m, V = attributes.multiplicities, attributes.cardinality
    defined = {str(symbol): value for symbol, value in derived.definitions}
    v = {T.name: T.valency for T in attributes.relations[:-1]}
    S = {T: sp.Symbol(f"S_{T.replace(':', '__')}", real=True) for T in v}
    weight = {(A, T): m[A] * (1 - attributes.character(A, T)) / V for A in derived.z for T in v}
    steps: list[Step] = []
    for A, g in derived.g.items():
        claimed = sum(v[T] * S[T] * weight[A, T] for T in v)
        steps.append(Identity(f"{formula}: the pull on {A}", m[A] * defined[str(g)], claimed))
        for T in v:
            least = 1 - (2 if twice else 1) * attributes.character(A, T)
            steps.append(Positive(f"{formula}: weight of {T} on {A}", least, sizes(attributes), strict=False))
    for T in v:
        name = f"M_{T.replace(':', '__')}"
        claimed = sum(weight[A, T] * z for A, z in derived.z.items())
        steps.append(Identity(f"{formula}: the margin {T}", defined[name], claimed))
    return tuple(steps)


def growth(factor: int = 2) -> tuple[Step, ...]:
    """w h' + h w' over w h, less 2 sqrt(kW kH) g, is g times a square; sqrt(kW) = p, sqrt(kH) = q."""
    p, q, w, h, g = sp.symbols("p q w h g", positive=True)
    rate = (w * q**2 * g * w + h * p**2 * g * h) / (w * h)
    domain = dict.fromkeys((w, h, g), POSITIVE)
    return (SumOfSquares("AM-GM", rate - factor * p * q * g, ((g / (w * h), p * h - q * w),), domain),)


def norm(kernel: bool = True) -> tuple[Step, ...]:
    """m (w^2 / kW + h^2 / kH) / 2 - m z / sqrt(kW kH) is a square: sum m z / sqrt(kW kH) <= rho^2 / 2."""
    p, q, w, h, m = sp.symbols("p q w h m", positive=True)
    left = m * (w**2 / p**2 + h**2 / q**2) / 2 - m * w * h / ((p * q) if kernel else 1)
    return (SumOfSquares("cost and norm", left, ((m / 2, w / p - h / q),), {m: POSITIVE}),)


def entropy(slack: int = 0) -> tuple[Step, ...]:
    """sum q ln(v / q) <= ln n with n = sum v: each term by ln x <= x / n + ln n - 1 at x = v / q, q summing to 1."""
    steps: list[Step] = []
    log_n = sp.Symbol("ln n", positive=True)
    for count in (1, 2, 3, 4, 7):
        q, v = sp.symbols(f"q1:{count + 1}", positive=True), sp.symbols(f"v1:{count + 1}", positive=True)
        q = (*q[:-1], 1 - sum(q[:-1]))
        tangents = sum(a * (b / a / sum(v) + log_n - 1) for a, b in zip(q, v))
        steps.append(Identity(f"the tangents' sum, {count} relations", tangents, log_n - slack))
    return tuple(steps)


def rates(formula: str) -> tuple[Step, ...]:
    """The derived rates are the ones that AM-GM is applied to: w' = kW g h, h' = kH g w."""
    derived, structure = flow(formula), model(formula)
    kW, kH = structure.label_kernel, structure.feature_kernel
    steps: list[Step] = []
    for A in Attributes(formula).names[1:]:
        w, h, g = derived.w[A], derived.h[A], derived.g[A]
        steps.append(Identity(f"{formula}: dw/dt on {A}", derived.rates[w], kW[A] * g * h))
        steps.append(Identity(f"{formula}: dh/dt on {A}", derived.rates[h], kH[A] * g * w))
    return tuple(steps)


def comparison(below: bool = True) -> tuple[Step, ...]:
    """X' - (ln rho^2)' / kappa >= 0 and > (ln rho^2)' when Mbar = kappa rho^2 / (2 V*) - e: kappa < 1."""
    P, value, rho2 = sp.symbols("P V rho2", positive=True)
    kappa, e = sp.symbols("kappa e", nonnegative=True)
    mean = kappa * rho2 / (2 * value) - e
    outgrows = 2 * P / value - 4 * P * mean / rho2 / kappa
    domain = dict.fromkeys((P, value, rho2), POSITIVE) | {e: NONNEGATIVE}
    domain[kappa] = Interval(sp.S(0), sp.S(1), open=True) if below else Interval(sp.S(1), open=True)
    return (
        Positive("X' >= (ln rho^2)' / kappa", outgrows, domain, strict=False),
        Positive("and 1 / kappa > 1", 1 / kappa - 1, domain),
    )
