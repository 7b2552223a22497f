"""A ridge of 9/10 of the pull at zero: at rho = 3/2 splitting a block does not lower the loss."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Interval, Positive
from ._instances import second_variation
from .labels_of_blocks_alone_keep_the_blocks import split


def counterexample() -> Counterexample:
    """Three blocks of two, one-hot, rho = 3/2, m lam = 9/10; and at the fixed point, m lam = 3/(e^rho + 2)."""
    bent = second_variation(*split(sp.Rational(3, 2)), sp.eye(6), sp.Rational(9, 10))
    E, rho = sp.symbols("E rho", positive=True)
    at_rest = 3 / (E + 2) - 1 + rho / (E + 2)
    extra = sp.Symbol("extra", positive=True)  # E = 1 + rho + extra
    above = Interval(sp.S(0), open=True)
    return Counterexample(
        name="a_ridge_near_the_pull_holds_the_blocks",
        statement="Three blocks of two labels, one-hot, rho = 3/2, m lam = 9/10: the second variation along a split is "
        "positive.  This point is not at rest: where m lam = 3/(exp(rho) + 2), as the fixed point has it, m lam - 1 + "
        "rho/(exp(rho) + 2) < 0 for every rho > 0, so that there no bound on the ridge is needed.",
        theorem="coarse_strata_alone_are_saddles_of_cross_entropy",
        without="a ridge of at most 1/(2 m)",
        proof=(
            Enclosure("second variation", bent, sp.S(0), None),
            Positive("at rest, with e^rho > 1 + rho", -at_rest.subs(E, 1 + rho + extra), {rho: above, extra: above}),
        ),
    )
