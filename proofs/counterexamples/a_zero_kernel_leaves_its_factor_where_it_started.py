"""With the kernel 0 on one side h never moves, and the end is a different one for each start, ridge or not."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2], summed squared error, kH = 0 on a, ridge 1/10: w rests at h / (h^2 + 1/10)."""
    lam = sp.Rational(1, 10)

    def instance(h: sp.Expr) -> Instance:
        pair = {"a": (h / (h**2 + lam), h)}
        return Instance("a[2]", pair, loss="mse", reduction="sum", ridge=lam, feature_kernel={"a": 0})

    one, two = instance(sp.S(1)), instance(sp.S(2))
    zero = (sp.S(0), sp.S(0))
    return Counterexample(
        name="a_zero_kernel_leaves_its_factor_where_it_started",
        statement="a[2], squared error, ridge 1/10, kH = 0: h = 1, w = 10/11 and h = 2, w = 20/41 are both at rest, "
        "with pulls 1/11 and 1/41 in the place of lam = 1/10, and w differs from h; the Jacobian has the eigenvalue 0.",
        theorem="every_positive_start_with_ridge_ends_at_one_point",
        without="positive kernels",
        also=(
            ("ridge_fixed_points_drop_the_kernels", "positive kernels"),
            ("ridge_fixed_point_is_stable", "positive kernels"),
        ),
        proof=(
            Cases(
                "two ends",
                (
                    ("h = 1 rests", one.rates("a"), "==", zero),
                    ("h = 2 rests", two.rates("a"), "==", zero),
                    ("pull at h = 1", one.pull("a"), "==", sp.Rational(1, 11)),
                    ("pull at h = 2", two.pull("a"), "==", sp.Rational(1, 41)),
                    ("an eigenvalue 0", one.block("a").det(), "==", sp.S(0)),
                ),
            ),
        ),
    )
