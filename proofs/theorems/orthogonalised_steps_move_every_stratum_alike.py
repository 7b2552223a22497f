"""Muon's flow (orthogonalised gradients) gives every stratum the same rate; for H = U Phi the rate sqrt(kH_A)."""

import sympy as sp

from ...theory.flow import TIME
from ..checker import Theorem
from ..steps import POSITIVE, DifferentialIdentity, Identity, MatrixIdentity, Positive, Step

STATEMENT = r"""On the symmetric matrices $-\partial L/\partial W = \sum_A g_A h_A P_A Q^\top$, whose orthogonal polar
factor is $\sum_A \mathrm{sgn}(g_A h_A) P_A Q^\top$. The flow of orthogonalised steps is therefore $\dot w_A =
\mathrm{sgn}(g_A h_A)$, $\dot h_A = \mathrm{sgn}(g_A w_A)$: while $g_A > 0$ every stratum grows at rate 1 whatever its
target, multiplicity or kernel, $z_A = (w_0 + t)(h_0 + t)$. With features $H = U \Phi$, $\Phi^\top\Phi = K_H$ and $U$
orthogonalised, $\dot h_A = \sqrt{\kappa^H_A}$: from zero $z_A = \sqrt{\kappa^H_A}\, t^2$, which reaches $\tau/2$ at
$t = (\tau/2)^{1/2} (\kappa^H_A)^{-1/4}$, where gradient flow's time goes as $(\kappa^H_A)^{-1/2}$ times a logarithm."""


def theorem() -> Theorem:
    return Theorem(
        name="orthogonalised_steps_move_every_stratum_alike",
        statement=STATEMENT,
        setting=("free", "matrices of the symmetric form"),
        hypotheses=("no stratum at g h = 0",),
        scope="all structures; two strata stand for any number",
        claims=(14,),
        rests_on=(
            "X = U S with U'U = I (here UU' = I on the strata) and S symmetric positive semidefinite fixes the "
            "polar factor U",
        ),
        uses=("strata_projectors_resolve_the_identity",),
        proof=(*polar(), *parameters(), *linear_growth()),
        mutations={
            "the gradient's own size": polar(orthogonal=False),
            "kH instead of its root": parameters(power=2),
            "exponential growth": linear_growth(exponential=True),
        },
        references=(
            "Jordan et al., Muon: an optimizer for hidden layers, 2024",
            "Carlson et al., Preconditioned " "spectral " "descent for deep learning, 2015",
        ),
    )


def _letters() -> tuple:
    P, N = sp.symbols("P N", commutative=False)  # projectors of two strata that together make the identity
    rules = (((P, P), P), ((P, N), sp.S(0)), ((N, P), sp.S(0)), ((N, N), N))
    return P, N, rules


def polar(orthogonal: bool = True) -> tuple[Step, ...]:
    """Pull p > 0 on P and -q < 0 on N: U = P - N, with X = U S, S = p P + q N."""
    P, N, rules = _letters()
    Q, Qt = sp.symbols("Q Q'", commutative=False)
    rules = (*rules, ((Qt, Q), sp.S(1)))
    p, q = sp.symbols("p q", positive=True)
    X = (p * P - q * N) * Qt
    U, Ut = ((P - N) * Qt, Q * (P - N)) if orthogonal else (X, Q * (p * P - q * N))
    S = Q * (p * P + q * N) * Qt
    return (
        MatrixIdentity("U U' is the identity of the strata", U * Ut, P + N, rules),
        MatrixIdentity("X = U S", U * S, X, rules),
        MatrixIdentity("S is the square root of X' X", S * S, Q * (p * P - q * N) * X, rules),
        Positive("S has positive eigenvalues", p * q, {p: POSITIVE, q: POSITIVE}),
    )


def parameters(power: int = 1) -> tuple[Step, ...]:
    """H = U Phi, Phi = R (a P + b N) with R'R = I: the pull on U is Q (p a P + q b N) R', its factor Q (P + N) R'."""
    P, N, rules = _letters()
    Q, Qt, R, Rt = sp.symbols("Q Q' R R'", commutative=False)
    rules = (*rules, ((Qt, Q), sp.S(1)), ((Rt, R), sp.S(1)))
    a, b, p, q = sp.symbols("a b p q", positive=True)  # roots of the kernel; pulls on H
    Phi, Phit = R * (a * P + b * N), (a * P + b * N) * Rt
    pull = Q * (p * P + q * N) * Phit
    factor = Q * (P + N) * Rt
    size = R * (p * a * P + q * b * N) * Rt
    return (
        MatrixIdentity("Phi' Phi has the kernel's eigenvalues", Phit * Phi, a**2 * P + b**2 * N, rules),
        MatrixIdentity("pull = factor times size", factor * size, pull, rules),
        MatrixIdentity("dH/dt = factor Phi", factor * Phi, Q * (a**power * P + b**power * N), rules),
    )


def linear_growth(exponential: bool = False) -> tuple[Step, ...]:
    """Rates 1 on W and a = sqrt(kH) on H; from zero, z = tau/2 at t = sqrt(tau / 2a)."""
    w, h, w0, h0, a, tau = sp.symbols("w h w0 h0 a tau", positive=True)
    rates = {w: w if exponential else sp.S(1), h: h if exponential else a}
    solution = {w: w0 + TIME, h: h0 + a * TIME}
    z = (solution[w] * solution[h]).subs({w0: 0, h0: 0})
    return (
        DifferentialIdentity("linear growth", solution, rates, TIME, {w: w0, h: h0}),
        Identity("half-saturation", z.subs(TIME, sp.sqrt(tau / (2 * a))), tau / 2),
    )
