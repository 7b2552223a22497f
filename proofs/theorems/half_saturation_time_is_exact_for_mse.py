"""Squared error: z = tau/2 at t = ln(tau/z0 - 1) / (2 s tau) when balanced, and at a closed time from any start."""

import sympy as sp

from ...theory.closed_forms import Z0, logistic
from ...theory.flow import TIME
from ...theory.transients import H0, W0, emergence_expression
from ..checker import Theorem
from ..gallery import model
from ..steps import POSITIVE, Identity, Positive, Step

STATEMENT = r"""Squared error, free, no ridge. Balanced: $z_A = \tau_A/2$ at $t = \ln(\tau_A/z_0 - 1)/(2 s \tau_A)$,
earlier the larger $s = \sqrt{\kappa^W_A \kappa^H_A}/m$. Any positive start: with $u = z + \sqrt{z^2 + C^2/4}$ and
$u_\pm = \tau \pm \sqrt{\tau^2 + C^2/4}$, $(u_+ - u)/(u - u_-)$ decays at the rate $2 s \sqrt{\tau^2 + C^2/4}$."""


def theorem() -> Theorem:
    return Theorem(
        name="half_saturation_time_is_exact_for_mse",
        statement=STATEMENT,
        setting=("squared error", "free"),
        hypotheses=("no ridge", "0 < z0 < tau/2"),
        scope="one stratum, all sizes, kernels and targets; every structure, since strata are uncoupled",
        claims=(8,),
        uses=("balanced_mse_is_logistic", "unbalanced_mse_closed_form"),
        proof=(*balanced(), *any_start()),
        mutations={
            "ln(tau/z0)": balanced(less=0),
            "a rate without the factor 2": any_start(two=1),
            "C^2 instead of C^2/4": any_start(quarter=sp.S(1)),
        },
    )


def balanced(less: int = 1) -> tuple[Step, ...]:
    s, tau, span = sp.symbols("s tau L", positive=True)
    ratio = sp.Symbol("rho", positive=True)  # tau / z0 - 1
    time = sp.log(tau / Z0 - less) / (2 * s * tau)
    structure = model("a[n1]", loss="mse")
    a, b, q = sp.symbols("a b q", positive=True)
    start = {structure.label_kernel["a"]: a**2, structure.feature_kernel["a"]: b**2, W0: a * q, H0: b * q}
    stated = (
        emergence_expression(structure, "a").subs(start, simultaneous=True).subs(q, 1 / sp.sqrt(a * b * (1 + ratio)))
    )
    rate = a * b / structure.contexts
    return (
        Identity("the logistic is at tau/2", logistic(s, tau).subs(TIME, time), tau / 2),
        Identity("it is what theory/ states", stated, sp.log(ratio) / (2 * rate)),
        Positive(
            "a larger s is earlier: -dt/ds with L = ln(tau/z0 - 1) > 0",
            -sp.diff(span / (2 * s * tau), s),
            {s: POSITIVE, tau: POSITIVE, span: POSITIVE},
        ),
    )


def any_start(two: int = 2, quarter: sp.Rational = sp.Rational(1, 4)) -> tuple[Step, ...]:
    z, s, tau, C, u, omega = sp.symbols("z s tau C u omega", positive=True)
    root = sp.sqrt(z**2 + C**2 / 4)
    dz = 2 * s * (tau - z) * root
    du = sp.diff(z + root, z) * dz
    above, below = tau + omega, tau - omega
    riccati = s * (above - u) * (u - below)
    log_slope = -riccati * (1 / (above - u) + 1 / (u - below))
    square = ((omega**2, tau**2 + quarter * C**2),)
    return (
        Identity(
            "u obeys u' = s (u+ - u)(u - u-)", du, (s * (tau**2 + C**2 / 4) - s * (u - tau) ** 2).subs(u, z + root)
        ),
        Identity("in factors", s * (tau**2 + C**2 / 4) - s * (u - tau) ** 2, riccati, square),
        Identity("the ratio decays at 2 s sqrt(tau^2 + C^2/4)", log_slope, -two * s * omega),
    )
