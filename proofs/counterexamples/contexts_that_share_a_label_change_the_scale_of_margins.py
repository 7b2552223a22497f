"""Four contexts for each label: margins are singular values over sqrt(4), not over the contexts of a block."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """a[2] / b[4] with labels a: the margin between the two labels, and N_1 = 4."""
    flow = derive_flow(UFM("a[2] / b[4]", labels="a"))
    margin = next(value for symbol, value in flow.definitions if str(symbol) == "M_1")
    share = sp.diff(margin, flow.z["a"])
    return Counterexample(
        name="contexts_that_share_a_label_change_the_scale_of_margins",
        statement="a[2] / b[4] with labels a, so four contexts a label: Z_1 - Z_0 = z_a / 2, where z_a / N_1 is z_a "
        "/ 4 (and z_a when N_1 counts labels).",
        theorem="chains_telescope_in_logits_and_softmax",
        without="one context per label",
        proof=(
            Cases(
                "margin by z_a",
                (
                    ("value", share, "==", sp.Rational(1, 2)),
                    ("contexts", share, "!=", sp.Rational(1, 4)),
                    ("labels", share, "!=", sp.S(1)),
                ),
            ),
        ),
    )
