"""Attributes of sizes 2, 3, 4: below kappa1/kappa2 = 2 the limit is not that of equal sizes."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..margins import basic_solution, margin_programme
from ..steps import Cases, LinearProgramme

USED = ("a", "b", "c", "a:c", "b:c", "a:b:c")
TIGHT = ("a", "b", "c", "a:b", "a:c", "b:c")


def counterexample() -> Counterexample:
    """rho = 7/4, between K/3 and K/1 with K = 3: pairs are in use, which equal sizes have lost at 3/2."""
    attributes = Attributes("a[2] * b[3] * c[4]")
    rho = sp.Rational(7, 4)
    data = margin_programme(attributes, {A: rho if ":" in A else sp.S(1) for A in attributes.names[1:]})
    rows = [data.relations.index(T) for T in TIGHT]
    primal, dual = basic_solution(data, [data.strata.index(A) for A in USED], rows)
    z = dict(zip(data.strata, primal, strict=True))
    return Counterexample(
        name="unequal_sizes_have_a_step_at_2",
        statement="2 x 3 x 4 at kappa1/kappa2 = 7/4: the only solution has z > 0 on a:c and b:c, where equal sizes use "
        "main effects and the threefold interaction alone between 3/2 and 3.",
        theorem="equal_sizes_persist_in_steps_at_K_over_j",
        without="equal sizes",
        proof=(
            LinearProgramme("rho = 7/4", data.cost, data.rows, data.bounds, primal, dual, unique=True),
            Cases("pairs in use", tuple((A, z[A], ">", sp.S(0)) for A in ("a:c", "b:c"))),
        ),
    )
