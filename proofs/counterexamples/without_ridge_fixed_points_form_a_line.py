"""Squared error without ridge: every w, h with w h = tau is at rest, so where the flow ends depends on its start."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2], summed loss, unit kernels: (1, 1) and (2, 1/2)."""

    def instance(w: sp.Expr, h: sp.Expr) -> Instance:
        return Instance("a[2]", {"1": (1, 1), "a": (w, h)}, loss="mse", reduction="sum")

    even, uneven = instance(sp.S(1), sp.S(1)), instance(sp.S(2), sp.Rational(1, 2))
    zero = (sp.S(0), sp.S(0))
    return Counterexample(
        name="without_ridge_fixed_points_form_a_line",
        statement="a[2], squared error, unit kernels, no ridge: (w, h) = (1, 1) and (2, 1/2) are both at rest, with "
        "w^2/h^2 = 1 and 16, and the Jacobian has the eigenvalue 0 along the line of fixed points.",
        theorem="every_positive_start_with_ridge_ends_at_one_point",
        without="lam_W, lam_H > 0",
        also=(
            ("ridge_fixed_points_drop_the_kernels", "lam_W, lam_H > 0"),
            ("ridge_fixed_point_is_stable", "lam_W, lam_H > 0"),
            ("ridge_relaxes_in_two_time_scales", "lam_W, lam_H > 0"),
            ("ridge_collapse_rates_depend_on_one_number_rho", "lam_W, lam_H > 0"),
        ),
        proof=(
            Cases(
                "two points at rest",
                (
                    ("(1, 1)", even.rates("a"), "==", zero),
                    ("(2, 1/2)", uneven.rates("a"), "==", zero),
                    ("determinant at (1, 1)", even.block("a").det(), "==", sp.S(0)),
                    ("determinant at (2, 1/2)", uneven.block("a").det(), "==", sp.S(0)),
                ),
            ),
        ),
    )
