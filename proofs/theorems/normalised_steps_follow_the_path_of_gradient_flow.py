"""Steps of root mean square 1 for each matrix change the speed of a balanced run, not its path."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Step

STATEMENT = r"""Parameters $u_A = w_A/\sqrt{\kappa^W_A} = h_A/\sqrt{\kappa^H_A}$ that are balanced get equal pulls,
$\sqrt{\kappa^W_A\kappa^H_A}\, g_A u_A$ on $W$ and on $H$ (with a ridge for $\kappa^W\lambda_W = \kappa^H\lambda_H$), so
the two matrices have pulls of equal norm. With as many labels as contexts, steps normalised to root mean square 1 (Adam
with one second moment for a matrix) divide both by one number $\nu(t)$: balance is kept, and the flow is gradient flow in
the time $\int dt/\nu$. At equal loss every share is that of gradient flow."""


def theorem() -> Theorem:
    return Theorem(
        name="normalised_steps_follow_the_path_of_gradient_flow",
        statement=STATEMENT,
        setting=("free", "steps normalised for each matrix"),
        hypotheses=("balanced start", "as many labels as contexts", "no ridge, or kW lam_W = kH lam_H"),
        scope="any number of strata (the steps are for each), both losses",
        claims=(14,),
        uses=("matrix_flow_reduces_to_the_mode_equations",),
        proof=(*equal_pulls(), *same_path()),
        mutations={
            "any ridge": equal_pulls(matched=False),
            "unbalanced": equal_pulls(ratio=2),
            "a time for each matrix": same_path(other=2),
        },
    )


def equal_pulls(matched: bool = True, ratio: int = 1) -> tuple[Step, ...]:
    a, b, g, u, lam_W, lam_H = sp.symbols("a b g u lam_W lam_H", positive=True)  # a^2 = kW, b^2 = kH
    w, h = a * u * ratio, b * u
    on_W, on_H = a * (g * h - lam_W * w), b * (g * w - lam_H * h)
    where = ((a**2 * lam_W, b**2 * lam_H),) if matched else ()
    return (Identity("the pull on U_W is the pull on U_H", on_W, on_H, where),)


def same_path(other: int = 1) -> tuple[Step, ...]:
    """Rates a p / nu and b q / nu on W and H, for two strata."""
    a, b, b2, p, q, q2, nu, u = sp.symbols("a b b2 p q q2 nu u", positive=True)
    w, h, h2 = a * p / nu, b * q / (other * nu), b2 * q2 / (other * nu)
    return (
        Identity("dw/dh is gradient flow's", w / h, (a * p) / (b * q)),
        Identity("dh/dh2 is gradient flow's", h / h2, (b * q) / (b2 * q2)),
        Identity("balance is kept", (2 * a * u * w / a**2 - 2 * b * u * h / b**2).subs(q, p), sp.S(0)),
    )
