"""A start whose W'W - HH' is no multiple of the identity does not obey the Riccati equation, for any lambda."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """T = H = I, W = diag(2, 1): the upper left block of S' asks for lambda = 3 in one entry and 0 in the other."""
    T, H, W = sp.eye(2), sp.eye(2), sp.diag(2, 1)
    dW = (T - W * H) * H.T
    true = dW * W.T + W * dW.T
    plain = T * (W * H).T + (W * H) * T.T - W * W.T * W * W.T - W * H * (W * H).T
    # The Riccati block is plain + lambda W W'.
    needed = [(true - plain)[i, i] / (W * W.T)[i, i] for i in range(2)]
    return Counterexample(
        name="width_two_start_escapes_the_riccati_form",
        statement="Width 2, T = H = I, W = diag(2, 1), so W'W - HH' = diag(3, 0): S' = F S + S F - S^2 with F = "
        "F_lambda would need lambda = 3 in one entry and lambda = 0 in the other.  A random start has such a "
        "difference.",
        theorem="random_start_mse_is_a_matrix_riccati_equation",
        without="W'W - HH' = lambda I at the start",
        proof=(
            Cases("lambda", (("first entry", needed[0], "==", sp.S(3)), ("second entry", needed[1], "==", sp.S(0)))),
        ),
    )
