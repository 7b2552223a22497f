"""A target below 0 drives a positive stratum through zero, to a limit that is no minimum over z >= 0."""

import sympy as sp

from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import EnclosedTrajectory


def counterexample() -> Counterexample:
    """a[2], summed squared error, tau_a = -1, ridge 1/10, from w = 2, h = 1: the limit is z = -9/10."""
    model = UFM("a[2]", loss="mse", reduction="sum", targets={"a": -1}, ridge=sp.Rational(1, 10))
    start = {"1": (0, 0), "a": (2, 1)}
    low, high = -sp.Rational(91, 100), -sp.Rational(89, 100)
    return Counterexample(
        name="a_negative_target_turns_a_sign",
        statement="a[2], squared error, target -1, unit kernels, ridge 1/10, from w = 2, h = 1: at t = 40 z lies "
        "within 1/100 of -9/10, not at the minimum 0 over z >= 0.",
        theorem="every_positive_start_with_ridge_ends_at_one_point",
        without="one-hot cross-entropy, or squared error with targets >= 0",
        proof=(EnclosedTrajectory("z at t = 40", model, start, sp.S(40), "z", "a", low, high),),
    )
