"""When kW lam_W differs from kH lam_H, ridge moves a balanced start off balance."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..gallery import at
from ..steps import Cases


def counterexample() -> Counterexample:
    """kW = 1, kH = 4, equal ridges 1/10, the balanced point w = 1, h = 2: d/dt (w^2 - h^2/4) = 3/5."""
    flow = derive_flow(UFM("a[2]", loss="mse", label_kernel=1, feature_kernel=4, ridge=sp.Rational(1, 10)))
    w, h = flow.w["a"], flow.h["a"]
    point = {x: sp.S(0) for x in flow.state} | {w: sp.S(1), h: sp.S(2)}
    change = at(flow, 2 * w * flow.rates[w] - 2 * h * flow.rates[h] / 4, point)
    return Counterexample(
        name="unequal_ridge_products_break_the_balance",
        statement="kW = 1, kH = 4, lam = 1/10 for both, w = 1, h = 2: w^2/kW - h^2/kH = 0 changes at the rate 3/5, "
        "so the balance that the logistic needs is lost.",
        theorem="balanced_mse_is_logistic",
        without="kW lam_W = kH lam_H (or no ridge)",
        proof=(Cases("rate of the balance", (("value", change, "==", sp.Rational(3, 5)),)),),
    )
