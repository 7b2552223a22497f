"""The exact linear programme: a feasible point with a dual of the same value is optimal, whatever found it."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from ufmflow.proofs.strategies import rationals
from ufmflow.theory.programme import THETA, along_ray, minimise

# The all-ones point is the only optimum of this degenerate programme: margins of eight labels with binary attributes.
SIGNS = [[sp.Integer(bin(A & S).count("1") % 2) / 4 for A in range(1, 8)] for S in range(1, 8)]


def is_optimal(cost: list, rows: list, bounds: list, z: list) -> bool:
    """Feasible exactly, and as cheap as SciPy's optimum; HiGHS keeps constraints to 1e-7, hence the cost to 1e-6."""
    feasible = min(z) >= 0 and all(
        sum(a * x for a, x in zip(row, z, strict=True)) >= bound for row, bound in zip(rows, bounds, strict=True)
    )
    A, b, c = (np.array(x, dtype=float) for x in (rows, bounds, cost))
    best = linprog(c, A_ub=-A, b_ub=-b, bounds=(0, None))
    return feasible and best.success and abs(c @ np.array(z, dtype=float) - best.fun) <= 1e-6 * max(1, abs(best.fun))


def is_dual(cost: list, rows: list, bounds: list, found) -> bool:
    """The certificate, exactly: y >= 0, A' y <= c, b y = c z."""
    paid = [sum(y * row[j] for y, row in zip(found.dual, rows, strict=True)) for j in range(len(cost))]
    values = [sum(x * y for x, y in zip(*pair, strict=True)) for pair in ((bounds, found.dual), (cost, found.primal))]
    return min(found.dual) >= 0 and all(p <= c for p, c in zip(paid, cost, strict=True)) and values[0] == values[1]


@st.composite
def programmes(draw):
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    number = rationals(-2, 3, 3)
    rows = draw(st.lists(st.lists(number, min_size=n, max_size=n), min_size=k, max_size=k))
    return draw(st.lists(rationals(0, 3, 3), min_size=n, max_size=n)), rows, [draw(number) for _ in range(k)]


@given(programmes())
def test_random_programmes_are_solved_or_infeasible(programme):
    found = minimise(*programme)
    if found is not None:
        assert is_optimal(*programme, found.primal)
        assert is_dual(*programme, found)
    else:
        cost, rows, bounds = (np.array(part, dtype=float) for part in programme)
        assert linprog(cost, A_ub=-rows, b_ub=-bounds, bounds=(0, None)).status == 2  # infeasible


@pytest.mark.parametrize("order", [1, -1])
def test_a_degenerate_programme_is_solved(order):
    programme = [sp.Integer(1)] * 7, [row[::order] for row in SIGNS], [sp.Integer(1)] * 7
    assert minimise(*programme).primal == (1,) * 7 and minimise(*programme).unique
    assert is_optimal(*programme, [sp.Integer(1)] * 7)
    # Cheaper but infeasible, and feasible but dearer.
    assert not is_optimal(*programme, [sp.Integer(x) for x in (0, 0, 2, 0, 2, 0, 2)])
    assert not is_optimal(*programme, [sp.Rational(11, 10)] * 7)


def test_no_feasible_point_is_told():
    assert minimise([sp.Integer(1)], [[sp.Integer(-1)]], [sp.Integer(1)]) is None
    assert minimise([sp.Integer(1)], [[sp.Integer(1)]], [sp.Integer(-1)]).primal == (0,)


def test_a_wrong_dual_is_noticed():
    one = sp.Integer(1)
    programme = [one, one], [[2 * one, one], [one, 3 * one]], [one, one]
    found = minimise(*programme)
    assert is_dual(*programme, found)
    assert not is_dual(*programme, replace(found, dual=found.dual[::-1]))


def test_other_optima_are_told():
    """x + y >= 1 at equal costs: every mixture; at unequal costs one corner, also where a slack variable is free."""
    one = sp.Integer(1)
    assert not minimise([one, one], [[one, one]], [one]).unique
    assert minimise([one, 2 * one], [[one, one]], [one]).unique
    assert minimise([one, one], [[one, one], [one, -one], [-one, one]], [one, 0 * one, 0 * one]).unique  # degenerate
    assert not minimise([0 * one, one], [[one, one]], [one]).unique  # unbounded above at no cost


@given(programmes())
def test_irrational_costs_choose_as_close_rational_ones_do(programme):
    """Costs in sqrt(2) and sqrt(3): a vertex at least as cheap, to 30 digits, as that of costs rounded to 40 digits."""
    cost, rows, bounds = programme
    irrational = [sp.sqrt(2) * c if i % 2 else sp.sqrt(3) * c for i, c in enumerate(cost)]
    rounded = [sp.Rational(str(sp.N(c, 40))) for c in irrational]
    found, other = minimise(irrational, rows, bounds), minimise(rounded, rows, bounds)
    assert (found is None) == (other is None)
    if found is not None:
        spent = [sum(c * z for c, z in zip(irrational, x.primal, strict=True)) for x in (found, other)]
        assert abs(sp.N(spent[0] - spent[1], 40)) < 1e-30
        paid = sum(b * y for b, y in zip(bounds, found.dual, strict=True))
        assert sp.expand(paid - spent[0]) == 0


@given(programmes(), st.data())
def test_along_a_ray_every_theta_is_solved(programme, data):
    cost, rows, bounds = programme
    slope = [data.draw(rationals(0, 3, 3)) for _ in cost]
    pieces = along_ray(cost, slope, rows, bounds)
    assert (pieces is None) == (minimise(cost, rows, bounds) is None)
    for piece in pieces or []:
        inside = piece.low + 1 if piece.high is None else (piece.low + piece.high) / 2
        for theta in (inside, piece.low, piece.high):
            if theta:
                costs = [c + theta * s for c, s in zip(cost, slope, strict=True)]
                dual = [sp.sympify(y).subs(THETA, theta) for y in piece.optimum.dual]
                assert is_dual(costs, rows, bounds, replace(piece.optimum, dual=tuple(dual)))
        costs = [c + inside * s for c, s in zip(cost, slope, strict=True)]
        assert piece.optimum.unique == minimise(costs, rows, bounds).unique
    for first, second in zip(pieces or [], (pieces or [])[1:]):
        assert first.high == second.low and first.low < first.high


def test_beyond_its_end_a_piece_is_no_optimum():
    one, no = sp.Integer(1), sp.Integer(0)
    first, second = along_ray([one, no], [no, one], [[one, 2 * one]], [one])
    costs = [one, sp.Integer(3)]
    assert first.high == 2 < 3
    assert minimise(costs, [[one, 2 * one]], [one]).primal == second.optimum.primal != first.optimum.primal
