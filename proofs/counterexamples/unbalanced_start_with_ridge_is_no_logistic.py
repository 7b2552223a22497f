"""With ridge, a start that is not balanced does not follow the logistic."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..gallery import at
from ..steps import Cases


def counterexample() -> Counterexample:
    """tau = 1, unit kernels, ridge 1/10, w = 1, h = 1/2: dz/dt = 21/40, where the logistic has 2/5."""
    flow = derive_flow(UFM("a[2]", loss="mse", ridge=sp.Rational(1, 10), reduction="sum"))
    w, h = flow.w["a"], flow.h["a"]
    point = {x: sp.S(0) for x in flow.state} | {w: sp.S(1), h: sp.Rational(1, 2)}
    change = at(flow, flow.rates[w] * h + flow.rates[h] * w, point)
    z = point[w] * point[h]
    return Counterexample(
        name="unbalanced_start_with_ridge_is_no_logistic",
        statement="Unit kernels, ridge 1/10, w = 1, h = 1/2: dz/dt = 21/40, the logistic's right-hand side is 2/5.",
        theorem="balanced_mse_is_logistic",
        without="balanced start",
        proof=(
            Cases(
                "dz/dt",
                (
                    ("value", change, "==", sp.Rational(21, 40)),
                    ("logistic", change, "!=", 2 * z * (sp.Rational(9, 10) - z)),
                ),
            ),
        ),
    )
