"""Squared error from any positive start, no ridge: the closed form of theory/ solves the mode equations."""

import sympy as sp

from ...theory.closed_forms import X0, Y0, mse_closed_form
from ...theory.flow import TIME
from ..checker import Theorem
from ..gallery import model
from ..steps import DifferentialIdentity, Identity, Step

STATEMENT = r"""Squared error, free, no ridge: with $x = w/\sqrt{\kappa^W}$, $y = h/\sqrt{\kappa^H}$, $k =
\sqrt{\kappa^W \kappa^H}$, $s = k/m$, $C = k(x_0^2 - y_0^2) > 0$, the ratio $q = y/x$ obeys $\dot q = s\tau(1 - q^2) -
s C q$, solved by hyperbolic functions; $z = C q/(1 - q^2)$ obeys $\dot z = s (\tau - z)\sqrt{C^2 + 4 z^2}$, and the
stated closed form is this $z$."""


def theorem() -> Theorem:
    return Theorem(
        name="unbalanced_mse_closed_form",
        statement=STATEMENT,
        setting=("squared error", "free"),
        hypotheses=("no ridge", "positive start with x0 > y0 (else exchange the two)"),
        scope="one stratum, all sizes, kernels and targets; every structure, since strata are uncoupled",
        claims=(5,),
        uses=("matrix_flow_reduces_to_the_mode_equations", "w2_over_kW_minus_h2_over_kH_is_conserved"),
        proof=(*riccati(), *stated()),
        mutations={
            "sqrt(C^2 + z^2)": riccati(four=1),
            "the Riccati equation with + s C q": riccati(sign=1),
            "omega^2 = a^2 + b^2": riccati(quarter=sp.S(1)),
            "z = C q / (1 + q^2)": stated(sign=1),
        },
        references=("Saxe et al. 2014", "Domine et al., From lazy to rich, 2025 (lambda-balanced)"),
    )


def riccati(four: int = 4, sign: int = -1, quarter: sp.Rational = sp.Rational(1, 4)) -> tuple[Step, ...]:
    """x' = s (tau - z) y, y' = s (tau - z) x give the equation of q; its solution; and the equation of z."""
    x, y, k, s, tau, C, q, q0 = sp.symbols("x y k s tau C q q0", positive=True)
    z = k * x * y
    dx, dy = s * (tau - z) * y, s * (tau - z) * x
    conserved = ((C, k * (x**2 - y**2)),)
    equation = s * tau * (1 - q**2) + sign * s * C * q
    a, b, omega = sp.symbols("a b omega", positive=True)
    E = sp.exp(-2 * omega * TIME)
    T = (1 - E) / (1 + E)
    solution = (q0 * (omega - b / 2 * T) + a * T) / (omega + (b / 2 + a * q0) * T)
    z_of_q = C * q / (1 - q**2)
    root = C * (1 + q**2) / (1 - q**2)
    return (
        Identity("q = y / x obeys a Riccati equation", (dy * x - y * dx) / x**2, equation.subs(q, y / x), conserved),
        Identity("z = C q / (1 - q^2)", z, z_of_q.subs(q, y / x), conserved),
        DifferentialIdentity(
            "the Riccati equation is solved",
            {q: solution},
            {q: a * (1 - q**2) + sign * b * q},
            TIME,
            {q: q0},
            where=((omega**2, a**2 + quarter * b**2),),
        ),
        Identity("sqrt(C^2 + 4 z^2) in terms of q", root**2, C**2 + four * z_of_q**2),
        Identity("dz/dt = s (tau - z) sqrt(C^2 + 4 z^2)", sp.diff(z_of_q, q) * equation, s * (tau - z_of_q) * root),
    )


def stated(sign: int = -1) -> tuple[Step, ...]:
    """The expression that theory/ gives, on x0 > y0, is C q / (1 - q^2) with that q; and it starts at k x0 y0."""
    structure = model("a[n1]", loss="mse")
    k = sp.Symbol("k", positive=True)  # the form depends on the kernels through k alone
    kernels = {sp.sqrt(structure.label_kernel["a"] * structure.feature_kernel["a"]): k}
    form = mse_closed_form(structure, "a").expression.replace(sp.Max, lambda *_: X0).replace(sp.Min, lambda *_: Y0)
    form = form.subs(kernels).subs(structure.label_kernel["a"] * structure.feature_kernel["a"], k**2)
    s, C = k / structure.contexts, k * (X0 - Y0) * (X0 + Y0)
    a, b, q0 = s, s * C, Y0 / X0
    omega = sp.sqrt(a**2 + b**2 / 4)
    E = sp.exp(-2 * omega * TIME)
    T = (1 - E) / (1 + E)
    q = (q0 * (omega - b / 2 * T) + a * T) / (omega + (b / 2 + a * q0) * T)
    # omega and E are named, so that the identity is one of rational functions modulo omega^2 = a^2 + b^2/4.
    name, decay = sp.symbols("omega E", positive=True)
    left, right = (side.subs(E, decay).subs(omega, name) for side in (form, C * q / (1 + sign * q**2)))
    return (
        Identity("the stated closed form is C q / (1 - q^2)", left, right, ((name**2, a**2 + b**2 / 4),)),
        Identity("it starts at k x0 y0", form.subs(TIME, 0), k * X0 * Y0),
    )
