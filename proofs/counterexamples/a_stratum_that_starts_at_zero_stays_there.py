"""With ridge, a stratum that starts at w = h = 0 never leaves, however strong its pull."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..gallery import at
from ..steps import Cases


def counterexample() -> Counterexample:
    """Squared error on 2 x 2 crossed, ridge 1/100: a at zero, with the pull 1/4 above the ridge's 1/100."""
    ridge = sp.Rational(1, 100)
    flow = derive_flow(UFM("a[2] * b[2]", loss="mse", ridge=ridge))
    start = {x: sp.S(1) for x in flow.state} | {flow.w["a"]: sp.S(0), flow.h["a"]: sp.S(0)}
    rates = [at(flow, flow.rates[x["a"]], start) for x in (flow.w, flow.h)]
    return Counterexample(
        name="a_stratum_that_starts_at_zero_stays_there",
        statement="2 x 2 crossed, squared error, ridge 1/100, w_a = h_a = 0: both rates of a vanish though g_a = 1/4 > "
        "1/100, so the flow ends without a, and not at the minimum.",
        theorem="every_positive_start_with_ridge_ends_at_one_point",
        without="w, h > 0 on every stratum at the start",
        proof=(
            Cases(
                "rates and pull",
                (
                    ("rates of a", tuple(rates), "==", (sp.S(0), sp.S(0))),
                    ("pull on a", at(flow, flow.g["a"], start), "==", sp.Rational(1, 4)),
                    ("above the ridge", at(flow, flow.g["a"], start), ">", ridge),
                ),
            ),
        ),
    )
