"""w = 1, h = 2: steps normalised for each matrix move both alike, gradient flow moves w twice as fast as h."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """One stratum, kernels 1: pulls g h and g w, divided by their own norms."""
    g, w, h = sp.Rational(1, 3), sp.S(1), sp.S(2)
    pulls = (g * h, g * w)
    normalised = tuple(p / abs(p) for p in pulls)
    return Counterexample(
        name="unbalanced_normalised_steps_leave_the_path",
        statement="One stratum at w = 1, h = 2 with kernels 1: dw/dh is 2 under gradient flow and 1 under steps "
        "that are normalised for each matrix.",
        theorem="normalised_steps_follow_the_path_of_gradient_flow",
        without="balanced start",
        proof=(
            Cases(
                "dw/dh",
                (
                    ("gradient flow", pulls[0] / pulls[1], "==", sp.S(2)),
                    ("normalised", normalised[0] / normalised[1], "==", sp.S(1)),
                ),
            ),
        ),
    )
