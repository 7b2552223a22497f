"""With a larger kernel on an attribute it grows faster than the interaction: the transient that equal kernels lack."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..gallery import at
from ..steps import Cases


def counterexample() -> Counterexample:
    """Near zero, w = h = 1/100 on all strata, squared error."""
    flow = derive_flow(UFM("a[2] * b[2]", loss="mse", feature_kernel={"a": 3, "b": 1, "a:b": 1}))
    point = dict.fromkeys(flow.state, sp.Rational(1, 100))
    rates = {A: at(flow, flow.rates[h], point) for A, h in flow.h.items()}
    return Counterexample(
        name="unequal_kernels_have_a_transient",
        statement="Crossed 2 x 2, kernel 3 on a, 1 elsewhere, all singular values 1/100: h grows three times as "
        "fast on a, as on the interaction and on the other attribute.",
        theorem="one_hot_equal_kernels_has_no_transient",
        without="kernels equal on all strata but the mean",
        also=(("merged_strata_stay_merged", "kernels, targets and start equal within each order"),),
        proof=(
            Cases(
                "dh/dt",
                (
                    ("a against a:b", rates["a"], "==", 3 * rates["a:b"]),
                    ("a against b", rates["a"], "==", 3 * rates["b"]),
                    ("it grows", rates["a:b"], ">", sp.S(0)),
                ),
            ),
        ),
    )
