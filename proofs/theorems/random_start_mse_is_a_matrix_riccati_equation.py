"""Squared error with equal kernels: from a (lambda-)balanced start the matrix flow is solved by a Riccati equation."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, MatrixIdentity, Step, derivative

STATEMENT = r"""Squared error, equal kernels, no ridge, time in units of $m$: $\dot W = (T - WH)H^\top$, $\dot H =
W^\top(T - WH)$. With $R = \binom{W}{H^\top}$, $F = \begin{pmatrix} 0 & T \\ T^\top & 0 \end{pmatrix}$, $D =
\mathrm{diag}(I, -I)$ and the constant $C = W^\top W - H H^\top$, $\dot R = F R - \frac12 R R^\top R + \frac12 D R C$.
For $C = \lambda I$ this is $\dot R = F_\lambda R - \frac12 R R^\top R$, $F_\lambda = F + \frac{\lambda}{2} D$, and $R
R^\top(t) = e^{F_\lambda t} R_0 \left[ I + \frac12 R_0^\top F_\lambda^{-1} (e^{2 F_\lambda t} - I) R_0 \right]^{-1}
R_0^\top e^{F_\lambda t}$ solves $\dot S = F_\lambda S + S F_\lambda - S^2$; it gives $W W^\top$, $W H$, $H^\top H$, and
$W$, $H$ up to a rotation of the width. Ridge with $\kappa^W \lambda_W = \kappa^H \lambda_H = \mu$ shifts $F$ by $-\mu$
and makes $\dot C = -2 \mu C$, so that it needs $C = 0$. For $C = \sum_b \lambda_b Q_b Q_b^\top$ the parts $R Q_b$ have
equations of their own where they are orthogonal. A start with any other $C$ is outside this form."""


def theorem() -> Theorem:
    return Theorem(
        name="random_start_mse_is_a_matrix_riccati_equation",
        statement=STATEMENT,
        setting=("squared error", "free"),
        hypotheses=("equal kernels", "no ridge", "W'W - HH' = lambda I at the start"),
        scope="matrices of all sizes, in blocks, by identities of the free algebra; ridge from C = 0, and two parts, "
        "as far as their equations",
        claims=(6,),
        rests_on=(
            "parts whose components along the singular vectors of T are orthogonal stay so: e^(Ft) acts within them",
            "d/dt e^(Ft) = F e^(Ft) = e^(Ft) F",
            "uniqueness of solutions of ordinary differential equations",
        ),
        uses=("w2_over_kW_minus_h2_over_kH_is_conserved",),
        proof=(*blocks(), *with_ridge(), *parts(), *solution()),
        mutations={
            "S' = F S + S F - 2 S^2": solution(factor=2),
            "without the factor 1/2": blocks(half=sp.S(1)),
            "D = I": blocks(sign=1),
            "ridge shifts F by -mu/2": with_ridge(shift=sp.Rational(1, 2)),
            "with ridge C decays at mu": with_ridge(rate=1),
            "parts that meet": parts(meet=True),
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


def with_ridge(shift: sp.Expr = sp.S(1), rate: int = 2) -> tuple[Step, ...]:
    """dW/dt and dH'/dt with ridge mu on both, from C = 0, and what C does."""
    W, Wt, H, Ht, T, Tt = sp.symbols("W W' H H' T T'", commutative=False)
    mu = sp.Symbol("mu", positive=True)
    dW, dHt = (T - W * H) * Ht - mu * W, (Tt - Ht * Wt) * W - mu * Ht
    dWt, dH = H * (Tt - Ht * Wt) - mu * Wt, Wt * (T - W * H) - mu * H
    half, RtR = sp.Rational(1, 2), Wt * W + H * Ht
    balanced = (((H, Ht), Wt * W),)
    return (
        MatrixIdentity("ridge: dW/dt", dW, T * Ht - shift * mu * W - half * W * RtR, balanced),
        MatrixIdentity("ridge: dH'/dt", dHt, Tt * W - shift * mu * Ht - half * Ht * RtR, (((Ht, H, Ht), Ht * Wt * W),)),
        MatrixIdentity(
            "ridge: dC/dt = -2 mu C", dWt * W + Wt * dW - dH * Ht - H * dHt, -rate * mu * (Wt * W - H * Ht)
        ),
    )


def parts(meet: bool = False) -> tuple[Step, ...]:
    """R = R1 Q1' + R2 Q2', C = a Q1 Q1' + b Q2 Q2', R2'R1 = 0: the equation of R times Q1 is R1's, with lambda = a."""
    R1, R2, R1t, R2t, Q1, Q2, Q1t, Q2t, F, D = sp.symbols("R1 R2 R1' R2' Q1 Q2 Q1' Q2' F D", commutative=False)
    a, b = sp.symbols("a b", real=True)
    R, Rt, C = R1 * Q1t + R2 * Q2t, Q1 * R1t + Q2 * R2t, a * Q1 * Q1t + b * Q2 * Q2t
    half, one, none = sp.Rational(1, 2), sp.S(1), sp.S(0)
    frame = (((Q1t, Q1), one), ((Q2t, Q2), one), ((Q1t, Q2), none), ((Q2t, Q1), none))
    apart = () if meet else (((R2t, R1), none), ((R1t, R2), none))
    rate = F * R - half * R * Rt * R + half * D * R * C
    own = F * R1 - half * R1 * R1t * R1 + half * a * D * R1
    return (MatrixIdentity("a part has its own equation", rate * Q1, own, (*frame, *apart)),)


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
