"""Sphere: a mean of the features decays and hands its norm to the strata, so h grows."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import Instance


def counterexample() -> Counterexample:
    """a[2] one-hot, equal kernels, w_a = h_a = 1 and h = 1 on the mean."""
    x = Instance("a[2]", {"a": (1, 1), "1": (0, 1)}, constraint="sphere")
    return Counterexample(
        name="a_mean_of_the_features_feeds_the_strata",
        statement="a[2] one-hot on the sphere, equal kernels, w_a = h_a = 1 and h = 1 on the mean: h_a grows, h is no "
        "constant.",
        theorem="sphere_one_stratum_is_Lambert_W",
        without="sphere, normalized: the mean and the strata that the label drops start at 0",
        proof=(Enclosure("dh_a/dt", x.rates("a")[1], sp.S(0), None),),
    )
