"""After emergence ridge acts slowly: z relaxes at kW lam_W + kH lam_H against g, the balance at a harmonic mean."""

import sympy as sp

from ...theory.system import derive
from ..checker import Theorem
from ..gallery import GALLERY, LAM_H, LAM_W, SCOPE, flow, model
from ..steps import POSITIVE, Identity, Positive, Step

STATEMENT = r"""On every stratum $\dot z_A = (\kappa^W h^2 + \kappa^H w^2) g_A - (\kappa^W \lambda_W + \kappa^H
\lambda_H) z_A$: where the pull $g_A$ has died out, $z_A$ decays at $\kappa^W\lambda_W + \kappa^H\lambda_H$, slower
than emergence by the ridge. Squared error, $\lambda_W = \lambda_H = \lambda$, at the fixed point: the block's
eigenvalues are negative reals $-\mu$ with sum $(\kappa^W + \kappa^H)(z/m + \lambda)$ and product
$4\kappa^W\kappa^H\lambda z/m$, so the slow one is $4\lambda\kappa^W\kappa^H/(\kappa^W + \kappa^H)$ to first order in
$\lambda$ (the balance $w = h$), at most $\lambda(\kappa^W + \kappa^H)$."""


def theorem() -> Theorem:
    return Theorem(
        name="ridge_relaxes_in_two_time_scales",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=("lam_W, lam_H > 0",),
        scope=f"the equation of z: both losses, {SCOPE}; the spectrum: squared error, one stratum, all sizes and "
        "kernels",
        claims=(9,),
        uses=("matrix_flow_reduces_to_the_mode_equations", "ridge_fixed_points_drop_the_kernels"),
        proof=(*(step for formula in GALLERY for step in pull_and_decay(formula)), *spectrum()),
        mutations={
            "decay at lam_W + lam_H": pull_and_decay("a[n1]", kernels=False),
            "the balance relaxes at lam (kW + kH) too": spectrum(arithmetic=True),
            "the arithmetic mean below the harmonic": spectrum(sign=-1),
        },
    )


def pull_and_decay(formula: str, kernels: bool = True) -> tuple[Step, ...]:
    steps: list[Step] = []
    for loss in ("mse", "cross_entropy"):
        derived, structure = flow(formula, (LAM_W, LAM_H), loss=loss), model(formula, (LAM_W, LAM_H), loss=loss)
        for A, w in derived.w.items():
            h, g = derived.h[A], derived.g[A]
            kW, kH = structure.label_kernel[A], structure.feature_kernel[A]
            change = derived.rates[w] * h + derived.rates[h] * w
            decay = kW * LAM_W + kH * LAM_H if kernels else LAM_W + LAM_H
            steps.append(
                Identity(f"{loss}, {formula}: dz/dt on {A}", change, (kW * h**2 + kH * w**2) * g - decay * w * h)
            )
    return tuple(steps)


def spectrum(arithmetic: bool = False, sign: int = 1) -> tuple[Step, ...]:
    lam, r = sp.symbols("lambda r", positive=True)
    structure = model("a[n1]", (lam, lam), loss="mse")
    system = derive(structure)
    state, derived = system.flow.state, system.flow
    rows = [state.index(derived.w["a"]), state.index(derived.h["a"])]
    point = {derived.w["a"]: r, derived.h["a"]: r, derived.g["a"]: lam}
    block = system.jacobian().extract(rows, rows).subs(point, simultaneous=True)
    kW, kH, m = structure.label_kernel["a"], structure.feature_kernel["a"], structure.contexts
    total, product = (kW + kH) * (r**2 / m + lam), 4 * kW * kH * lam * r**2 / m
    slow = lam * (kW + kH) if arithmetic else 4 * lam * kW * kH / (kW + kH)
    to_first_order = sp.diff(product, lam).subs(lam, 0) / total.subs(lam, 0) * lam
    domain = dict.fromkeys((kW, kH, lam, r, m), POSITIVE)
    return (
        Identity("sum", -block.trace(), total),
        Identity("product", block.det(), product),
        Identity(
            "discriminant: real eigenvalues",
            total**2 - 4 * product,
            (kW - kH) ** 2 * (r**2 / m + lam) ** 2 + 4 * kW * kH * (r**2 / m - lam) ** 2,
        ),
        Positive("both are negative", total * product, domain),
        Identity("the slow one to first order in the ridge", to_first_order, slow),
        Identity(
            "harmonic below arithmetic",
            sign * (lam * (kW + kH) - 4 * lam * kW * kH / (kW + kH)),
            lam * (kW - kH) ** 2 / (kW + kH),
        ),
    )
