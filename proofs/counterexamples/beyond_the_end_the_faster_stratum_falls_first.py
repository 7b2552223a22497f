"""From z above its limit a stratum falls, and the one with the larger kernel falls first and passes the other."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, TRIPLE, Instance, alike


def counterexample() -> Counterexample:
    """Both kernels 2 on attributes and 1 on interactions, z = 4 on all strata but the mean, ridge 1/10."""

    def lead(formula: str, strata: tuple[str, ...], **options: object) -> sp.Expr:
        kernel = {A: 1 if ":" in A else 2 for A in strata}
        x = Instance(formula, alike(strata, 2), feature_kernel=kernel, label_kernel=kernel, **options)
        return x.growth("a") - x.growth("a:b")

    ridge = sp.Rational(1, 10)
    return Counterexample(
        name="beyond_the_end_the_faster_stratum_falls_first",
        statement="Both kernels 2 on attributes and 1 on interactions, w = h = 2 on all strata but the mean, ridge "
        "1/10, 2 x 2 and 2 x 2 x 2: g < lam, so that all z fall and z_a / z_ab, 1 at the start, falls.  With squared "
        "error so it does without ridge as well, since z = 4 > tau.",
        theorem="coarse_strata_stay_ahead_for_all_times",
        without="no ridge",
        also=(
            ("two_levels_keep_their_order_under_the_ridge", "at the start z_A >= z_B and g_B >= lam (a small start)"),
            ("three_binary_attributes_stay_ahead_of_their_pairs", "no ridge"),
            ("mse_strata_keep_the_order_of_their_rates", "z_B <= z_A and z_B <= tau'_B at the start"),
            ("mse_window_has_one_peak_between_explicit_bounds", "z0 < tau"),
        ),
        proof=(
            Enclosure("2 x 2", lead("a[2] * b[2]", PAIR, ridge=ridge), None, sp.S(0)),
            Enclosure("2 x 2 x 2", lead("a[2] * b[2] * c[2]", TRIPLE, ridge=ridge), None, sp.S(0)),
            Enclosure("squared error", lead("a[2] * b[2]", PAIR, ridge=ridge, loss="mse"), None, sp.S(0)),
            Enclosure("and no ridge", lead("a[2] * b[2]", PAIR, loss="mse"), None, sp.S(0)),
        ),
    )
