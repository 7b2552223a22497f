"""Near zero the strata do not interact, and z_A grows at the rate 2 sqrt(kW_A kH_A) tau_A / m under both losses."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.kernels import symbols_for
from ...theory.model import UFM
from ...theory.system import derive
from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, at
from ..steps import Identity, Step

STATEMENT = r"""At $w = h = 0$ the Jacobian of the free flow without ridge is block diagonal over strata; on each
stratum but the mean it has the eigenvalues $\pm\mu_A$, $\mu_A = \sqrt{\kappa^W_A \kappa^H_A}\,\tau_A/m$, with
eigenvectors $(\sqrt{\kappa^W_A}, \pm\sqrt{\kappa^H_A})$: $w_A$ and $h_A$ grow at $\mu_A$, and $z_A = w_A h_A$ at
$2\mu_A$, whatever the loss."""
FORMULAS = (*CROSSED[:2], *CHAINS)


def theorem() -> Theorem:
    return Theorem(
        name="growth_rate_near_zero_is_2_sqrt_kW_kH_tau_over_m",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=("no ridge", "a start near zero"),
        scope="both losses, any targets and kernels; all sizes, one factor, a * b, and chains of up to 3 factors",
        claims=(8,),
        rests_on=("the linearised flow describes the flow near a fixed point",),
        proof=tuple(
            step for formula in FORMULAS for loss in ("mse", "cross_entropy") for step in spectrum(formula, loss)
        ),
        mutations={
            "twice the rate": spectrum("a[n1]", "mse", factor=2),
            "the arithmetic mean of the kernels": spectrum("a[n1]", "cross_entropy", arithmetic=True),
            "a rate that does not know the targets": spectrum("a[n1] * b[n2]", "mse", targets=False),
        },
        references=("Saxe et al. 2014",),
    )


def spectrum(
    formula: str, loss: str, factor: int = 1, arithmetic: bool = False, targets: bool = True
) -> tuple[Step, ...]:
    """J v = mu v for the two eigenvectors of each stratum; v vanishes on all others, so the blocks are separate."""
    attributes = Attributes(formula)
    roots = {letter: symbols_for(attributes, letter) for letter in ("a", "b")}  # kW = a^2, kH = b^2
    tau = symbols_for(attributes, "tau") | {"1": sp.S(1)}
    model = UFM(
        attributes,
        loss=loss,
        targets=tau,
        label_kernel={A: a**2 for A, a in roots["a"].items()},
        feature_kernel={A: b**2 for A, b in roots["b"].items()},
    )
    system = derive(model)
    flow, state = system.flow, system.flow.state
    zero = {x: sp.S(0) for x in state}
    jacobian = system.jacobian().applyfunc(lambda entry: at(flow, entry, zero))
    steps: list[Step] = []
    for A in attributes.names[1:]:
        a, b = roots["a"][A], roots["b"][A]
        mean = (a**2 + b**2) / 2 if arithmetic else a * b
        for sign in (1, -1):
            mu = sign * factor * mean * (tau[A] if targets else 1) / model.contexts
            v = sp.Matrix([a if x == flow.w[A] else sign * b if x == flow.h[A] else 0 for x in state])
            image = jacobian * v
            for x, moved, stays in zip(state, image, v, strict=True):
                steps.append(Identity(f"{loss}, {formula}, {A}, sign {sign}: row {x}", moved, mu * stays))
    return tuple(steps)
