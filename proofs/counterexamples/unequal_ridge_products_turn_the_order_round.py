"""Ridge on W alone costs the stratum with the larger label kernel more, though sqrt(kW kH) is the same on all."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases, Enclosure
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """kW = 4, kH = 1/4 on a and 1 elsewhere, lam_W = 1/10, lam_H = 0, balanced at z = 1/100."""
    u, quarter = sp.Rational(1, 10), sp.Rational(1, 4)

    def instance(loss: str) -> Instance:
        start = alike(PAIR, u) | {"a": (2 * u, u / 2)}
        kernels = {"label_kernel": {"a": 4, "b": 1, "a:b": 1}, "feature_kernel": {"a": quarter, "b": 1, "a:b": 1}}
        return Instance("a[2] * b[2]", start, ridge=(sp.Rational(1, 10), 0), loss=loss, **kernels)

    softmax, squared = instance("cross_entropy"), instance("mse")
    lower = 2 * sp.exp(-(u**2)) / 4  # 2 kappa (sigma e^-z0 - lam) with lam = sqrt(lam_W lam_H) = 0
    return Counterexample(
        name="unequal_ridge_products_turn_the_order_round",
        statement="2 x 2, kW = 4 and kH = 1/4 on a and 1 elsewhere, so that s is the same on all; lam_W = 1/10, "
        "lam_H = 0, a balanced start at z = 1/100: z_a / z_ab falls under both losses, and z_a grows slower than at "
        "2 kappa (sigma exp(-z0) - lam).",
        theorem="mse_strata_keep_the_order_of_their_rates",
        without="kW lam_W = kH lam_H",
        also=(
            ("two_levels_keep_their_order_under_the_ridge", "kW lam_W = kH lam_H"),
            ("cross_entropy_window_lies_between_two_curves", "kW lam_W = kH lam_H"),
        ),
        proof=(
            Cases("squared error", (("growth of a", squared.growth("a"), "<", squared.growth("a:b")),)),
            Enclosure("cross-entropy", softmax.growth("a") - softmax.growth("a:b"), None, sp.S(0)),
            Enclosure("below the lower bound", softmax.growth("a") - lower, None, sp.S(0)),
        ),
    )
