"""With ridge the fixed point where strata survive is linearly stable for both losses; zero is not while tau > m lam."""

from itertools import combinations

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.partition import LogPartition
from ...theory.system import derive
from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, GALLERY, at, model
from ..steps import POSITIVE, Identity, Positive, Step, SumOfSquares

STATEMENT = r"""Let $\lambda_W = p^2$, $\lambda_H = q^2 > 0$ and $g_A = pq$ on all strata (the mean of cross-entropy
rests at 0, held by the ridge alone). The second variation of the regularised loss in the direction $(a_A, b_A)$ is
$\sum_A m_A (p a_A - q b_A)^2 + D(\delta z)$ with $\delta z_A = a_A h_A + b_A w_A$ and $D$ the Hessian of the loss in
$z$, which is positive definite on the strata but the mean. So it is positive, and the Jacobian $-K \nabla^2 L$ has
negative real spectrum for all positive kernels. On a stratum at zero (squared error) the determinant is
$\kappa^W\kappa^H(\lambda_W\lambda_H - \tau^2/m^2)$: zero is unstable while $\tau > m\sqrt{\lambda_W\lambda_H}$."""


def theorem() -> Theorem:
    return Theorem(
        name="ridge_fixed_point_is_stable",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=("lam_W, lam_H > 0", "positive kernels", "all strata but the mean survive"),
        scope="second variation: all structures; softmax Hessian: up to 8 relations (K <= 3); Jacobian blocks of "
        "squared error: one factor, a * b, chains of up to 3, all sizes",
        claims=(9,),
        rests_on=(
            "-K S with K diagonal positive and S symmetric positive definite has negative real spectrum",
            "the margins determine z on the strata but the mean (their characters are independent)",
        ),
        uses=("ridge_fixed_points_drop_the_kernels", "entrywise_functions_stay_in_the_algebra"),
        proof=(
            *second_variation(),
            *(step for count in (1, 2, 3, 4, 7) for step in softmax_hessian(count)),
            *(step for formula in GALLERY for step in hessian_of_margins(formula)),
            *(step for formula in (*CROSSED[:2], *CHAINS) for step in blocks(formula)),
        ),
        mutations={
            "g = 2 p q": second_variation(factor=2),
            "squares that miss the cross terms": softmax_hessian(2, cross=False),
            "zero stable while tau > m lam": blocks("a[n1]", zero_sign=-1),
            "a positive trace": blocks("a[n1]", trace_sign=-1),
        },
        references=("Zhu et al. 2021 (strict saddles; global minima)",),
    )


def second_variation(factor: int = 1) -> tuple[Step, ...]:
    """One stratum: F(z) stands for the loss with F' = -m g and F'' = D; then the step away from p a = q b, dz = 0."""
    a, b, w, h, p, q, m, D, e = sp.symbols("a b w h p q m D epsilon", positive=True)
    g = factor * p * q
    z = (w + e * a) * (h + e * b)
    loss = -m * g * (z - w * h) + D * (z - w * h) ** 2 / 2
    ridge = m * (p**2 * (w + e * a) ** 2 + q**2 * (h + e * b) ** 2) / 2
    second = sp.diff(loss + ridge, e, 2).subs(e, 0)
    return (
        Identity("the second variation", second, m * (p * a - q * b) ** 2 + D * (a * h + b * w) ** 2),
        Identity(
            "it vanishes for (a, b) = 0 alone: the two squares are independent",
            p * w + q * h,
            sp.Matrix([[p, -q], [h, w]]).det(),
        ),
        Positive("their determinant", p * w + q * h, dict.fromkeys((p, q, w, h), POSITIVE)),
    )


def softmax_hessian(count: int, cross: bool = True) -> tuple[Step, ...]:
    """sum v S x^2 - (sum v S x)^2 is a sum of squares with the weights S_same v S and v S v' S'."""
    same = sp.Symbol("S", positive=True)
    P, x = sp.symbols(f"P1:{count + 1}", positive=True), sp.symbols(f"x1:{count + 1}", real=True)  # P = v S
    form = sum(p * y**2 for p, y in zip(P, x)) - sum(p * y for p, y in zip(P, x)) ** 2
    squares = [(same * p, y) for p, y in zip(P, x)]
    squares += [(P[i] * P[j], x[i] - x[j]) for i, j in combinations(range(count), 2) if cross]
    domain = dict.fromkeys((same, *P), POSITIVE)
    return (
        SumOfSquares(f"softmax Hessian, {count} relations", form, tuple(squares), domain, ((same, 1 - sum(P)),)),
        *curvature(count),
    )


def curvature(count: int) -> tuple[Step, ...]:
    """The second derivatives of the log-partition in the margins are those of that form, up to v."""
    M, v = sp.symbols(f"M1:{count + 1}", real=True), sp.symbols(f"v1:{count + 1}", positive=True)
    partition = 1 + sum(n * sp.exp(-x) for n, x in zip(v, M))
    P = [n * sp.exp(-x) / partition for n, x in zip(v, M)]
    steps: list[Step] = []
    for i in range(count):
        slope = sp.diff(LogPartition(*M, *v), M[i])
        steps.append(Identity(f"slope {i}", slope, -P[i]))
        for j in range(i + 1):
            second = (P[i] if i == j else 0) - P[i] * P[j]
            steps.append(Identity(f"second derivative {i}, {j}", sp.diff(slope, M[j]), second))
    return tuple(steps)


def hessian_of_margins(formula: str) -> tuple[Step, ...]:
    """The derived m_A g_A is a sum of S_T over relations with the weights with which z_A enters the margins M_T."""
    structure = model(formula)
    attributes = structure.attributes
    m, V = attributes.multiplicities, attributes.cardinality
    flow = derive(structure).flow
    v = {T.name: T.valency for T in attributes.relations[:-1]}
    M = {T: sp.Symbol(f"M_{T.replace(':', '__')}", real=True) for T in v}
    definitions = dict(flow.definitions)
    steps: list[Step] = []
    for A in attributes.names[1:]:
        shares = {T: m[A] * (1 - attributes.character(A, T)) / V for T in v}
        S = {T: sp.Symbol(f"S_{T.replace(':', '__')}", real=True) for T in v}
        steps.append(
            Identity(f"{formula}: m g on {A}", m[A] * definitions[flow.g[A]], sum(v[T] * shares[T] * S[T] for T in v))
        )
        for T in v:
            steps.append(Identity(f"{formula}: dM_{T}/dz_{A}", sp.diff(definitions[M[T]], flow.z[A]), shares[T]))
    return tuple(steps)


def blocks(formula: str, trace_sign: int = 1, zero_sign: int = 1) -> tuple[Step, ...]:
    """Squared error: trace < 0 and determinant > 0 of every stratum's block at w = q r, h = p r; the block at zero."""
    p, q, r = sp.symbols("p q r", positive=True)
    structure = model(formula, (p**2, q**2), loss="mse")
    system = derive(structure)
    flow, state = system.flow, system.flow.state
    m = Attributes(formula).cardinality
    steps: list[Step] = []
    for A, w in flow.w.items():
        rows = [state.index(w), state.index(flow.h[A])]
        block = system.jacobian().extract(rows, rows)
        kW, kH, tau = structure.label_kernel[A], structure.feature_kernel[A], structure.tau[A]
        point = {w: q * r, flow.h[A]: p * r, flow.g[A]: p * q}
        here = block.subs(point, simultaneous=True)
        scale = structure.scale
        trace = kW * (scale * p**2 * r**2 + p**2) + kH * (scale * q**2 * r**2 + q**2)
        steps.append(Identity(f"{formula}, {A}: minus trace", -trace_sign * here.trace(), trace))
        steps.append(Identity(f"{formula}, {A}: determinant", here.det(), 4 * kW * kH * p**2 * q**2 * r**2 / m))
        zero = block.applyfunc(lambda entry: at(flow, entry, {x: sp.S(0) for x in state}))  # noqa: B023
        steps.append(
            Identity(f"{formula}, {A}: at zero", zero.det(), zero_sign * kW * kH * (p**2 * q**2 - tau**2 / m**2))
        )
        signs = dict.fromkeys((kW, kH, p, q, r), POSITIVE) | {n: POSITIVE for n in m.free_symbols}
        steps.append(Positive(f"{formula}, {A}: minus trace > 0", trace, signs))
    return tuple(steps)
