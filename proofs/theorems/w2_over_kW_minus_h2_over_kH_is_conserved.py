"""Without ridge the free flow conserves W' KW^-1 W - H KH^-1 H', and w^2/kW - h^2/kH on every stratum."""

import sympy as sp

from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, model
from ..steps import Identity, MatrixIdentity, Step, derivative

STATEMENT = r"""In the free model without ridge, $W^\top K_W^{-1} W - H K_H^{-1} H^\top$ is constant in time, whatever
the loss; on every stratum of the labels $w_A^2/\kappa^W_A - h_A^2/\kappa^H_A$ is constant."""


def theorem() -> Theorem:
    return Theorem(
        name="w2_over_kW_minus_h2_over_kH_is_conserved",
        statement=STATEMENT,
        setting=("free", "KW and KH invertible"),
        hypotheses=("no ridge", "KW and KH symmetric"),
        scope=f"matrices: all sizes, any differentiable loss of Z = W H; strata: both losses, {SCOPE}",
        claims=(2,),
        proof=(*matrices(), *(step for formula in GALLERY for step in strata(formula))),
        mutations={
            "a sum instead of a difference": matrices(sign=1),
            "with ridge": matrices(ridge=sp.Symbol("lambda")),
            "w^2 kW - h^2 kH": strata("a[n1] * b[n2]", exponent=1),
            "w^2 - h^2": strata("a[n1] * b[n2]", exponent=0),
            "powers 3": strata("a[n1]", power=3),
        },
        references=("Arora, Cohen, Hazan, On the optimization of deep networks, 2018 (equal kernels)",),
    )


def matrices(sign: int = -1, ridge: sp.Expr = sp.S(0)) -> tuple[Step, ...]:
    W, Wt, H, Ht, G, Gt, KW, KH = sp.symbols("W W' H H' G G' KW KH", commutative=False)
    rates = {
        W: -KW * (G * Ht + ridge * W),
        Wt: -(H * Gt + ridge * Wt) * KW,
        H: -(Wt * G + ridge * H) * KH,
        Ht: -KH * (Gt * W + ridge * Ht),
    }
    quantity = Wt * KW**-1 * W + sign * H * KH**-1 * Ht
    return (MatrixIdentity("d/dt (W' KW^-1 W - H KH^-1 H') = 0 for any G", derivative(quantity, rates), sp.S(0)),)


def strata(formula: str, exponent: int = -1, power: int = 2) -> tuple[Step, ...]:
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        derived, structure = flow(formula, loss=loss), model(formula, loss=loss)
        for A, w in derived.w.items():
            h, kW, kH = derived.h[A], structure.label_kernel[A], structure.feature_kernel[A]
            quantity = w**power * kW**exponent - h**power * kH**exponent
            change = sum(sp.diff(quantity, x) * derived.rates[x] for x in (w, h))
            # The mean carries no cross-entropy: its g is 0, and any quantity of it is constant.
            steps.append(Identity(f"{loss}, {formula}, stratum {A}", change, sp.S(0)))
    return tuple(steps)
