"""Where all logits are wrong the norm falls faster than the loss, and mu / rho^2 with it."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2 one-hot, free, kernels 1, w = 1 and h = -1 on all strata but the mean: margins -1, S = 3 e."""
    x = Instance("a[2] * b[2]", alike(PAIR, 1, -1))
    return Counterexample(
        name="a_negative_normalised_margin_can_fall",
        statement="2 x 2 one-hot cross-entropy, free, kernels 1, no ridge, w = 1, h = -1 on all strata but the "
        "mean: the loss is above ln 2, and mu / rho^2 falls.",
        theorem="the_normalised_margin_never_falls",
        without="a loss below ln 2",
        proof=(
            Enclosure("the loss", x.loss(), sp.S(1), None),
            Enclosure("d(mu/rho^2)/dt", x.change(x.normalised_margin()), None, sp.S(0)),
        ),
    )
