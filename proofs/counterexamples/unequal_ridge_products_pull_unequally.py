"""When kW lam_W differs from kH lam_H, balanced parameters feel unequal pulls from the two matrices."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases
from ._instances import Instance


def counterexample() -> Counterexample:
    """2 x 2, squared error, kW = 1, kH = 4, ridge 1/100 on both: w = u, h = 2 u with u = 1/10 on a, 1/5 on b."""
    u = {"a": sp.Rational(1, 10), "b": sp.Rational(1, 5)}
    pairs = {A: (x, 2 * x) for A, x in u.items()}
    x = Instance("a[2] * b[2]", pairs, loss="mse", label_kernel=1, feature_kernel=4, ridge=sp.Rational(1, 100))
    # (dw/dt) / sqrt(kW) and (dh/dt) / sqrt(kH) are the pulls on the parameters u of W and of H.
    on_W, on_H = ({A: x.rates(A)[i] / (1, 2)[i] for A in u} for i in (0, 1))
    norms = [sum(p**2 for p in pull.values()) for pull in (on_W, on_H)]
    return Counterexample(
        name="unequal_ridge_products_pull_unequally",
        statement="2 x 2, squared error, kW = 1, kH = 4, ridge 1/100 on both, balanced parameters 1/10 on a and 1/5 "
        "on b: the pulls of W and of H on the parameters differ in norm, and in direction, so that steps "
        "normalised for each matrix lose the balance.",
        theorem="normalised_steps_follow_the_path_of_gradient_flow",
        without="no ridge, or kW lam_W = kH lam_H",
        proof=(
            Cases(
                "pulls",
                (
                    ("norms", norms[0], ">", norms[1]),
                    ("directions", on_W["a"] * on_H["b"], "!=", on_W["b"] * on_H["a"]),
                ),
            ),
        ),
    )
