"""Kernels that are larger on the interaction than on the attributes: it passes them at once."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, TRIPLE, Instance, alike


def counterexample() -> Counterexample:
    """Both kernels 3 on a:b and 1 elsewhere, ridge 1/100, w = h = 1/10 on all strata but the mean."""

    def lead(formula: str, strata: tuple[str, ...], loss: str, ridge: sp.Expr) -> sp.Expr:
        kernel = {A: 3 if A == "a:b" else 1 for A in strata}
        options = {"feature_kernel": kernel, "label_kernel": kernel, "ridge": ridge, "loss": loss}
        instance = Instance(formula, alike(strata, sp.Rational(1, 10)), **options)
        return instance.growth("a") - instance.growth("a:b")

    pairs = [
        Enclosure(f"2 x 2, {loss}, ridge {ridge}", lead("a[2] * b[2]", PAIR, loss, ridge), None, sp.S(0))
        for loss in ("cross_entropy", "mse")
        for ridge in (sp.S(0), sp.Rational(1, 100))
    ]
    three = lead("a[2] * b[2] * c[2]", TRIPLE, "cross_entropy", sp.S(0))
    return Counterexample(
        name="a_larger_kernel_on_the_finer_stratum_puts_it_ahead",
        statement="Both kernels 3 on a:b and 1 elsewhere, w = h = 1/10 on all strata but the mean, 2 x 2 (both losses, "
        "without ridge and with 1/100) and 2 x 2 x 2: z_a / z_ab, 1 at the start, falls.",
        theorem="coarse_strata_stay_ahead_for_all_times",
        without="kappa_A >= kappa_B",
        also=(
            ("two_levels_keep_their_order_under_the_ridge", "kappa_A >= kappa_B"),
            ("three_binary_attributes_stay_ahead_of_their_pairs", "kappa_i >= kappa_ij <= kappa_123"),
            ("mse_strata_keep_the_order_of_their_rates", "s_A >= s_B"),
            ("mse_window_has_one_peak_between_explicit_bounds", "two rates k1 > k2"),
            ("cross_entropy_window_lies_between_two_curves", "the times: two rates k1 > k2"),
            ("cross_entropy_one_stratum_is_implicit_in_Ei", "kW kH the same on all label strata but the mean"),
        ),
        proof=(*pairs, Enclosure("2 x 2 x 2", three, None, sp.S(0))),
    )
