"""Two pairs in width 2 with soft labels: the square that one-hot labels hold at this ridge shrinks."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity
from ._instances import Instance, alike


def counterexample() -> Counterexample:
    """E = exp(rho) = 3, z = 2 ln 3 on a and b, m lam = 2/(E + 1) = 1/2; tau = 1 or 1/2 on a and b."""
    size, half = sp.sqrt(2 * sp.log(3)), sp.Rational(1, 2)

    def instance(**options: object) -> Instance:
        return Instance("a[2] * b[2]", alike(("a", "b"), size), ridge=half / 4, **options)

    hard, soft = instance(), instance(targets={"a": half, "b": half, "a:b": sp.S(0)})
    return Counterexample(
        name="soft_labels_leave_the_square_no_rest",
        statement="2 x 2, Z = 2 ln 3 (P_a + P_b), m lam = 1/2: one-hot labels have the square at rest, targets 1/2 "
        "on a and b and 0 on a:b have no pull on it, so that the ridge shrinks it.",
        theorem="the_square_of_two_pairs_is_a_minimum_in_width_two",
        without="one-hot",
        proof=(
            *(Identity(f"one-hot: rate {i}", rate, sp.S(0)) for i, rate in enumerate(hard.rates("a"))),
            Identity("soft: pull", soft.pull("a"), sp.S(0)),
            Enclosure("soft: dw/dt", soft.rates("a")[0], None, sp.S(0)),
        ),
    )
