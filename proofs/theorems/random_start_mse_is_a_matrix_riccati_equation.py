"""Squared error with equal kernels: from a (lambda-)balanced start the matrix flow is solved by a Riccati equation."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, MatrixIdentity, Step, derivative

STATEMENT = r"""Squared error, equal kernels, no ridge, time in units of $m$: $\dot W = (T - WH)H^\top$, $\dot H =
W^\top(T - WH)$. With $R = \binom{W}{H^\top}$, $F = \begin{pmatrix} 0 & T \\ T^\top & 0 \end{pmatrix}$, $D =
\mathrm{diag}(I, -I)$ and the constant $C = W^\top W - H H^\top$, $\dot R = F R - \frac12 R R^\top R + \frac12 D R C$.
For $C = \lambda I$ this is $\dot R = F_\lambda R - \frac12 R R^\top R$, $F_\lambda = F + \frac{\lambda}{2} D$, and $R
R^\top(t) = e^{F_\lambda t} R_0 \left[ I + \frac12 R_0^\top F_\lambda^{-1} (e^{2 F_\lambda t} - I) R_0 \right]^{-1}
R_0^\top e^{F_\lambda t}$ solves $\dot S = F_\lambda S + S F_\lambda - S^2$. A start with any other $C$ is outside
this form."""


def theorem() -> Theorem:
    return Theorem(
        name="random_start_mse_is_a_matrix_riccati_equation",
        statement=STATEMENT,
        hypotheses=("squared error", "equal kernels", "no ridge", "W'W - HH' = lambda I at the start"),
        scope="matrices of all sizes, in blocks, by identities of the free algebra",
        claims=(6,),
        rests_on=("d/dt e^(Ft) = F e^(Ft) = e^(Ft) F", "uniqueness of solutions of ordinary differential equations"),
        uses=("w2_over_kW_minus_h2_over_kH_is_conserved",),
        proof=(*blocks(), *solution()),
        mutations={
            "S' = F S + S F - 2 S^2": solution(factor=2),
            "without the factor 1/2": blocks(half=sp.S(1)),
            "D = I": blocks(sign=1),
            "a solution that forgets the inverse": solution(inverse=False),
        },
        references=(
            "Fukumizu, Effect of batch learning in multilayer neural networks, 1998",
            "Braun, Domine, Fitzgerald, Saxe, Exact learning dynamics of deep linear networks with prior knowledge, "
            "2022",
            "Domine et al. 2025",
        ),
    )


def blocks(half: sp.Rational = sp.Rational(1, 2), sign: int = -1) -> tuple[Step, ...]:
    """The two block rows of dR/dt, and F_lambda for C = lambda I."""
    W, Wt, H, Ht, T, Tt = sp.symbols("W W' H H' T T'", commutative=False)
    lam = sp.Symbol("lambda")
    C, RtR = Wt * W - H * Ht, Wt * W + H * Ht
    dW, dHt = (T - W * H) * Ht, (Tt - Ht * Wt) * W
    replace = (((H, Ht), Wt * W - lam),)  # C = lambda I
    return (
        MatrixIdentity("dW/dt", dW, T * Ht - half * W * RtR + sp.Rational(1, 2) * W * C),
        MatrixIdentity("dH'/dt", dHt, Tt * W - half * Ht * RtR + sp.Rational(1, 2) * sign * Ht * C),
        MatrixIdentity("C = lambda I: the upper row", W * C, lam * W, replace),
        MatrixIdentity("C = lambda I: the lower row", Ht * C, lam * Ht, (((Ht, H, Ht), Ht * Wt * W - lam * Ht),)),
    )


def solution(factor: int = 1, inverse: bool = True) -> tuple[Step, ...]:
    """S = E R0 B^-1 R0' E with E' = F E = E F, B = I + R0' N R0, N = F^-1 (E^2 - 1) / 2 so that N' = E^2."""
    R, Rt, E, F, B, N = sp.symbols("R R' E F B N", commutative=False)
    rates = {E: F * E, N: E * E, B: Rt * E * E * R}
    rules = (((E, F), F * E),)  # E is a power series in F
    S = E * R * (B**-1 if inverse else 1) * Rt * E
    half = sp.Rational(1, 2)
    return (
        MatrixIdentity(
            "N' = E^2",
            derivative(half * F**-1 * (E**2 - 1), rates),
            E * E,
            (*rules, ((F**-1, F), sp.S(1)), ((F, F**-1), sp.S(1))),
        ),
        MatrixIdentity("B' = R0' E^2 R0", derivative(1 + Rt * N * R, rates), Rt * E * E * R),
        MatrixIdentity("S' = F S + S F - S^2", derivative(S, rates), F * S + S * F - factor * S * S, rules),
        Identity("t = 0: N = 0, B = I, S = R0 R0'", half * (sp.exp(sp.S(0)) ** 2 - 1), sp.S(0)),
    )
