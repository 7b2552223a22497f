"""A stratum whose w and h differ grows faster than a balanced one at the same z, even with the smaller kernel."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, TRIPLE, Instance, alike

TENTH = sp.Rational(1, 10)


def counterexample() -> Counterexample:
    """w = 4/10, h = 1/40 on a:b, w = h = 1/10 on the others, so z = 1/100 on all; d ln z/dt = kappa g (16 + 1/16)."""

    def instance(formula: str, strata: tuple[str, ...], **options: object) -> Instance:
        start = alike(strata, TENTH) | {"a:b": (4 * TENTH, TENTH / 4)}
        return Instance(formula, start, **options)

    def lead(x: Instance) -> sp.Expr:
        return x.growth("a") - x.growth("a:b")

    kernel = {A: 1 if ":" in A else 2 for A in TRIPLE}
    pair = {A: kernel[A] for A in PAIR}
    steps = [
        Enclosure(
            f"2 x 2, {loss}, ridge {ridge}",
            lead(instance("a[2] * b[2]", PAIR, loss=loss, ridge=ridge, feature_kernel=pair, label_kernel=pair)),
            None,
            sp.S(0),
        )
        for loss in ("cross_entropy", "mse")
        for ridge in (sp.S(0), sp.Rational(1, 100))
    ]
    triple = instance("a[2] * b[2] * c[2]", TRIPLE, feature_kernel=kernel, label_kernel=kernel)
    plain = instance("a[2] * b[2]", PAIR)
    return Counterexample(
        name="an_unbalanced_stratum_overtakes",
        statement="w = 4/10, h = 1/40 on a:b and w = h = 1/10 on the other strata but the mean, so that z = 1/100 on "
        "all.  2 x 2 and 2 x 2 x 2, both kernels 2 on attributes and 1 on interactions: z_a / z_ab falls at once.  "
        "With equal kernels the strata part, and z_ab grows faster than at twice the pull at zero.",
        theorem="coarse_strata_stay_ahead_for_all_times",
        without="balanced start",
        also=(
            ("two_levels_keep_their_order_under_the_ridge", "balanced start"),
            ("three_binary_attributes_stay_ahead_of_their_pairs", "balanced start"),
            ("mse_strata_keep_the_order_of_their_rates", "balanced start"),
            ("mse_window_has_one_peak_between_explicit_bounds", "balanced start"),
            ("cross_entropy_window_lies_between_two_curves", "balanced start, the same on all strata"),
            ("cross_entropy_one_stratum_is_implicit_in_Ei", "balanced start"),
        ),
        proof=(
            *steps,
            Enclosure("2 x 2 x 2", lead(triple), None, sp.S(0)),
            Enclosure("equal kernels", lead(plain), None, sp.S(0)),
            Enclosure("faster than 2 sigma", plain.growth("a:b"), sp.Rational(1, 2), None),
        ),
    )
