"""Adam with epsilon: a gradient of that size takes half a sign step."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """g = epsilon: g / (|g| + epsilon)."""
    g = epsilon = sp.Rational(1, 10**8)
    return Counterexample(
        name="epsilon_halves_the_step_of_a_gradient_of_its_size",
        statement="epsilon = 10^-8 added to the root, and a constant gradient of 10^-8: every corrected step is 1/2, "
        "not 1.",
        theorem="adam_takes_sign_steps_while_the_gradient_is_constant",
        without="no epsilon",
        proof=(Cases("step", (("g/(|g| + epsilon)", g / (abs(g) + epsilon), "==", sp.Rational(1, 2)),)),),
    )
