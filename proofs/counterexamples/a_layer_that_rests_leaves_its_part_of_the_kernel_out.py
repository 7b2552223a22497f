"""Two linear layers of which one is trained: the kernel has half the stated size (its shares are the same)."""

from itertools import product

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """f = u_2 u_1 with independent signs as weights and inputs 1: the mean of (df/du)^2 over all weights."""
    signs = tuple(product((-1, 1), repeat=2))
    both = sp.Rational(sum(u1**2 + u2**2 for u1, u2 in signs), len(signs))
    last = sp.Rational(sum(u1**2 for u1, u2 in signs), len(signs))
    return Counterexample(
        name="a_layer_that_rests_leaves_its_part_of_the_kernel_out",
        statement="L = 2, width 1, weights +1 or -1, input 1: with both layers trained E[Theta] = 2, with the last "
        "alone 1, where L s^2 = 2.  The shares do not tell the two apart; with no layer trained there is "
        "no kernel.",
        theorem="linear_bodies_start_at_the_geometry_of_their_kernel",
        without="every layer is trained",
        proof=(Cases("E[Theta]", (("both", both, "==", sp.S(2)), ("the last alone", last, "==", sp.S(1)))),),
    )
