"""Soft labels: beyond their own margin the flow comes back, and an unbalanced pair loses margin for its norm."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2], labels right with probability 9/10, kernels 1, w = 4, h = 1: the margin 4 is above ln 9."""
    x = Instance("a[2]", {"a": (4, 1)}, targets={"a": sp.Rational(4, 5)})
    return Counterexample(
        name="soft_labels_let_the_normalised_margin_fall",
        statement="Two labels, right with probability 9/10, free, kernels 1, no ridge, w = 4, h = 1: the loss is "
        "below ln 2, the margin 4 above ln 9, and mu / rho^2 falls.",
        theorem="the_normalised_margin_never_falls",
        without="one-hot",
        proof=(
            Enclosure("the loss", x.loss(), None, sp.Rational(69, 100)),
            Enclosure("d(mu/rho^2)/dt", x.change(x.normalised_margin()), None, sp.S(0)),
        ),
    )
