"""Sphere: W = 0 and features without the label's part are at rest, and so is what the label drops."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2] * b[2] with labels a, w_a = h_a = 0, h_b = 1."""
    x = Instance("a[2] * b[2]", {"b": (0, 1)}, labels="a", constraint="sphere")
    return Counterexample(
        name="variability_stays_where_nothing_is_learned",
        statement="a[2] * b[2] with labels a on the sphere, one-hot cross-entropy, no ridge, w_a = h_a = 0, h_b = "
        "1: all is at rest, at the loss ln 2 > ln(5/4); |W| stays 0 and h_b does not fall.",
        theorem="variability_falls_faster_than_any_power_of_time",
        without="loss at most ln(5/4) once",
        proof=(
            *(Identity(f"d{y}/dt", x.value(rate), sp.S(0)) for y, rate in x.flow.rates.items()),
            Enclosure("the loss", x.loss() - sp.log(sp.Rational(5, 4)), sp.S(0), None),
        ),
    )
