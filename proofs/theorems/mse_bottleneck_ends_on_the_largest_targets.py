"""Capacity, squared error: a bottleneck keeps what emerged first only if no stratum that it leaves out has a larger
target; equal targets may be kept in part."""

import sympy as sp

from ..checker import Theorem
from ..steps import POSITIVE, Identity, Interval, MatrixIdentity, Positive, Step

STATEMENT = r"""Squared error, width $d < V$. Let $Z = W H = z\, u u^\top + Z'$ with a unit vector $u$ in a stratum
with target $\tau_A$, $z > 0$, and $Z' u = 0$, $Z'^\top u = 0$; let $v$ be a unit vector in a stratum with target
$\tau_B$, at $Z' v = 0$, $Z'^\top v = 0$. Turning $u$ to $p = \cos\theta\, u + \sin\theta\, v$ in $W$ and $H$ keeps
the width and all singular values, hence any ridge, and changes the loss by exactly $-\frac{z}{m} (\tau_B - \tau_A)
\sin^2\theta$. So a truncation that leaves out a direction with a target larger than one that it keeps is no local
minimum: it is a strict saddle, whatever the kernels let emerge first. With equal targets the loss does not change:
every projector $\Pi$ of rank $d$ in place of the strata is stationary for one-hot targets, and a stratum that fits in
part keeps any part."""


def theorem() -> Theorem:
    return Theorem(
        name="mse_bottleneck_ends_on_the_largest_targets",
        statement=STATEMENT,
        setting=("squared error", "width d < V"),
        hypotheses=("a target left out is larger than one kept",),
        scope="all structures, widths and ridges; any two directions of strata",
        claims=(11,),
        rests_on=(
            "Eckart-Young: without ridge the best Z of rank d keeps the d largest singular values of T",
            "a gradient flow leaves a strict saddle from almost every start near it (centre-stable manifold)",
        ),
        uses=("strata_projectors_resolve_the_identity",),
        proof=(*exchange(), *descent(), *flat()),
        mutations={
            "the loss rises": exchange(sign=-1),
            "sin theta for its square": exchange(power=1),
            "a descent to a smaller target": descent(larger=False),
            "Z = 2 Pi": flat(factor=2),
        },
        references=("Eckart, Young 1936", "Baldi, Hornik 1989", "Mirsky 1960"),
    )


def exchange(sign: int = 1, power: int = 2) -> tuple[Step, ...]:
    """|z p p' - T|^2 in the plane of u and v, where T is diag(tau_A, tau_B); outside it nothing moves."""
    z, m = sp.symbols("z m", positive=True)
    tau = sp.symbols("tau_A tau_B", real=True)
    c, s = sp.symbols("c s", real=True)  # cos theta and sin theta
    p = sp.Matrix([c, s])
    u = sp.Matrix([1, 0])
    T = sp.diag(*tau)

    def loss(Z: sp.Matrix) -> sp.Expr:
        return sum(x**2 for x in Z - T) / (2 * m)

    circle = ((c**2, 1 - s**2),)
    change = loss(z * p * p.T) - loss(z * u * u.T)
    claimed = -sign * z / m * (tau[1] - tau[0]) * s**power
    W, H = sp.sqrt(z) * p, sp.sqrt(z) * p.T
    return (
        Identity("the change of the loss", change, claimed, circle),
        Identity("|W|^2 stays", W.dot(W), z, circle),
        Identity("|H|^2 stays", H.dot(H), z, circle),
    )


def descent(larger: bool = True) -> tuple[Step, ...]:
    """The second derivative at theta = 0 is -2 z (tau_B - tau_A) / m, negative when tau_B is the larger."""
    theta = sp.Symbol("theta", real=True)
    z, m, gap = sp.symbols("z m gap", positive=True)
    change = -z / m * gap * sp.sin(theta) ** 2
    second = sp.diff(change, theta, 2).subs(theta, 0)
    domain = dict.fromkeys((z, m), POSITIVE) | {gap: POSITIVE if larger else Interval(sp.S(-2), sp.S(-1), open=True)}
    return (
        Identity("the second derivative", second, -2 * z * gap / m),
        Positive("a strict descent", 2 * z * gap / m, domain),
    )


def flat(factor: int = 1) -> tuple[Step, ...]:
    """One-hot: W = Pi Q', H = Q Pi with any projector Pi, whether or not it is made of whole strata."""
    projector, Q, Qt = sp.symbols("Pi Q Q'", commutative=False)
    rules = (((projector, projector), projector), ((projector, Qt, Q, projector), projector))
    W, H = factor * projector * Qt, Q * projector
    G = W * H - 1
    return (
        MatrixIdentity("dL/dW = 0", G * projector * Qt, sp.S(0), rules),
        MatrixIdentity("dL/dH = 0", factor * Q * projector * G, sp.S(0), rules),
        MatrixIdentity("the residual is a projector: its squared norm is V - d", G * G, 1 - projector, rules),
    )
