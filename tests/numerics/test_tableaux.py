"""Tableaux fulfil every order condition, of the step, its error estimates and its dense output, and no more."""

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from ufmflow.numerics.rooted_trees import defects, density, elementary_weights, size, trees
from ufmflow.numerics.tableau_order8 import DOP853
from ufmflow.numerics.tableaux import DORMAND_PRINCE_5
from ufmflow.theory.errors import InputError

PAIRS = (DORMAND_PRINCE_5, DOP853)
# Published rational coefficients hold exactly, those published to 30 digits to what these leave.
HELD = {"dp5": Decimal(0), "dop853": Decimal("1e-20")}


@pytest.fixture(autouse=True)
def digits():
    with localcontext() as context:
        context.prec = 60
        yield


def number(x):
    return Decimal(x.numerator) / Decimal(x.denominator)


def arithmetic(tableau):
    """Exact for rational coefficients, in 60 digits for those that have 30."""
    return (lambda x: x) if tableau.name == "dp5" else number


def largest(tableau, weights, vertices, theta=1):
    kind = arithmetic(tableau)
    rows = [[kind(a) for a in row] for row in tableau.rows]
    found = defects(rows, [kind(Fraction(b)) for b in weights], vertices, kind(Fraction(theta)))
    return max(abs(number(x) if isinstance(x, Fraction) else x) for x in found)


def holds(tableau, weights, order, theta=1):
    return all(largest(tableau, weights, n, theta) <= HELD[tableau.name] for n in range(1, order + 1))


def dense_weights(tableau, theta):
    return [sum((c * theta ** (i + 1) for i, c in enumerate(p)), Fraction(0)) for p in tableau.dense]


def test_trees_are_counted_and_weighted_as_butcher_has_them():
    assert [len(set(trees(n))) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]
    assert all(size(tree) == n for n in range(1, 9) for tree in trees(n))
    # Labelled increasing trees of n vertices: (n - 1)! in all, n! / (gamma sigma) of each shape.
    bushy, tall = ((), (), ()), ((((),),),)
    assert (density(bushy), density(tall)) == (4, 24)
    # Phi of the tall tree is a^3 applied to ones: on the fourth stage of a chain a_43 a_32 a_21.
    rows = [[], [Fraction(1, 2)], [0, Fraction(1, 3)], [0, 0, Fraction(1, 5)]]
    assert elementary_weights(rows, tall) == [0, 0, 0, Fraction(1, 30)]


@pytest.mark.parametrize("tableau", PAIRS, ids=lambda t: t.name)
def test_steps_have_their_order_and_no_more(tableau):
    assert holds(tableau, tableau.weights, tableau.order)
    assert largest(tableau, tableau.weights, tableau.order + 1) > Decimal("1e-6")


@pytest.mark.parametrize("tableau", PAIRS, ids=lambda t: t.name)
def test_a_changed_coefficient_is_seen_by_the_conditions(tableau):
    shift = Fraction(1, 10**15)
    row = tableau.rows[3]
    moved = replace(tableau, rows=(*tableau.rows[:3], (row[0] + shift, row[1], row[2] - shift), *tableau.rows[4:]))
    assert not holds(moved, moved.weights, moved.order)


@pytest.mark.parametrize("tableau", PAIRS, ids=lambda t: t.name)
def test_dense_output_has_its_order_and_no_more(tableau):
    for theta in (Fraction(1, 7), Fraction(1, 2), Fraction(9, 10)):
        assert holds(tableau, dense_weights(tableau, theta), tableau.dense_order, theta)
        assert largest(tableau, dense_weights(tableau, theta), tableau.dense_order + 1, theta) > Decimal("1e-9")
    # Its floats are the same polynomials, and its slope at the ends is the rate there.
    exact = [float(b) for b in dense_weights(tableau, Fraction(3, 10))]
    assert tableau.dense_weights(0.3) == pytest.approx(exact, abs=1e-13)
    slopes = [(p[0], sum((i + 1) * c for i, c in enumerate(p))) if p else (0, 0) for p in tableau.dense]
    for i, (at_start, at_end) in enumerate(slopes):
        assert abs(at_start - (i == 0)) <= tableau.tolerance
        assert abs(at_end - (i == tableau.last)) <= tableau.tolerance


@pytest.mark.parametrize(("tableau", "orders"), [(DORMAND_PRINCE_5, (4,)), (DOP853, (5, 3))])
def test_error_estimates_vanish_to_their_order_and_no_further(tableau, orders):
    for weights, order in zip(tableau.errors, orders, strict=True):
        assert holds(tableau, weights, order, theta=0)
        assert largest(tableau, weights, order + 1, theta=0) > Decimal("1e-6")


def test_stages_share_buffers_without_losing_any_that_is_needed():
    """Eight vectors of the state's size for the order-5 pair: two states and six rates."""
    for tableau, rates in ((DORMAND_PRINCE_5, 6), (DOP853, 12)):
        slots = tableau.slots()
        assert max(slots) + 1 == rates
        held: dict[int, int] = {}
        for i in range(len(slots)):
            needed = [j for j, a in enumerate(tableau.rows[i]) if a]
            assert all(held[slots[j]] == j for j in needed)
            held[slots[i]] = i
            if i == tableau.last:
                assert all(held[slots[j]] == j for weights in tableau.errors for j, e in enumerate(weights) if e)
        assert all(held[slots[j]] == j for j, p in enumerate(tableau.dense) if p)
        assert held[slots[0]] == 0 and held[slots[tableau.last]] == tableau.last


@pytest.mark.parametrize("tableau", PAIRS, ids=lambda t: t.name)
def test_the_limit_of_stability_is_the_one_stated(tableau):
    """R(z) = 1 + z sum b (I - z a)^-1 1 on the negative real axis, in floats."""

    def growth(z):
        rates = []
        for row in tableau.rows[: tableau.last]:
            rates.append(1 + z * sum(float(a) * k for a, k in zip(row, rates, strict=True)))
        return abs(1 + z * sum(float(b) * k for b, k in zip(tableau.weights, rates, strict=True)))

    within = [growth(-tableau.stability * i / 200) for i in range(1, 200)]
    assert max(within) <= 1.0
    assert growth(-1.05 * tableau.stability) > 1.0


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("rows", lambda t: (*t.rows[:2], (t.rows[2][0] * 2, t.rows[2][1]), *t.rows[3:]), "row 2"),
        ("nodes", lambda t: t.nodes[:-1], "one entry a stage"),
        ("last", lambda t: 4, "end of the step"),
        ("errors", lambda t: ((Fraction(1), *t.errors[0][1:]),), "sum to 0"),
        ("dense", lambda t: (*t.dense[:-1], (Fraction(1),)), "dense output"),
    ],
)
def test_wrong_tableaux_are_refused(field, value, why):
    with pytest.raises(InputError, match=why):
        replace(DORMAND_PRINCE_5, **{field: value(DORMAND_PRINCE_5)})
