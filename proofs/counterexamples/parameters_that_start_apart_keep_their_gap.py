"""Orthogonalised steps from u = 1 and u = 2: shares are not the kernel's while the gap counts."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """Two strata, s and rho s with rho = 1/2, that start at u = 1 and 2: z = (1 + t)^2 and (2 + t)^2 / 2."""
    rho, t = sp.Rational(1, 2), sp.S(8)
    faster, slower = (1 + t) ** 2, rho * (2 + t) ** 2
    return Counterexample(
        name="parameters_that_start_apart_keep_their_gap",
        statement="Two strata with kernels in the ratio 1/2 from u = 1 on the larger and 2 on the smaller: at t = 8 "
        "orthogonalised steps have z in the ratio 50/81, not 1/2.",
        theorem="muon_keeps_the_shares_of_the_kernel",
        without="parameters that start alike on all strata",
        also=(("muon_shows_interactions_that_sgd_still_hides", "parameters that start alike on all strata"),),
        proof=(
            Cases(
                "ratio", (("z", slower / faster, "==", sp.Rational(50, 81)), ("not rho", slower / faster, "!=", rho))
            ),
        ),
    )
