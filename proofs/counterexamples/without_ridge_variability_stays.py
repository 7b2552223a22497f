"""Without ridge on H the strata that the label drops do not move: no variability collapse in the free model."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    flow = derive_flow(UFM("word[2] / sense[3]", labels="word"))
    rate = flow.rates[flow.h["word:sense"]]
    return Counterexample(
        name="without_ridge_variability_stays",
        statement="word[2] / sense[3] with labels word, cross-entropy, no ridge: dh/dt = 0 on word:sense from every "
        "state.",
        theorem="strata_that_the_label_drops_decay_at_kH_lam_H",
        without="lam_H > 0 for decay",
        proof=(Cases("dh/dt", (("word:sense", rate, "==", sp.S(0)),)),),
    )
