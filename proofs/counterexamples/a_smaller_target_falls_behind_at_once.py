"""Soft targets that are smaller on attributes than on their interaction: the larger kernel does not save the lead."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases, Enclosure
from ._instances import PAIR, TRIPLE, Instance, alike

HALF = sp.Rational(1, 2)
TARGETS = {"a": HALF, "b": HALF, "a:b": sp.S(1)}


def counterexample() -> Counterexample:
    """Both kernels 5/4 on attributes and 1 on interactions, w = h = 1/100 on all strata but the mean."""
    three = {"c": sp.S(1), "a:c": HALF, "b:c": HALF, "a:b:c": sp.S(1)}  # the pair's table, once for each value of c

    def instance(formula: str, strata: tuple[str, ...], targets: dict[str, sp.Expr], loss: str) -> Instance:
        kernel = {A: 1 if ":" in A else sp.Rational(5, 4) for A in strata}
        options = {"feature_kernel": kernel, "label_kernel": kernel, "targets": targets, "loss": loss}
        return Instance(formula, alike(strata, sp.Rational(1, 100)), **options)

    softmax = instance("a[2] * b[2]", PAIR, TARGETS, "cross_entropy")
    squared = instance("a[2] * b[2]", PAIR, TARGETS, "mse")
    triple = instance("a[2] * b[2] * c[2]", TRIPLE, TARGETS | three, "cross_entropy")
    behind = [x.growth("a") - x.growth("a:b") for x in (softmax, squared, triple)]
    bound = sp.exp(-sp.Rational(1, 10000)) / 4
    return Counterexample(
        name="a_smaller_target_falls_behind_at_once",
        statement="2 x 2 with targets 1/2 on a and b and 1 on a:b (a table of 3/4, 1/4 and 0), both kernels 5/4 on a "
        "and b and 1 on a:b, w = h = 1/100: z_a / z_ab, 1 at the start, falls under both losses; so it does in "
        "2 x 2 x 2 with the same table for each value of c.  And g_a lies below exp(-z)/m.",
        theorem="coarse_strata_stay_ahead_for_all_times",
        without="one-hot",
        also=(
            ("two_levels_keep_their_order_under_the_ridge", "one-hot"),
            ("three_binary_attributes_stay_ahead_of_their_pairs", "one-hot"),
            ("mse_strata_keep_the_order_of_their_rates", "tau_A >= tau_B"),
            ("mse_window_has_one_peak_between_explicit_bounds", "equal targets and starts"),
            ("cross_entropy_window_lies_between_two_curves", "one-hot"),
        ),
        proof=(
            Cases("squared error", (("d ln(z_a/z_ab)/dt", behind[1], "<", sp.S(0)),)),
            Enclosure("cross-entropy", behind[0], None, sp.S(0)),
            Enclosure("2 x 2 x 2", behind[2], None, sp.S(0)),
            Enclosure("the pull on a", softmax.pull("a") - bound, None, sp.S(0)),
        ),
    )
