"""The convex programme of the ridge's limit: its conditions to 28 digits, and against SciPy's bounded minimiser."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize

from ufmflow.proofs.strategies import rationals, structures, targets
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.ridge import shrunken_logits


def softmax_eigenvalues(labels: Attributes, z: dict) -> dict:
    """pi_A of softmax(sum_A z_A P_A), from the entries, in 40 digits."""
    with mpmath.workdps(40):
        weights = {T: mpmath.exp(mpmath.mpf(str(sp.N(x, 40)))) for T, x in labels.entries(z).items()}
        total = sum(int(T.valency) * weights[T.name] for T in labels.relations)
        return {
            A: sum(
                int(T.valency)
                * weights[T.name]
                / total
                * mpmath.mpf(labels.character(A, T.name).p)
                / labels.character(A, T.name).q
                for T in labels.relations
            )
            for A in labels.names[1:]
        }


def obeys_the_conditions(labels: Attributes, goal: dict, z: dict) -> bool:
    """pi = goal to 28 of 30 digits where z > 0, and pi >= goal where z = 0."""
    pi = softmax_eigenvalues(labels, z)
    with mpmath.workdps(40):
        gaps = {A: pi[A] - mpmath.mpf(str(sp.N(goal[A], 40))) for A in pi}
    tiny = mpmath.mpf(10) ** -28
    return all((abs(gap) < tiny if z[A] != 0 else gap > -tiny) for A, gap in gaps.items()) and min(z.values()) >= 0


@st.composite
def problems(draw) -> tuple[Attributes, dict]:
    labels = draw(structures(max_cardinality=18, max_factors=3))
    shrink = draw(rationals(0, 1, 9).filter(lambda x: 0 < x < 1)) / 2
    return labels, {A: x - shrink for A, x in draw(targets(labels, "cross_entropy")).items()}


@given(problems())
def test_the_point_obeys_the_conditions_of_the_minimum(problem):
    labels, goal = problem
    z = shrunken_logits(labels, goal)
    assert obeys_the_conditions(labels, goal, z)
    for A in labels.names[1:]:
        assert not obeys_the_conditions(labels, goal, z | {A: z[A] + sp.Rational(1, 10**6)})
    assert z["1"] == 0


@given(problems())
def test_scipy_finds_no_better_point(problem):
    """L-BFGS-B stops near 1e-8 of the gradient, which the least curvature of softmax turns into less than 1e-4 of z."""
    labels, goal = problem
    names, V = labels.names[1:], int(labels.cardinality)
    v = np.array([float(T.valency) for T in labels.relations])
    chi = np.array([[float(labels.character(A, T)) for T in labels.names] for A in names])
    weight = np.array([float(labels.multiplicities[A]) / V for A in names])
    aim = np.array([float(goal[A]) for A in names])

    def loss(z):
        logits = (weight * z) @ chi
        top = logits.max()
        partition = top + np.log(v @ np.exp(logits - top))
        pi = chi @ (v * np.exp(logits - partition))
        return partition - (weight * aim) @ z, weight * (pi - aim)

    best = minimize(loss, np.ones(len(names)), jac=True, bounds=[(0, None)] * len(names), tol=1e-15)
    z = np.array([float(x) for A, x in shrunken_logits(labels, goal).items() if A != "1"])
    assume(z.max(initial=0) < 15)  # beyond, the curvature is below rounding
    assert loss(z)[0] <= best.fun + 1e-12
    assert z == pytest.approx(best.x, abs=1e-3)
    assert loss(z + 0.01)[0] > best.fun


def test_numbers_have_thirty_digits():
    """A surviving interaction without one of its parts: the conditions hold as far as digits are given."""
    labels = Attributes("a[2] * b[3]")
    goal = {"a": sp.Rational(7, 20), "b": -sp.Rational(1, 20), "a:b": sp.Rational(3, 20)}
    z = shrunken_logits(labels, goal)
    assert z["a:b"].is_Float and z["b"] == 0
    assert not obeys_the_conditions(labels, goal, z | {"a": z["a"] * (1 + sp.Float(10, 30) ** -24)})


def test_the_border_without_closed_form_is_told():
    """z_a = 4 ln 2, z_ab = 4 ln 3 on 2 x 2 give softmax the weights 6, 1/6, 2/3, 3/2; b's goal is its pi at z_b = 0."""
    labels, weights = Attributes("a[2] * b[2]"), {"1": "3/2", "a": "2/3", "b": "1/6", "a:b": "6"}
    numbers = {T: sp.Rational(x) for T, x in weights.items()}
    goal = labels.eigenvalues({T: x / sum(numbers.values()) for T, x in numbers.items()})
    with pytest.raises(InputError, match="^limit: with this ridge a stratum lies on the border"):
        shrunken_logits(labels, goal)
    for more in (-sp.Rational(1, 10**12), sp.Rational(1, 10**12)):
        assert (shrunken_logits(labels, goal | {"b": goal["b"] + more})["b"] != 0) == (more > 0)
