"""Pulls of equal norm on W (V x d) and H (d x m) have different root mean squares when V is not m."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """V = 2 labels, m = 8 contexts, width 2: squares of the norm 1 spread over 4 and over 16 entries."""
    V, m, d, square = sp.S(2), sp.S(8), sp.S(2), sp.S(1)
    on_W, on_H = sp.sqrt(square / (V * d)), sp.sqrt(square / (m * d))
    return Counterexample(
        name="fewer_labels_than_contexts_shrink_the_steps_of_W",
        statement="V = 2, m = 8, width 2, balanced pulls of norm 1: the root mean square is 1/2 on W and 1/4 on H, "
        "so that normalised steps move H twice as fast, balance is lost, and no common time makes them "
        "gradient flow.",
        theorem="normalised_steps_follow_the_path_of_gradient_flow",
        without="as many labels as contexts",
        proof=(Cases("root mean square", (("W against H", on_W, "==", 2 * on_H),)),),
    )
