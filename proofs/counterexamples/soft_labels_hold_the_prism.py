"""Labels equal to the softmax of the prism: it is a minimum, and turning one triangle raises the loss."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import second_variation


def counterexample() -> Counterexample:
    """2 x 3 in width 3, exp(alpha) = exp(rho) = 2, T = softmax(Z), no ridge, to the first order of the turn."""
    size = sp.log(2)
    triangle = [(1 / sp.sqrt(2), 1 / sp.sqrt(6)), (-1 / sp.sqrt(2), 1 / sp.sqrt(6)), (sp.S(0), -2 / sp.sqrt(6))]
    ends = (1 / sp.sqrt(2), -1 / sp.sqrt(2))
    W = sp.sqrt(size) * sp.Matrix([(p, *q) for p in ends for q in triangle])
    turn = sp.sqrt(size) * sp.Matrix([(0, -q[1] * i, q[0] * i) for i in (0, 1) for q in triangle])
    Z = W * W.T
    weights = Z.applyfunc(sp.exp)
    T = sp.Matrix(6, 6, lambda i, j: weights[i, j] / sum(weights[k, j] for k in range(6)))
    return Counterexample(
        name="soft_labels_hold_the_prism",
        statement="Labels 2 x 3 in width 3 with exp(alpha) = exp(rho) = 2 and soft targets T = softmax(Z), which "
        "lie in the algebra: the gradient in Z vanishes, so that the second derivative along the turn is "
        "the softmax's variance of dZ, which is positive: the prism is no saddle.",
        theorem="crossed_main_effects_alone_are_saddles_of_cross_entropy",
        without="one-hot",
        proof=(Enclosure("second derivative", second_variation(W, turn, T, sp.S(0)), sp.S(0), None),),
    )
