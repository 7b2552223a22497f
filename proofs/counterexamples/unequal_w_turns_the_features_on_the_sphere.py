"""Sphere: where w differs between strata, h does not stay."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2 one-hot, equal kernels, h = 1 on all strata but the mean, w = 2 on a and 1 on b and a:b."""
    x = Instance("a[2] * b[2]", alike(PAIR, 1) | {"a": (2, 1)}, constraint="sphere")
    return Counterexample(
        name="unequal_w_turns_the_features_on_the_sphere",
        statement="2 x 2 one-hot on the sphere, equal kernels, h = 1 on all strata but the mean, w = 2 on a and 1 on b "
        "and a:b: h_b moves, so that no stratum has a held factor.",
        theorem="sphere_one_stratum_is_Lambert_W",
        without="its kernel and the start the same on all label strata but the mean",
        proof=(Enclosure("dh/dt on b", x.rates("b")[1], None, sp.S(0)),),
    )
