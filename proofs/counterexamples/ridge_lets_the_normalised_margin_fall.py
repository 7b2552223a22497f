"""With ridge a large margin shrinks, and with it the margin for each unit of norm."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2 one-hot, free, kernels 1, w = h = 2 on all strata but the mean, ridge 1/10: S = 3 e^-4 < 1."""
    x = Instance("a[2] * b[2]", alike(PAIR, 2), ridge=sp.Rational(1, 10))
    mu = x.normalised_margin()
    return Counterexample(
        name="ridge_lets_the_normalised_margin_fall",
        statement="2 x 2 one-hot cross-entropy, free, kernels 1, w = h = 2 on all strata but the mean, ridge 1/10: "
        "the loss is below ln 2, and mu / rho^2 falls.",
        theorem="the_normalised_margin_never_falls",
        without="no ridge",
        proof=(
            Enclosure("the loss", x.loss(), None, sp.Rational(1, 2)),
            Enclosure("d(mu/rho^2)/dt", x.change(mu), None, sp.S(0)),
        ),
    )
