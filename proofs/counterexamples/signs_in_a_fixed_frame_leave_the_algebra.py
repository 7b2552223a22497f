"""A rational frame other than the identity: signs of the first gradient already have a Gram outside the algebra."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Q = [[3, 4, 0], [-4, 3, 0], [0, 0, 5]] / 5 and the gradient Q (I - J/3) of one attribute with three values."""
    Q = sp.Matrix([[3, 4, 0], [-4, 3, 0], [0, 0, 5]]) / 5
    X = Q * (sp.eye(3) - sp.ones(3, 3) / 3)
    S = X.applyfunc(sp.sign)
    gram, own = S.T * S, X.T * X
    return Counterexample(
        name="signs_in_a_fixed_frame_leave_the_algebra",
        statement="One attribute with three values in the frame Q: the gradient Q (I - J/3) has a Gram in the "
        "algebra, its signs have the Gram entries 1 between values 1 and 2, and -3 between 1 and 3.  Only "
        "the mean over frames, or many rows, bring signs back to the algebra.",
        theorem="first_sign_step_moves_every_stratum_alike",
        without="frame Q = I",
        also=(("sign_steps_put_energy_into_interactions", "Gaussian rows with a covariance in the algebra"),),
        proof=(
            Cases("the frame is orthonormal", (("Q' Q", Q.T * Q, "==", sp.eye(3)),)),
            Cases("the gradient's Gram is in the algebra", (("entries", own[0, 1], "==", own[0, 2]),)),
            Cases("that of its signs is not", (("entries", gram[0, 1], "!=", gram[0, 2]),)),
        ),
    )
