"""With ridge on both factors surviving strata have g = sqrt(lam_W lam_H), w^2/h^2 = lam_H/lam_W: no kernel enters."""

import sympy as sp

from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, model
from ..steps import Identity, Step

STATEMENT = r"""Free model, $\lambda_W, \lambda_H > 0$, positive kernels. Where $\dot w_A = \dot h_A = 0$ with $w_A,
h_A > 0$, $g_A^2 = \lambda_W \lambda_H$, that is $\tau_A - \pi_A = m\sqrt{\lambda_W \lambda_H}$, and $w_A^2/h_A^2 =
\lambda_H/\lambda_W$; conversely such points are fixed, for every kernel."""


def theorem() -> Theorem:
    return Theorem(
        name="ridge_fixed_points_drop_the_kernels",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=("lam_W, lam_H > 0", "positive kernels", "a stratum that survives (w, h > 0)"),
        scope=f"both losses; all structures stratum by stratum; derived rates: {SCOPE}",
        claims=(9,),
        uses=("matrix_flow_reduces_to_the_mode_equations",),
        proof=(*necessary(), *(step for formula in GALLERY for step in sufficient(formula))),
        mutations={
            "g = lam_W lam_H": necessary(power=1),
            "w^2/h^2 = lam_W/lam_H": necessary(inverted=True),
            "kernels in the balance: w^2/h^2 = kW/kH": sufficient("a[n1]", kernels=True),
            "no ridge on H": sufficient("a[n1]", ridge_H=False),
        },
        references=("Zhu et al. 2021",),
    )


def necessary(power: int = 2, inverted: bool = False) -> tuple[Step, ...]:
    g, w, h, lam_W, lam_H = sp.symbols("g w h lambda_W lambda_H", positive=True)
    fixed = ((g * h, lam_W * w), (g * w, lam_H * h))
    one, other = (lam_H, lam_W) if inverted else (lam_W, lam_H)
    return (
        Identity("g^2 = lam_W lam_H (times w h)", g**power * w * h, lam_W * lam_H * w * h, fixed),
        Identity("w^2 lam_W = h^2 lam_H", one * w**2, other * h**2, fixed),
    )


def sufficient(formula: str, kernels: bool = False, ridge_H: bool = True) -> tuple[Step, ...]:
    """lam_W = p^2, lam_H = q^2, g = p q, w = q r, h = p r: every derived rate vanishes, the kernels left free."""
    p, q, r = sp.symbols("p q r", positive=True)
    ridge = (p**2, q**2 if ridge_H else sp.S(0))
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        derived, structure = flow(formula, ridge, loss=loss), model(formula, ridge, loss=loss)
        for A, w in derived.w.items():
            h = derived.h[A]
            factor = structure.label_kernel[A] / structure.feature_kernel[A] if kernels else 1
            point = {derived.g[A]: p * q, w: q * r * factor, h: p * r}
            for x in (w, h):
                steps.append(Identity(f"{loss}, {formula}: d{x}/dt = 0", derived.rates[x].subs(point), sp.S(0)))
    return tuple(steps)
