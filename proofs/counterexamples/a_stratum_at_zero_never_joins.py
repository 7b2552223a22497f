"""Without ridge as well a stratum at w = h = 0 stays there: it has no margin, no exponent and no step."""

import sympy as sp

from ..checker import Counterexample
from ..margins import basic_solution, margin_programme
from ..steps import Cases, Enclosure, Identity, LinearProgramme
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2, one-hot cross-entropy, free: a:b at zero; and all strata at zero."""
    some = Instance("a[2] * b[2]", alike(("a", "b"), 1))
    none = Instance("a[2] * b[2]", {})
    zero = [
        Identity(f"d{x}/dt", some.value(some.flow.rates[x]), sp.S(0)) for x in (some.flow.w["a:b"], some.flow.h["a:b"])
    ]
    nothing = [Identity(f"all at zero: d{x}/dt", none.value(rate), sp.S(0)) for x, rate in none.flow.rates.items()]
    data = margin_programme(some.model.attributes, dict.fromkeys(PAIR, sp.S(1)))
    primal, dual = basic_solution(data, (0, 1, 2), (0, 1, 2))
    return Counterexample(
        name="a_stratum_at_zero_never_joins",
        statement="2 x 2 one-hot cross-entropy, free, no ridge, equal kernels, balanced: from w = h = 1 on a and b "
        "and 0 on a:b the latter stays 0 though its pull is positive, while the programme's only solution "
        "has z = 1 on it; orthogonalised steps do not move it either (sgn 0 = 0).  From zero on all "
        "strata nothing moves.",
        theorem="positive_starts_reach_the_largest_margin",
        without="w, h > 0 on the support of a solution of the programme at the start",
        also=(
            ("the_flow_converges_to_the_max_margin_direction", "positive start"),
            ("strata_grow_as_powers_of_ln_t_that_the_dual_sets", "positive start"),
            ("cross_entropy_one_stratum_is_implicit_in_Ei", "positive start"),
            ("orthogonalised_steps_move_every_stratum_alike", "no stratum at g h = 0"),
        ),
        proof=(
            *zero,
            LinearProgramme("the programme", data.cost, data.rows, data.bounds, primal, dual, unique=True),
            Cases("its solution", (("z", tuple(primal), "==", (sp.S(1),) * 3),)),
            Enclosure("the pull on a:b", some.pull("a:b"), sp.S(0), None),
            Cases("its step", (("sgn(g h), g > 0", sp.sign(some.point[some.flow.h["a:b"]]), "==", sp.S(0)),)),
            *nothing,
        ),
    )
