"""A gradient of 1 and then of 3: averages lag behind, in Adam's step and in momentum's."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases

HALF = sp.Rational(1, 2)


def counterexample() -> Counterexample:
    """All memories 1/2, no dampening; two steps."""
    gradients = (sp.S(1), sp.S(3))
    m = v = b = sp.S(0)
    moved = []
    for g in gradients:
        m, v, b = HALF * m + HALF * g, HALF * v + HALF * g**2, HALF * b + g
        moved.append(b)
    correction = 1 - HALF**2
    c = (sp.S(1), HALF + 1)  # c_k = (1 - beta^k)/(1 - beta)
    return Counterexample(
        name="a_gradient_that_triples_is_averaged",
        statement="Gradients 1 and 3, all memories 1/2: Adam's corrected second step has the square 49/57, not 1; "
        "momentum moves by 1 + 7/2 = 9/2 in two steps, where the mean gradient 2 for the effective time 5/2 gives 5.",
        theorem="adam_takes_sign_steps_while_the_gradient_is_constant",
        without="a constant gradient",
        also=(("effective_time_of_momentum_is_exact_for_constant_gradients", "a constant gradient"),),
        proof=(
            Cases("Adam", (("square", (m / correction) ** 2 / (v / correction), "==", sp.Rational(49, 57)),)),
            Cases(
                "momentum",
                (("moved", sum(moved), "==", sp.Rational(9, 2)), ("for a mean of 2", 2 * sum(c), "==", sp.S(5))),
            ),
        ),
    )
