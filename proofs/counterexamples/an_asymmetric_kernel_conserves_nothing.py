"""A label kernel that is not symmetric: W' KW^-1 W - H KH^-1 H' moves."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """KW = ((1, 1), (0, 1)), KH = I, width 1, W = (1, 1)', H = (1, 0), G = I."""
    KW, W, H, G = sp.Matrix([[1, 1], [0, 1]]), sp.Matrix([1, 1]), sp.Matrix([[1, 0]]), sp.eye(2)
    dW, dH = -KW * G * H.T, -(W.T * G)
    inverse = KW.inv()
    change = dW.T * inverse * W + W.T * inverse * dW - dH * H.T - H * dH.T
    return Counterexample(
        name="an_asymmetric_kernel_conserves_nothing",
        statement="KW = ((1, 1), (0, 1)), KH = I, width 1, W = (1, 1)', H = (1, 0), G = I, no ridge: the difference "
        "changes at the rate 1.",
        theorem="w2_over_kW_minus_h2_over_kH_is_conserved",
        without="KW and KH symmetric",
        proof=(Cases("rate", (("value", change[0, 0], "==", sp.S(1)),)),),
    )
