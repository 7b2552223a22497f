"""One linear layer whose inputs have weights of different variance: features and kernel differ."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """f = U phi with variances 1 and 4 by input: E[F'F] is phi' D phi for each row, Theta is phi' phi."""
    inputs, D = sp.Matrix([[1, 1], [1, 0]]), sp.diag(1, 4)
    gram, kernel = inputs.T * D * inputs, inputs.T * inputs
    return Counterexample(
        name="unequal_variances_tilt_the_features",
        statement="One layer, contexts (1, 1) and (1, 0), weights of variance 1 on the first input and 4 on the "
        "second: for each row the expected Gram has the diagonal 5, 1, the kernel 2, 1, so they are not "
        "proportional.",
        theorem="linear_bodies_start_at_the_geometry_of_their_kernel",
        without="independent entries of mean 0 and equal variance",
        proof=(
            Cases("2 x 2 entries", (("not proportional", gram[0, 0] * kernel[1, 1], "!=", gram[1, 1] * kernel[0, 0]),)),
        ),
    )
