"""Norm held: g w that differs between strata moves features in an ETF away from it."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Three strata of one dimension, h = 1 on all, pulls 2, 1, 1."""
    p, h = (sp.S(2), sp.S(1), sp.S(1)), (sp.S(1),) * 3
    c = sum(a * b for a, b in zip(p, h, strict=True)) / sum(x**2 for x in h)
    pull = [a - c * x for a, x in zip(p, h, strict=True)]
    return Counterexample(
        name="unequal_pulls_turn_norm_held_features_off_the_etf",
        statement="2 x 2, features in an ETF (h = 1 on three strata), g w = 2 on a and 1 elsewhere: the pull is 2/3 "
        "on a and -1/3 elsewhere, so orthogonalised steps, which have these signs, leave the ETF.",
        theorem="muon_takes_norm_held_features_to_the_etf",
        without="g w alike on all strata but the mean",
        proof=(
            Cases("pull", (("a", pull[0], "==", sp.Rational(2, 3)), ("elsewhere", pull[1], "==", -sp.Rational(1, 3)))),
        ),
    )
