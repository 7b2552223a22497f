"""Ridge: on two nested or two crossed attributes the order survives it, and the finest stratum never overshoots."""

import sympy as sp

from ..checker import Theorem
from ..gallery import LAM_H, LAM_W, flow, model, sizes
from ..steps import NONNEGATIVE, Identity, Interval, Positive, Step

STATEMENT = r"""Cross-entropy, one-hot, free, balanced, $\kappa^W\lambda_W = \kappa^H\lambda_H$: $d\ln z_A/dt =
2\kappa_A (g_A - \lambda)$, $\lambda = \sqrt{\lambda_W\lambda_H}$. For any pair that exchanges, $D = \ln(z_A/z_B)$ has
$\dot D = 2(\kappa_A - \kappa_B)(g_A - \lambda)$ where $D = 0$: the order holds as long as $z_A$ does not fall. On
$a/b$ and $a*b$ it holds for all times: with $B$ the finest stratum, the set $\{z_A \ge z_B \text{ for all } A,\ g_B
\ge \lambda\}$ is never left, since $g_B = \lambda$ makes $g_A \le \lambda$, no $z_A$ rises, $z_B$ rests, and
$\partial\pi_B/\partial z_A \ge 0$. Coarse strata overshoot their limit; $z_B$ never falls."""

FORMULAS = ("a[n1] / b[n2]", "a[n1] * b[n2]")


def theorem() -> Theorem:
    return Theorem(
        name="two_levels_keep_their_order_under_the_ridge",
        statement=STATEMENT,
        setting=("cross-entropy", "free", "a / b or a * b"),
        hypotheses=(
            "one-hot",
            "balanced start",
            "kW lam_W = kH lam_H",
            "kappa_A >= kappa_B",
            "at the start z_A >= z_B and g_B >= lam (a small start)",
        ),
        scope="a / b and a * b, all sizes and kernels; it fails for three (2 x 2 x 2 with ridge, integrated)",
        claims=(8, 9),
        rests_on=("Nagumo's theorem for a closed set with a locally Lipschitz flow",),
        uses=("coarse_strata_stay_ahead_for_all_times",),
        proof=(
            *(step for formula in FORMULAS for step in shifted(formula)),
            *level(),
            *(step for formula in FORMULAS for step in slopes(formula)),
        ),
        mutations={
            "the ridge pulls by kappa^2": shifted("a[n1] / b[n2]", power=2),
            "while z_A falls, too": level(pull=Interval(-sp.S(1))),
            "pi_B falls with z_A": slopes("a[n1] / b[n2]", sign=-1),
            "pi_B falls with z_A, crossed": slopes("a[n1] * b[n2]", sign=-1),
        },
    )


def shifted(formula: str, power: int = 1) -> tuple[Step, ...]:
    """On w = a q, h = b q with kW = a^2, kH = b^2, a^2 lam_W = b^2 lam_H."""
    derived, structure = flow(formula, (LAM_W, LAM_H)), model(formula, (LAM_W, LAM_H))
    a, b, q, lam = sp.symbols("a b q lambda", positive=True)
    steps: list[Step] = []
    for A, w in list(derived.w.items())[1:]:
        h = derived.h[A]
        plane = {structure.label_kernel[A]: a**2, structure.feature_kernel[A]: b**2, w: a * q, h: b * q}
        plane |= {LAM_W: lam * b / a, LAM_H: lam * a / b}
        change = (derived.rates[w] / w + derived.rates[h] / h).subs(plane, simultaneous=True)
        steps.append(
            Identity(f"{formula}: d ln z/dt on {A}", change, 2 * a * b * derived.g[A] - 2 * (a * b) ** power * lam)
        )
    return tuple(steps)


def level(pull: Interval = NONNEGATIVE) -> tuple[Step, ...]:
    """Where z_A = z_B, g_A = g_B = lam + x."""
    kB, extra, x, lam = sp.symbols("kappa_B delta x lambda", real=True)
    g = lam + x
    change = 2 * (kB + extra) * (g - lam) - 2 * kB * (g - lam)
    return (
        Identity("the ratio where the two are level", change, 2 * extra * x),
        Positive("it does not fall", 2 * extra * x, {extra: NONNEGATIVE, x: pull}, strict=False),
    )


def slopes(formula: str, sign: int = 1) -> tuple[Step, ...]:
    """d pi_B/dz_A >= 0 for the finest B, by x = e^{(z_a - z_B)/n_b}, y = e^{(z_b - z_B)/n_a}, e = e^{z_B}.

    For a / b there is no y.  dS_T/dM_U = S_T (v_U S_U - [T = U]) for the probability S_T of another label.
    """
    derived, attributes = flow(formula), model(formula).attributes
    known, finest = dict(derived.definitions), attributes.names[-1]
    v = {relation.name: relation.valency for relation in attributes.relations[:-1]}
    S, M = ({T: sp.Symbol(f"{letter}_{T.replace(':', '__')}", real=True) for T in v} for letter in "SM")
    x, y, e = sp.symbols("x y e", positive=True)
    others = attributes.names[1:-1]
    parts = dict(zip(others, (x, y), strict=False))
    # Losing an attribute of a relation divides its weight by what the attribute gives.
    inverse = {T: e * sp.prod([part for A, part in parts.items() if A != T]) for T in v}
    blocks = {A: attributes.cardinality / attributes.sizes[A] for A in others}
    z = derived.z
    logs = {x: (z[others[0]] - z[finest]) / blocks[others[0]], e: z[finest]}
    if len(others) == 2:
        logs[y] = (z[others[1]] - z[finest]) / blocks[others[1]]
    total = 1 + sum(v[T] / inverse[T] for T in v)
    softmax = {S[T]: 1 / inverse[T] / total for T in v}
    up = {symbol: 1 + symbol for symbol in (x, y, e)}
    domain = sizes(attributes) | dict.fromkeys((x, y, e), NONNEGATIVE)
    steps: list[Step] = []
    for T in v:
        margin = sum(logs[factor] for factor in sp.Mul.make_args(inverse[T]))
        steps.append(Identity(f"{formula}: margin of {T}", known[M[T]], margin))
    for A in others:
        slope = -sum(
            sp.diff(known[derived.g[finest]], S[T]) * S[T] * (v[U] * S[U] - (1 if T == U else 0))
            * sp.diff(known[M[U]], z[A])
            for T in v for U in v
        )  # fmt: skip
        slope = sign * slope.subs(softmax, simultaneous=True).subs(up, simultaneous=True)
        steps.append(Positive(f"{formula}: slope of pi_B in z_{A}", slope, domain, strict=False))
    return tuple(steps)
