"""Equal kernels and one-hot labels, but an interaction that starts ahead: it still is when all have grown."""

import sympy as sp

from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import EnclosedTrajectory
from ._instances import PAIR, TRIPLE


def counterexample() -> Counterexample:
    """w = h = 1/10 on all strata but a:b, which starts at 2/10; at t = 20."""
    tenth, t = sp.Rational(1, 10), sp.S(20)
    steps = []
    for formula, strata in (("a[2] * b[2]", PAIR), ("a[2] * b[2] * c[2]", TRIPLE)):
        start = dict.fromkeys(strata, tenth) | {"a:b": 2 * tenth, "1": sp.S(0)}
        level = LEVELS[formula]
        for A, low, high in (("a", None, level), ("a:b", level, None)):
            steps.append(EnclosedTrajectory(f"{formula}, z on {A}", UFM(formula), start, t, "z", A, low, high))
    return Counterexample(
        name="strata_that_start_apart_stay_apart",
        statement="One-hot cross-entropy with equal kernels and no ridge, w = h = 1/10 on all strata but a:b, where "
        "they are 2/10: in 2 x 2 and 2 x 2 x 2 z_a is still below z_ab at t = 20, so neither are all strata alike nor "
        "is the attribute ahead.",
        theorem="one_hot_equal_kernels_has_no_transient",
        without="equal start on all of them",
        also=(
            ("cross_entropy_one_stratum_is_implicit_in_Ei", "the same z(0) on all of them"),
            ("coarse_strata_stay_ahead_for_all_times", "z_A >= z_B > 0 at the start"),
            ("three_binary_attributes_stay_ahead_of_their_pairs", "z_i >= z_ij <= z_123 at the start"),
        ),
        proof=tuple(steps),
    )


LEVELS = {"a[2] * b[2]": sp.Rational(7, 2), "a[2] * b[2] * c[2]": sp.Rational(3, 2)}
