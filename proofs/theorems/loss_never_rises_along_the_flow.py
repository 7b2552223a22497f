"""The flow on the strata descends the loss: dL/dt = -sum_A m_A (w_A'^2 / kW_A + h_A'^2 / kH_A)."""

import sympy as sp

from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, GALLERY, LAM_H, LAM_W, SCOPE, at, flow, model
from ..steps import Identity, Step

STATEMENT = r"""Along the derived flow of the free model with kernels $\kappa > 0$ and ridge, the regularised loss
obeys $\dot L = -\sum_A m_A \left( \dot w_A^2 / \kappa^W_A + \dot h_A^2 / \kappa^H_A \right) \le 0$."""


def theorem() -> Theorem:
    return Theorem(
        name="loss_never_rises_along_the_flow",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=("positive kernels",),
        scope=f"any ridge; squared error: {SCOPE}; cross-entropy: up to 2 factors, and the chain of 3",
        claims=(1, 3),
        proof=(
            *(step for formula in GALLERY for step in descent(formula, "mse")),
            *(step for formula in (*CROSSED[:2], *CHAINS) for step in descent(formula, "cross_entropy")),
        ),
        mutations={
            "without the multiplicities": descent("a[n1] * b[n2]", "mse", weighted=False),
            "the opposite sign": descent("a[n1]", "cross_entropy", sign=1),
        },
    )


def descent(formula: str, loss: str, weighted: bool = True, sign: int = -1) -> tuple[Step, ...]:
    """Every partial derivative of the explicit loss against the derived rate."""
    derived, structure = flow(formula, (LAM_W, LAM_H), loss=loss), model(formula, (LAM_W, LAM_H), loss=loss)
    m = structure.attributes.multiplicities
    ridge = sum(m[A] * (LAM_W * derived.w[A] ** 2 + LAM_H * derived.h[A] ** 2) / 2 for A in m)
    total = at(derived, derived.loss) + ridge
    steps: list[Step] = []
    for letter, symbols, kernel in (
        ("w", derived.w, structure.label_kernel),
        ("h", derived.h, structure.feature_kernel),
    ):
        for A, x in symbols.items():
            slope = sign * (m[A] if weighted else 1) / kernel[A] * at(derived, derived.rates[x])
            steps.append(Identity(f"{loss}, {formula}: dL/d{letter} on {A}", sp.diff(total, x), slope))
    return tuple(steps)
