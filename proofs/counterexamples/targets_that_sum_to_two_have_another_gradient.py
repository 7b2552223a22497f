"""Targets of a column that sum to two: the gradient of cross-entropy is 2 softmax - T."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Identity


def counterexample() -> Counterexample:
    """Two labels, T = (1, 1)', the loss -sum_i T_i ln softmax_i."""
    z = sp.symbols("z1 z2", real=True)
    total = sum(sp.exp(x) for x in z)
    loss = -sum(sp.log(sp.exp(x) / total) for x in z)
    steps = [Identity(f"dL/d{x}", sp.diff(loss, x), 2 * sp.exp(x) / total - 1) for x in z]
    return Counterexample(
        name="targets_that_sum_to_two_have_another_gradient",
        statement="Two labels, T = (1, 1)': dL/dZ = 2 softmax(Z) - T, which vanishes at Z = 0, where softmax(Z) - T is "
        "-1/2.",
        theorem="gradient_is_the_matrix_flow",
        without="columns of T sum to one (cross-entropy)",
        proof=(*steps, Identity("at Z = 0", sp.diff(loss, z[0]).subs(dict.fromkeys(z, 0)), sp.S(0))),
    )
