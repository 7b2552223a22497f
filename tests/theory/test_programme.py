"""The exact linear programme: a feasible point with a dual of the same value is optimal, whatever found it."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from ufmflow.proofs.strategies import rationals
from ufmflow.theory.programme import minimise

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


@st.composite
def programmes(draw):
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    number = rationals(-2, 3, 3)
    rows = draw(st.lists(st.lists(number, min_size=n, max_size=n), min_size=k, max_size=k))
    return draw(st.lists(rationals(0, 3, 3), min_size=n, max_size=n)), rows, [draw(number) for _ in range(k)]


@given(programmes())
def test_random_programmes_are_solved_or_infeasible(programme):
    z = minimise(*programme)
    if z is not None:
        assert is_optimal(*programme, z)
    else:
        cost, rows, bounds = (np.array(part, dtype=float) for part in programme)
        assert linprog(cost, A_ub=-rows, b_ub=-bounds, bounds=(0, None)).status == 2  # infeasible


@pytest.mark.parametrize("order", [1, -1])
def test_a_degenerate_programme_is_solved(order):
    programme = [sp.Integer(1)] * 7, [row[::order] for row in SIGNS], [sp.Integer(1)] * 7
    assert minimise(*programme) == [1] * 7
    assert is_optimal(*programme, [sp.Integer(1)] * 7)
    # Cheaper but infeasible, and feasible but dearer.
    assert not is_optimal(*programme, [sp.Integer(x) for x in (0, 0, 2, 0, 2, 0, 2)])
    assert not is_optimal(*programme, [sp.Rational(11, 10)] * 7)


def test_no_feasible_point_is_told():
    assert minimise([sp.Integer(1)], [[sp.Integer(-1)]], [sp.Integer(1)]) is None
    assert minimise([sp.Integer(1)], [[sp.Integer(1)]], [sp.Integer(-1)]) == [0]
