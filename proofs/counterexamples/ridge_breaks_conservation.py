"""With ridge w^2/kW - h^2/kH is not conserved."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..gallery import at
from ..steps import Cases


def counterexample() -> Counterexample:
    flow = derive_flow(UFM("a[2]", loss="mse", ridge=1))
    w, h = flow.w["a"], flow.h["a"]
    point = {x: sp.S(0) for x in flow.state} | {w: sp.S(2), h: sp.S(1)}
    change = at(flow, 2 * w * flow.rates[w] - 2 * h * flow.rates[h], point)
    return Counterexample(
        name="ridge_breaks_conservation",
        statement="Unit kernels, ridge 1, w = 2, h = 1: w^2 - h^2 changes at the rate -2 (4 - 1) = -6.",
        theorem="w2_over_kW_minus_h2_over_kH_is_conserved",
        without="no ridge",
        proof=(Cases("rate of w^2 - h^2", (("value", change, "==", sp.S(-6)),)),),
    )
