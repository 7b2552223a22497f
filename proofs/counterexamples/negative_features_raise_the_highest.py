"""Norm held: with negative modes c may be negative, and the pull raises the highest stratum too."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Three strata of one dimension, phi = -1, -1, 1, pulls 1."""
    h = (-sp.S(1), -sp.S(1), sp.S(1))
    c = sum(h) / sum(x**2 for x in h)
    return Counterexample(
        name="negative_features_raise_the_highest",
        statement="phi = -1, -1, 1 on the three strata of 2 x 2 and g w = 1: c = -1/3, and the pull on the highest "
        "stratum is 4/3 > 0, as on the others 2/3 > 0: under orthogonalised steps all move at the same speed and the "
        "gap stays.",
        theorem="muon_takes_norm_held_features_to_the_etf",
        without="phi > 0 there, and 0 on the mean",
        proof=(
            Cases(
                "pull",
                (("highest", 1 - c * h[2], "==", sp.Rational(4, 3)), ("lowest", 1 - c * h[0], "==", sp.Rational(2, 3))),
            ),
        ),
    )
