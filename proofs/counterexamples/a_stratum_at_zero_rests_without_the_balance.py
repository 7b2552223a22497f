"""A stratum at zero is at rest with a pull above the ridge, and is not stable."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2], summed squared error, ridge 1/10, w = h = 0: pull 1, block ((-1/10, 1), (1, -1/10))."""
    lam = sp.Rational(1, 10)
    x = Instance("a[2]", {"a": (0, 0)}, loss="mse", reduction="sum", ridge=lam)
    block = x.block("a")
    return Counterexample(
        name="a_stratum_at_zero_rests_without_the_balance",
        statement="a[2], squared error, unit kernels, ridge 1/10, w = h = 0: at rest, but g = 1, not 1/10; the block "
        "of the Jacobian has the determinant 1/100 - 1 < 0, so a positive eigenvalue, where rho = 0 would give 0.",
        theorem="ridge_fixed_points_drop_the_kernels",
        without="a stratum that survives (w, h > 0)",
        also=(
            ("ridge_fixed_point_is_stable", "all strata but the mean survive"),
            ("ridge_collapse_rates_depend_on_one_number_rho", "the stratum survives"),
        ),
        proof=(
            Cases(
                "the zero of a",
                (
                    ("at rest", x.rates("a"), "==", (sp.S(0), sp.S(0))),
                    ("pull", x.pull("a"), "==", sp.S(1)),
                    ("determinant", block.det(), "==", sp.Rational(1, 100) - 1),
                    ("trace", block.trace(), "==", -2 * lam),
                ),
            ),
        ),
    )
