"""Crossed attributes of one size: the max-margin solution in closed form, with steps at kappa1/kappa2 = K/j."""

from functools import cache

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..margins import MarginProgramme, basic_solution, by_order, margin_programme
from ..steps import SIZE, Interval, LinearProgramme, Step

STATEMENT = r"""$K$ crossed attributes of size $n$, $\kappa_1$ on main effects, $\kappa_2$ on interactions, $\rho =
\kappa_1/\kappa_2 \ge 1$. For $\rho$ between $K/r$ and $K/(r-1)$ (beyond $K$ for $r = 1$), the max-margin solution has
equal margins at one to $r$ differences, and uses main effects and the $r - 1$ highest orders of interactions alone:
from the ETF ($r = K$, $\rho \le K/(K-1)$) to attributes alone ($r = 1$, $\rho \ge K$); $z_1 = n^{K-r}$. Between the
steps it is the only solution, up to averaging over exchanges of attributes."""

LEAST_SIZE = {2: 2, 3: 2, 4: 2, 5: 3, 6: 4}  # of n, for each K: below, other strata come into use


def theorem() -> Theorem:
    return Theorem(
        name="equal_sizes_persist_in_steps_at_K_over_j",
        statement=STATEMENT,
        setting=(
            "crossed",
            "the programme of one-hot labels",
            "one kernel kappa1 on main effects, one kappa2 on interactions",
        ),
        hypotheses=("equal sizes", "n >= 3 for K = 5, n >= 4 for K = 6"),
        scope="K = 2, 3, 4: all n >= 2; K = 5: n >= 3; K = 6: n >= 4 (false for n = 2 and K = 5).  On the programme",
        claims=(10,),
        rests_on=("a convex programme that exchanges of attributes leave alone has an optimum that they leave alone",),
        proof=tuple(step for K, least in LEAST_SIZE.items() for step in phases(K, Interval(sp.S(least)))),
        mutations={
            "a phase beyond its step": phase_steps(3, SIZE, 2, low=sp.Rational(5, 4)),
            "K = 5 for n = 2 too": phases(5, SIZE),
            "the lowest interactions survive": phase_steps(4, SIZE, 2, support=(0, 1)),
        },
    )


def phases(K: int, size: Interval) -> tuple[Step, ...]:
    return tuple(step for r in range(1, K + 1) for step in phase_steps(K, size, r))


def phase_steps(
    K: int, size: Interval, r: int, low: sp.Rational | None = None, support: tuple[int, ...] | None = None
) -> tuple[Step, ...]:
    programme, n, rho = merged(K)
    columns = (0, *range(K - r + 1, K)) if support is None else support
    primal, dual = basic_solution(programme, columns, range(r))
    below = (sp.Rational(K, r) if r < K else sp.S(1)) if low is None else low
    above = sp.Rational(K, r - 1) if r > 1 else None
    closed, inside = Interval(below, above), Interval(below, above, open=True)
    z, y, data = tuple(primal), tuple(dual), (programme.cost, programme.rows, programme.bounds)
    return (
        LinearProgramme(f"K = {K}, phase {r}, with its ends", *data, z, y, {n: size, rho: closed}),
        LinearProgramme(f"K = {K}, phase {r}, unique within", *data, z, y, {n: size, rho: inside}, unique=True),
    )


@cache
def merged(K: int) -> tuple[MarginProgramme, sp.Symbol, sp.Symbol]:
    """The programme in one z for each order of interaction; rho = kappa1 / kappa2, kappa1 = 1."""
    rho = sp.Symbol("rho", positive=True)
    attributes = Attributes(" * ".join(f"{'abcdef'[i]}[n]" for i in range(K)))
    cost = {A: rho if ":" in A else sp.S(1) for A in attributes.names[1:]}
    return by_order(margin_programme(attributes, cost)), attributes.sizes["a"], rho
