"""K = 5 attributes of size 2: a step of persistence at kappa1/kappa2 = 2, which is no K/j (a corrected claim)."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..margins import basic_solution, by_order, margin_programme
from ..steps import Cases, LinearProgramme


def counterexample() -> Counterexample:
    """Between 5/3 and 5/2: orders 1, 3, 4 in use at 9/5, orders 1 and 4 at 11/5, each the only solution."""
    steps, solutions = [], []
    for rho, support in ((sp.Rational(9, 5), (0, 2, 3)), (sp.Rational(11, 5), (0, 3))):
        attributes = Attributes("a[2] * b[2] * c[2] * d[2] * e[2]")
        cost = {A: rho if ":" in A else sp.S(1) for A in attributes.names[1:]}
        programme = by_order(margin_programme(attributes, cost))
        primal, dual = basic_solution(programme, support, TIGHT[support])
        steps.append(
            LinearProgramme(f"rho = {rho}", programme.cost, programme.rows, programme.bounds, primal, dual, unique=True)
        )
        solutions.append(tuple(primal))
    return Counterexample(
        name="five_crossed_pairs_have_a_further_step_at_2",
        statement="K = 5, n = 2: z by order is (8/3, 0, 4/3, 4/3, 0) at kappa1/kappa2 = 9/5 and (16/3, 0, 0, 8/3, "
        "0) at 11/5, both between the steps 5/3 and 5/2.  So for small n the steps are more than K/j, and other "
        "orders are in use.",
        theorem="equal_sizes_persist_in_steps_at_K_over_j",
        without="n >= 3 for K = 5, n >= 4 for K = 6",
        proof=(*steps, Cases("different solutions", (("9/5 and 11/5", solutions[0], "!=", solutions[1]),))),
    )


TIGHT = {(0, 2, 3): (0, 1, 2), (0, 3): (0, 1)}  # rows by number of differences, less one
