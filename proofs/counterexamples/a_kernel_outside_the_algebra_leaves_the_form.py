"""A feature kernel that treats contexts differently: H leaves the symmetric form at once."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """a[3], squared error, W = H = I/10, KH = diag(1, 2, 3)."""
    KH, W, H, T = sp.diag(1, 2, 3), sp.eye(3) / 10, sp.eye(3) / 10, sp.eye(3)
    dH = W.T * (T - W * H) * KH
    return Counterexample(
        name="a_kernel_outside_the_algebra_leaves_the_form",
        statement="a[3], squared error, W = H = I/10 and KH = diag(1, 2, 3), which is no combination of I and J: the "
        "diagonal of dH/dt is not constant.",
        theorem="matrix_flow_reduces_to_the_mode_equations",
        without="kernels and targets in the algebra",
        proof=(Cases("diagonal of dH/dt", (("entries 0 and 1", dH[0, 0], "!=", dH[1, 1]),)),),
    )
