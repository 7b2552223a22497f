"""Three crossed attributes of any sizes: the max-margin solution in closed form; steps at kappa1/kappa2 = 3/2, 2, 3."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..margins import basic_solution, margin_programme
from ..steps import NONNEGATIVE, SIZE, Interval, LinearProgramme, Step

STATEMENT = r"""Attributes $a, b, c$ crossed with sizes $n_1 \le n_2 \le n_3$, $\kappa_1$ on main effects, $\kappa_2$
on interactions, $\rho = \kappa_1/\kappa_2$. The max-margin solution is the ETF for $\rho \le 3/2$; uses all but
$a{:}b$ for $3/2 \le \rho \le 2$; main effects and $a{:}b{:}c$ for $2 \le \rho \le 3$; main effects alone for $\rho
\ge 3$. (Kernel on one side: steps of $k_1/k_2$ at $9/4$, $4$, $9$.) For equal sizes the step at 2 disappears."""
ALL = ("a", "b", "c", "a:b", "a:c", "b:c", "a:b:c")
PHASES = {  # rho from, to: strata in use, relations whose margins are tight with a price
    (sp.S(1), sp.Rational(3, 2)): (ALL, ("1", "a", "b", "c", "a:b", "a:c", "b:c")),
    (sp.Rational(3, 2), sp.S(2)): (("a", "b", "c", "a:c", "b:c", "a:b:c"), ("a", "b", "c", "a:b", "a:c", "b:c")),
    (sp.S(2), sp.S(3)): (("a", "b", "c", "a:b:c"), ("c", "a:b", "a:c", "b:c")),
    (sp.S(3), None): (("a", "b", "c"), ("a:b", "a:c", "b:c")),
}


def theorem() -> Theorem:
    return Theorem(
        name="three_crossed_attributes_persist_in_steps_at_3_2_2_and_3",
        statement=STATEMENT,
        setting=(
            "three crossed attributes",
            "the programme of one-hot labels",
            "one kernel kappa1 on main effects, one kappa2 on interactions",
        ),
        hypotheses=(),
        scope="all sizes 2 <= n1 <= n2 <= n3.  It is a statement on the programme; uniqueness is not part of it",
        claims=(10,),
        proof=tuple(step for bounds in PHASES for step in phase(bounds)),
        mutations={
            "the step at 2 moved to 9/4": phase((sp.S(2), sp.S(3)), low=sp.Rational(7, 4)),
            "the smallest pair survives": phase((sp.Rational(3, 2), sp.S(2)), swapped=True),
            "attributes alone from 2": phase((sp.S(3), None), low=sp.S(2)),
        },
    )


def phase(bounds: tuple, low: sp.Rational | None = None, swapped: bool = False) -> tuple[Step, ...]:
    """n1 = 2 + p, n2 = n1 + q, n3 = n2 + r with p, q, r >= 0 (p as n1 >= 2)."""
    strata, tight = PHASES[bounds]
    if swapped:
        strata = ("a", "b", "c", "a:b", "a:c", "a:b:c")
    attributes = Attributes("a[n1] * b[n2] * c[n3]")
    n1, n2, n3 = attributes.sizes.values()
    q, r, rho = sp.symbols("q r rho", positive=True)
    programme = margin_programme(attributes, {A: rho if ":" in A else sp.S(1) for A in ALL})
    columns = [programme.strata.index(A) for A in strata]
    rows = [programme.relations.index(T) for T in tight]
    primal, dual = basic_solution(programme, columns, rows)
    ordered = {n2: n1 + q, n3: n1 + q + r}
    data = [tuple(x.subs(ordered, simultaneous=True) for x in part) for part in (programme.cost, primal, dual)]
    matrix = tuple(tuple(x.subs(ordered, simultaneous=True) for x in row) for row in programme.rows)
    domain = {n1: SIZE, q: NONNEGATIVE, r: NONNEGATIVE, rho: Interval(bounds[0] if low is None else low, bounds[1])}
    name = f"rho from {domain[rho].low} to {bounds[1] or 'infinity'}"
    return (LinearProgramme(name, data[0], matrix, programme.bounds, data[1], data[2], domain),)
