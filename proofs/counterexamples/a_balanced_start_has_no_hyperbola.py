"""x0 = y0: the constant C and the denominator 1 - q^2 vanish together, and the form is 0/0."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """x0 = y0 = 1/2, k = 1: z = 1/4, but C q and 1 - q^2 are both 0."""
    x, y = sp.Rational(1, 2), sp.Rational(1, 2)
    q = y / x
    return Counterexample(
        name="a_balanced_start_has_no_hyperbola",
        statement="x0 = y0 = 1/2: C q = 0 and 1 - q^2 = 0, so that z = C q/(1 - q^2) says nothing of z = 1/4; the "
        "logistic holds in its place.",
        theorem="unbalanced_mse_closed_form",
        without="positive start with x0 > y0 (else exchange the two)",
        proof=(
            Cases(
                "x0 = y0",
                (
                    ("C q", (x**2 - y**2) * q, "==", sp.S(0)),
                    ("1 - q^2", 1 - q**2, "==", sp.S(0)),
                    ("z", x * y, "!=", sp.S(0)),
                ),
            ),
        ),
    )
