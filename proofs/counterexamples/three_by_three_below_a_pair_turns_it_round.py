"""3 x 3 labels below two values: what the solution below spends is more than there is, so z above would be < 0."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..margins import basic_solution, margin_programme
from ..steps import Cases, LinearProgramme


def counterexample() -> Counterexample:
    """a[2] / (b[3] * c[3]), costs 1 above, 3/2 and 7/2 below; less C/V_X = 1/2: 1 on b and c, 3 on b:c."""
    below = Attributes("b[3] * c[3]")
    data = margin_programme(below, {"b": sp.S(1), "c": sp.S(1), "b:c": sp.S(3)})
    active = [data.relations.index(T) for T in ("b", "c")]
    primal, dual = basic_solution(data, (0, 1), active)
    S = sum(below.multiplicities[A] * z for A, z in zip(data.strata, primal, strict=True))
    return Counterexample(
        name="three_by_three_below_a_pair_turns_it_round",
        statement="a[2] / (b[3] * c[3]) with costs 1 on a, 3/2 on a:b and a:c, 7/2 on a:b:c: below, at the costs 1, "
        "1, 3, the only solution is z = 3, 3, 0 with S = 12 > V_Y = 9, so that (V_Y - S) z_a = -3 is not "
        "feasible.",
        theorem="nesting_shifts_the_costs_below_by_the_value_above",
        without="S <= V_Y",
        proof=(
            LinearProgramme("below", data.cost, data.rows, data.bounds, primal, dual, unique=True),
            Cases("S", (("value", S, "==", sp.S(12)), ("V_Y - S", below.cardinality - S, "<", sp.S(0)))),
        ),
    )
