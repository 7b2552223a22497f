"""A ridge of 1/m or more: zero is stable, and no stratum survives."""

import sympy as sp

from ...theory.limits import limit
from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import POSITIVE, Cases, Positive


def counterexample() -> Counterexample:
    """m = 4, lam = 1/2: 1 - m lam = -1, V/(m lam) - V + 1 = -1 has no logarithm, and the limit is zero."""
    lam, E = sp.Rational(1, 2), sp.Symbol("E", positive=True)
    ends = [limit(UFM("a[2] * b[2]", loss=loss, ridge=lam))["a:b"][2] for loss in ("mse", "cross_entropy")]
    return Counterexample(
        name="large_ridge_leaves_nothing",
        statement="2 x 2 crossed, one-hot, lam = 1/2 > 1/m = 1/4: the formulas' values are negative, every stratum "
        "ends at zero; the pull 2/(m (E + 1)) on the square in width 2 is below the ridge for every E = "
        "exp(rho) > 0, so that there is no such fixed point.",
        theorem="one_hot_ridge_limit_is_the_etf",
        without="equal ridges below 1/m",
        also=(("the_square_of_two_pairs_is_a_minimum_in_width_two", "equal ridges, lam < 1/m"),),
        proof=(
            Cases(
                "m lam = 2",
                (
                    ("squared error", 1 - 4 * lam, "<", sp.S(0)),
                    ("cross-entropy", 4 / (4 * lam) - 4 + 1, "<", sp.S(0)),
                    ("limits", tuple(ends), "==", (sp.S(0), sp.S(0))),
                ),
            ),
            Positive("lam less the pull 2/(m (E + 1)) of the square", lam - 1 / (2 * (E + 1)), {E: POSITIVE}),
        ),
    )
