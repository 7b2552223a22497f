"""Squared error: a target four times as large makes the stratum with half the kernel the faster one."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases
from ._instances import Instance


def counterexample() -> Counterexample:
    """2 x 2, both kernels 1 on a and 1/2 on a:b, targets 1/4 and 1, alike in u at u = 1/10."""
    u, half = sp.Rational(1, 10), sp.Rational(1, 2)
    targets = {"a": sp.Rational(1, 4), "b": sp.S(0), "a:b": sp.S(1)}
    kernel = {"a": 1, "b": 1, "a:b": half}
    # w = h = sqrt(kappa) u with kappa = 1/2 would be irrational; sqrt(kW kH) = 1/2 with kW = 1, kH = 1/4 is not.
    start = {"a": (u, u), "a:b": (u, u / 2)}
    x = Instance(
        "a[2] * b[2]", start, loss="mse", targets=targets, label_kernel={**kernel, "a:b": 1},
        feature_kernel={**kernel, "a:b": sp.Rational(1, 4)},
    )  # fmt: skip
    return Counterexample(
        name="a_larger_target_carries_the_slower_stratum_ahead",
        statement="2 x 2, squared error, sqrt(kW kH) = 1 on a and 1/2 on a:b, targets 1/4 and 1, u = 1/10 on both: "
        "z_ab starts at z_a / 2 and grows faster, so that gradient flow has it above rho z at once.",
        theorem="muon_shows_interactions_that_sgd_still_hides",
        without="equal targets",
        proof=(Cases("growth", (("a:b against a", x.growth("a:b"), ">", x.growth("a")),)),),
    )
