"""Sphere with feature kernel 0 on a: the features rest though the tangent gradient on a does not vanish."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity
from ._instances import Instance


def counterexample() -> Counterexample:
    """2 x 2, kH = 0 on a, w_a = 1 and h_a = 0, w = h = 1 on b and a:b."""
    pairs = {"a": (1, 0), "b": (1, 1), "a:b": (1, 1)}
    x = Instance("a[2] * b[2]", pairs, feature_kernel={"a": 0, "b": 1, "a:b": 1}, constraint="sphere")
    return Counterexample(
        name="a_zero_kernel_rests_where_the_gradient_does_not",
        statement="2 x 2 on the sphere, kH = 0 on a and 1 elsewhere, h_a = 0 and w_a = 1, w = h = 1 on b and a:b: all "
        "features rest, but the tangent gradient on a is g_a w_a > 0; with a positive kernel it would move.",
        theorem="sphere_keeps_norms_and_its_fixed_points_ignore_the_kernel",
        without="positive kernels",
        proof=(
            *(Identity(f"dh/dt on {A}", x.rates(A)[1], sp.S(0)) for A in x.flow.h if A != "1"),
            Enclosure("g_a w_a - c h_a", x.pull("a"), sp.S(0), None),
        ),
    )
