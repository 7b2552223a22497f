"""Squared error: until main effects are well learned, gradient flow has less of the slower strata than Muon's flow."""

import sympy as sp

from ..checker import Theorem
from ..steps import POSITIVE, Identity, Interval, Positive, Step

STATEMENT = r"""Squared error, free, no ridge, parameters that start with one $u_0$ on all strata; two strata with $s =
\sqrt{\kappa^W\kappa^H}$ on the faster and $\rho s$, $\rho < 1$, on the slower (main effects and an interaction). While
the faster is at $z$, orthogonalised steps have the slower at $\rho z$; gradient flow has it below $\rho z$, from any
start, until $z = \tau/(1+\rho)$, and thereafter passes $\rho z$ once. Energies are $h^2 = z\sqrt{\kappa^H/\kappa^W}$ in
both, so up to there SGD's representation is the more semantic at equal $z$, and at equal loss; at the end it is the less. With $X = \tau/z(0)$ and $Y = \tau/z$ the slower is
below $\rho z$ iff $F(X) > F(Y)$, $F(X) = (X/\rho - 1)(X - 1)^{-\rho}$, which falls up to $X = 1 + \rho$ and rises beyond."""

X, Y, RHO = sp.symbols("X Y rho", positive=True)
BELOW_ONE = Interval(sp.S(0), sp.S(1), open=True)


def theorem() -> Theorem:
    return Theorem(
        name="muon_shows_interactions_that_sgd_still_hides",
        statement=STATEMENT,
        setting=("squared error", "free", "orthogonalised steps and gradient flow"),
        hypotheses=(
            "no ridge",
            "parameters that start alike on all strata",
            "equal targets",
            "main effects below tau / (1 + rho)",
        ),
        scope="all rho in (0, 1) and all starts; pairs of strata",
        claims=(14,),
        rests_on=(
            "equal z to equal loss: both curves rise in the plane of (z, slower z), and the loss falls in either",
        ),
        uses=("balanced_mse_is_logistic", "orthogonalised_steps_move_every_stratum_alike"),
        proof=(*comparison(), *monotone()),
        mutations={
            "the interaction is faster": monotone(rho=Interval(sp.S(1), open=True)),
            "at every level": monotone(least=sp.S(1)),
            "the slower alone keeps its start": comparison(start=X),
        },
        references=("Saxe et al. 2014",),
    )  # fmt: skip


def comparison(start: sp.Expr = X / RHO) -> tuple[Step, ...]:
    """P = (X-1)^rho and Q = (Y-1)^rho: the logistic of the slower at the time at which the faster is at tau / Y."""
    P, Q, E, s, u, a, b = sp.symbols("P Q E s u a b", positive=True)
    faster = 1 + (X - 1) / E  # tau / z, with E = exp(2 s tau t)
    slower = 1 + (start - 1) * Q / P  # tau over the slower z: E^rho = P / Q
    F_X, F_Y = (X / RHO - 1) / P, (Y / RHO - 1) / Q
    return (
        Identity("the faster is at tau / Y when E = (X - 1) / (Y - 1)", faster.subs(E, (X - 1) / (Y - 1)), Y),
        Identity("tau / slower - tau / (rho z) = Q (F(X) - F(Y))", slower - Y / RHO, Q * (F_X - F_Y)),
        Identity("orthogonalised steps: slower / faster = rho", RHO * s * u**2 / (s * u**2), RHO),
        Identity("both: h^2 = z sqrt(kH / kW)", (b * u) ** 2, (a * u) * (b * u) * b / a),
    )


def monotone(rho: Interval = BELOW_ONE, least: sp.Expr = 1 + RHO) -> tuple[Step, ...]:
    beyond, part = sp.symbols("y theta", positive=True)
    slope = sp.diff(sp.log(X / RHO - 1) - RHO * sp.log(X - 1), X)
    closed = (1 - RHO) * (X - 1 - RHO) / ((X - RHO) * (X - 1))
    return (
        Identity("d log F / dX", slope, closed),
        Positive("F rises beyond 1 + rho", closed.subs(X, least + beyond), {RHO: rho, beyond: POSITIVE}),
        Positive("F falls up to 1 + rho", -closed.subs(X, 1 + part * RHO), {RHO: BELOW_ONE, part: BELOW_ONE}),
    )
