"""A ridge above the pull at zero: everything falls, and the stratum with the smallest kernel leaves the upper curve."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2, sigma = 1/4, lam = 1/2, both kernels 3 on a and 1 elsewhere, z = 1/100."""
    kernel = {"a": 3, "b": 1, "a:b": 1}
    lam, sigma = sp.Rational(1, 2), sp.Rational(1, 4)
    options = {"feature_kernel": kernel, "label_kernel": kernel, "ridge": lam}
    x = Instance("a[2] * b[2]", alike(PAIR, sp.Rational(1, 10)), **options)
    curve = 2 * 3 * (sigma - lam)  # d ln Y/dt = 2 kappa s
    return Counterexample(
        name="beyond_the_pull_the_slowest_stratum_leads",
        statement="2 x 2 one-hot cross-entropy, ridge 1/2 > sigma = 1/4, both kernels 3 on a and 1 elsewhere, z = "
        "1/100 on all: Y = z0 exp(2 kappa s t) falls at the rate 3/2, z_ab slower, so that z <= Y fails "
        "at once.",
        theorem="cross_entropy_window_lies_between_two_curves",
        without="lam < sigma",
        proof=(Enclosure("growth of a:b", x.growth("a:b") - curve, sp.S(0), None),),
    )
