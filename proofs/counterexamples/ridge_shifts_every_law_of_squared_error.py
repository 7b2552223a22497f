"""Squared error with ridge 3/4: the target is no point of rest, tau/2 is never reached, rates and C change."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases, Identity
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2], summed loss, unit kernels, tau = 1, lam = 3/4: at w = h = 1, at (1, 1/2) and at zero."""
    lam, half = sp.Rational(3, 4), sp.Rational(1, 2)

    def instance(w: sp.Expr, h: sp.Expr) -> Instance:
        return Instance("a[2]", {"a": (w, h)}, loss="mse", reduction="sum", ridge=lam)

    full, uneven, zero = instance(sp.S(1), sp.S(1)), instance(sp.S(1), half), instance(sp.S(0), sp.S(0))
    even = instance(sp.sqrt(half), sp.sqrt(half))
    w, h = uneven.flow.w["a"], uneven.flow.h["a"]
    C, z = 1 - half**2, half
    root = sp.Rational(5, 4)  # sqrt(C^2 + 4 z^2)
    return Counterexample(
        name="ridge_shifts_every_law_of_squared_error",
        statement="a[2], squared error, unit kernels, tau = 1, ridge 3/4. w = h = 1 (the stratum a, width 1) does not "
        "rest; where z = 1/2 (w = h or not) z falls, so that no start below tau/2 reaches it; at (1, 1/2) dz/dt is not "
        "(tau - z) sqrt(C^2 + 4 z^2) and w^2 - h^2 is not constant; near zero the rate is 1/4, not 1.",
        theorem="unbalanced_mse_closed_form",
        without="no ridge",
        also=(
            ("bottleneck_keeps_whichever_strata_fill_it", "no ridge"),
            ("half_saturation_time_is_exact_for_mse", "no ridge"),
            ("growth_rate_near_zero_is_2_sqrt_kW_kH_tau_over_m", "no ridge"),
            ("random_start_mse_is_a_matrix_riccati_equation", "no ridge"),
        ),
        proof=(
            Identity("w = h, z = 1/2: growth", even.growth("a"), -half),
            Cases(
                "ridge 3/4",
                (
                    ("w = h = 1: rates", full.rates("a"), "==", (-lam, -lam)),
                    ("the root", root**2, "==", C**2 + 4 * z**2),
                    ("(1, 1/2): dz/dt", uneven.change(w * h), "!=", (1 - z) * root),
                    ("(1, 1/2): z falls", uneven.change(w * h), "<", sp.S(0)),
                    ("(1, 1/2): dC/dt", uneven.change(w**2 - h**2), "==", -2 * lam * C),
                    ("zero: 1 is no eigenvalue", (zero.block("a") - sp.eye(2)).det(), "!=", sp.S(0)),
                    ("zero: 1/4 is one", (zero.block("a") - sp.eye(2) / 4).det(), "==", sp.S(0)),
                ),
            ),
        ),
    )
