"""Labels of unequal frequency: already the first gradient from Z = 0 is outside the algebra."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Three labels with frequencies 1/2, 1/4, 1/4: G = (softmax - T) diag(p) at Z = 0, where softmax is J/3."""
    frequency = sp.diag(sp.Rational(1, 2), sp.Rational(1, 4), sp.Rational(1, 4))
    G = (sp.ones(3, 3) / 3 - sp.eye(3)) * frequency
    return Counterexample(
        name="unequal_label_frequencies_leave_the_algebra",
        statement="With label frequencies 1/2, 1/4, 1/4 the gradient at Z = 0 is no combination of I and J: its "
        "diagonal is not constant, so the strata mix and the mode equations do not hold (Thrampoulidis et al. 2022).",
        theorem="matrix_flow_reduces_to_the_mode_equations",
        without="balanced labels",
        proof=(
            Cases(
                "the diagonal of G",
                (("entries 0 and 1", G[0, 0], "!=", G[1, 1]), ("G is not symmetric either", G[0, 1], "!=", G[1, 0])),
            ),
        ),
    )
