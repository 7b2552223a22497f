"""Beyond the ridge's limit the pull of the regularised loss is negative, and orthogonalised steps shrink everything."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2 one-hot cross-entropy, equal kernels, w = h = 2, ridge 1/10: g h - lam w < 0."""
    x = Instance("a[2] * b[2]", alike(PAIR, 2), ridge=sp.Rational(1, 10))
    return Counterexample(
        name="ridge_turns_orthogonalised_steps_back",
        statement="2 x 2 one-hot cross-entropy, equal kernels, w = h = 2 on all strata but the mean, ridge 1/10: "
        "the pull g h - lam w is negative on all of them, so that steps have the sign - and u falls, in "
        "the place of u0 + t.",
        theorem="muon_keeps_the_shares_of_the_kernel",
        without="no ridge",
        proof=tuple(Enclosure(f"pull on {A}", x.rates(A)[0], None, sp.S(0)) for A in PAIR),
    )
