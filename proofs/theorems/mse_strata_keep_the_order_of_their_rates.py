"""Squared error: the stratum with the larger kernel and target is ahead at all times."""

import sympy as sp

from ..checker import Theorem
from ..gallery import GALLERY, LAM_H, LAM_W, SCOPE, flow, model
from ..steps import NONNEGATIVE, POSITIVE, Identity, Interval, Positive, Step

STATEMENT = r"""Squared error, free, balanced, with $\kappa^W\lambda_W = \kappa^H\lambda_H$ on every stratum (or no
ridge): $d \ln z_A/dt = 2 s_A(\tau'_A - z_A)$, $s_A = \sqrt{\kappa^W_A\kappa^H_A}/m$, $\tau'_A = \tau_A -
m\sqrt{\lambda_W \lambda_H}$. If $s_A \ge s_B$ and $\tau_A \ge \tau_B$, then where $z_A = z_B \le \tau'_B$ the ratio
$z_A/z_B$ does not fall, so $z_A \ge z_B$ for all times from any start with $z_B \le z_A$, $z_B \le \tau'_B$."""


def theorem() -> Theorem:
    return Theorem(
        name="mse_strata_keep_the_order_of_their_rates",
        statement=STATEMENT,
        setting=("squared error", "free"),
        hypotheses=(
            "balanced start",
            "kW lam_W = kH lam_H",
            "s_A >= s_B",
            "tau_A >= tau_B",
            "z_B <= z_A and z_B <= tau'_B at the start",
        ),
        scope=f"the logistic's rate: {SCOPE}; the comparison: any two strata",
        claims=(8,),
        rests_on=("the comparison theorem for scalar differential equations",),
        uses=("matrix_flow_reduces_to_the_mode_equations", "balanced_mse_is_logistic"),
        proof=(*(step for formula in GALLERY for step in rate(formula)), *compared()),
        mutations={
            "the stratum with the smaller target": compared(targets=Interval(-sp.S(1))),
            "the stratum with the smaller kernel": compared(kernels=Interval(-sp.S(1))),
            "beyond the plateau": compared(below=Interval(-sp.S(1))),
        },
    )


def rate(formula: str) -> tuple[Step, ...]:
    derived, structure = flow(formula, (LAM_W, LAM_H), loss="mse"), model(formula, (LAM_W, LAM_H), loss="mse")
    known = dict(derived.definitions)
    a, b, q, mu = sp.symbols("a b q mu", positive=True)  # kW = a^2, kH = b^2, kW lam_W = kH lam_H = mu
    steps: list[Step] = []
    for A, w in derived.w.items():
        h = derived.h[A]
        plane = {structure.label_kernel[A]: a**2, structure.feature_kernel[A]: b**2, w: a * q, h: b * q}
        plane |= {LAM_W: mu / a**2, LAM_H: mu / b**2}
        g = known[derived.g[A]].xreplace({derived.z[A]: a * b * q**2})
        change = (derived.rates[w] / w + derived.rates[h] / h).subs({derived.g[A]: g}).subs(plane, simultaneous=True)
        s = a * b * structure.scale
        shifted = structure.tau[A] - mu / (a * b) / structure.scale  # sqrt(lam_W lam_H) = mu / (a b)
        steps.append(Identity(f"{formula}: d ln z/dt on {A}", change, 2 * s * (shifted - a * b * q**2)))
    return tuple(steps)


def compared(
    kernels: Interval = NONNEGATIVE, targets: Interval = NONNEGATIVE, below: Interval = NONNEGATIVE
) -> tuple[Step, ...]:
    """s_A = s + e, tau'_A = tau'_B + d, z = tau'_B - y."""
    s, e, d, y = sp.symbols("s e d y", real=True)
    gain = 2 * (s + e) * (d + y) - 2 * s * y
    domain = {s: POSITIVE, e: kernels, d: targets, y: below}
    return (Positive("d ln(z_A/z_B)/dt where z_A = z_B", gain, domain, strict=False),)
