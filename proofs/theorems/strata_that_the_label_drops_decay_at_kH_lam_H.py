"""Variability collapse (NC1): strata that the label ignores decay as exp(-kH lam_H t), exactly."""

import sympy as sp

from ...theory.flow import TIME
from ..checker import Theorem
from ..gallery import LAM_H, LAM_W, flow, model
from ..steps import DifferentialIdentity, Identity, Step

STATEMENT = r"""Contexts with attributes that the label drops: on such a stratum $\dot h_A = -\kappa^H_A \lambda_H
h_A$, so $h_A(t) = h_A(0) e^{-\kappa^H_A \lambda_H t}$ under both losses, whatever the other strata do; without ridge
on $H$ it stays. Within-class variability $\sum m_A h_A^2$ (over dropped $A$) vanishes at twice the slowest rate."""
FORMULAS = (
    ("a[n1] * b[n2]", "a"),
    ("a[n1] / b[n2]", "a"),
    ("a[n1] * b[n2] * c[n3]", "a"),
    ("(a[n1] * b[n2]) / c[n3]", "a * b"),
    ("(a[n1] / b[n2]) * c[n3]", "a * c"),
)


def theorem() -> Theorem:
    return Theorem(
        name="strata_that_the_label_drops_decay_at_kH_lam_H",
        statement=STATEMENT,
        setting=("free", "the labels keep an ancestral set of attributes"),
        hypotheses=("lam_H > 0 for decay",),
        scope=f"both losses, all sizes; {', '.join(f'{f} with labels {kept}' for f, kept in FORMULAS)}",
        claims=(12,),
        uses=("matrix_flow_reduces_to_the_mode_equations",),
        proof=tuple(step for formula, kept in FORMULAS for step in decay(formula, kept)),
        mutations={
            "twice the rate": decay("a[n1] * b[n2]", "a", factor=2),
            "without the kernel": decay("a[n1] / b[n2]", "a", kernel=False),
            "decay without ridge": decay("a[n1] / b[n2]", "a", ridge=sp.S(0)),
        },
        references=("Papyan, Han, Donoho 2020 (NC1)",),
    )


def decay(formula: str, kept: str, factor: int = 1, kernel: bool = True, ridge: sp.Expr = LAM_H) -> tuple[Step, ...]:
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        derived = flow(formula, (LAM_W, ridge), loss=loss, labels=kept)
        structure = model(formula, (LAM_W, ridge), loss=loss, labels=kept)
        for A, h in derived.h.items():
            if A in derived.w:
                continue
            start = sp.Symbol("h0", positive=True)
            rate = factor * (structure.feature_kernel[A] if kernel else 1) * LAM_H
            solution = start * sp.exp(-rate * TIME)
            steps.append(
                DifferentialIdentity(
                    f"{loss}, {formula}, labels {kept}: {A}", {h: solution}, {h: derived.rates[h]}, TIME, {h: start}
                )
            )
            square = sp.diff(solution**2, TIME)
            steps.append(Identity(f"{loss}, {formula}: the square of {A}", square, -2 * rate * solution**2))
    return tuple(steps)
