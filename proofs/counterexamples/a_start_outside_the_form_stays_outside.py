"""A start with features of different lengths: not of the symmetric form, and no flow of the strata."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """a[3], squared error, equal kernels, W = I, H = diag(1, 2, 3): each diagonal entry flows by itself."""
    W, H, T = sp.eye(3), sp.diag(1, 2, 3), sp.eye(3)
    G = W * H - T
    dW, dH = -G * H.T, -(W.T * G)
    return Counterexample(
        name="a_start_outside_the_form_stays_outside",
        statement="a[3], squared error, equal kernels, W = I, H = diag(1, 2, 3): the diagonals of dW/dt and dH/dt are "
        "0, -2, -6 and 0, -1, -2, no combinations of I and J, so that W, too, leaves the form.",
        theorem="matrix_flow_reduces_to_the_mode_equations",
        without="W and H of the symmetric form at the start",
        proof=(
            Cases(
                "diagonals",
                (("dW/dt", dW, "==", sp.diag(0, -2, -6)), ("dH/dt", dH, "==", sp.diag(0, -1, -2))),
            ),
        ),
    )
