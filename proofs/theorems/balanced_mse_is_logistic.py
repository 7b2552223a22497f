"""Squared error from a balanced start: every stratum follows a logistic curve; ridge shifts its rate and plateau."""

import sympy as sp

from ...theory.closed_forms import Z0, logistic
from ...theory.flow import TIME
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, at, flow, model
from ..steps import DifferentialIdentity, Identity, Step

STATEMENT = r"""Squared error, free, $w_A^2/\kappa^W_A = h_A^2/\kappa^H_A$ at the start and $\kappa^W_A \lambda_W =
\kappa^H_A \lambda_H = \mu$ (0 without ridge). The balance is kept, and with $s = \sqrt{\kappa^W_A \kappa^H_A}/m$ and
$\bar z = \tau_A - \mu/s$, $\dot z_A = 2 s z_A (\bar z - z_A)$, so $z_A(t) = \bar z / (1 + (\bar z/z_A(0) - 1) e^{-2 s
\bar z t})$."""


def theorem() -> Theorem:
    return Theorem(
        name="balanced_mse_is_logistic",
        statement=STATEMENT,
        setting=("squared error", "free"),
        hypotheses=("balanced start", "kW lam_W = kH lam_H (or no ridge)"),
        scope=f"the solution: any number of strata, each alone; the derived flows: {SCOPE}",
        claims=(5,),
        proof=(*(step for formula in GALLERY for step in reduced(formula)), *solved()),
        mutations={
            "without the factor 2 in the rate": solved(rate=1),
            "the plateau's shift with the wrong sign": reduced("a[n1]", shift=1),
            "a decaying start": solved(sign=-1),
            "an unbalanced start": reduced("a[n1]", balance=sp.S(2)),
        },
        references=("Saxe, McClelland, Ganguli, Exact solutions to the nonlinear dynamics of learning, 2014",),
    )


def reduced(formula: str, shift: int = -1, balance: sp.Expr = sp.S(1)) -> tuple[Step, ...]:
    """kW = a^2, kH = b^2, w = a q, h = b q, ridges mu/a^2, mu/b^2: the balance is kept, and z obeys its equation."""
    a, b, q, mu = sp.symbols("a b q mu", positive=True)
    lam_W, lam_H = sp.symbols("lambda_W lambda_H", positive=True)
    structure, derived = model(formula, (lam_W, lam_H), loss="mse"), flow(formula, (lam_W, lam_H), loss="mse")
    m = structure.contexts
    steps: list[Step] = []
    for A, w in derived.w.items():
        h, tau = derived.h[A], structure.tau[A]
        values = {
            structure.label_kernel[A]: a**2,
            structure.feature_kernel[A]: b**2,
            lam_W: mu / a**2,
            lam_H: mu / b**2,
            w: a * q,
            h: balance * b * q,
        }
        dw, dh = (at(derived, derived.rates[x], values) for x in (w, h))
        z, s = balance * a * b * q**2, a * b / m
        steps.append(
            Identity(f"{formula}, {A}: the balance is kept", w.subs(values) * dw / a**2, h.subs(values) * dh / b**2)
        )
        change = dw * h.subs(values) + dh * w.subs(values)
        steps.append(Identity(f"{formula}, {A}: dz/dt", change, 2 * s * z * (tau + shift * mu / s - z)))
    return tuple(steps)


def solved(rate: int = 2, sign: int = 1) -> tuple[Step, ...]:
    """The logistic that theory/ states solves dz/dt = 2 s z (plateau - z), also for the plateau 0."""
    z = sp.Symbol("z")
    s, plateau = sp.symbols("s zbar", positive=True)
    steps = []
    for name, level in (("plateau above 0", plateau), ("plateau 0", sp.S(0)), ("plateau -1/3", -sp.Rational(1, 3))):
        equation = {z: sign * rate * s * z * (level - z)}
        steps.append(DifferentialIdentity(name, {z: logistic(s, level)}, equation, TIME, {z: Z0}))
    return tuple(steps)
