"""Stabilised methods: order conditions in exact arithmetic, stability on the stretch they state, stiff problems, switching."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from ufmflow.numerics.chebyshev import MOST_STAGES, ChebyshevSteps, chebyshev
from ufmflow.numerics.damped_products import damped_zeros, finish, growth, scheme_of
from ufmflow.numerics.rooted_trees import defects
from ufmflow.numerics.solve import solve
from ufmflow.numerics.stabilised import MOST_FACTORS, OVER, DampedSteps
from ufmflow.numerics.stops import Steady
from ufmflow.numerics.vectors import NumpyVectors
from ufmflow.theory.errors import InputError

KINDS = (DampedSteps, ChebyshevSteps)
N = 30
# The heat equation on N points: eigenvalues from about -10 to -4 (N + 1)^2.
HEAT = (N + 1) ** 2 * (np.diag(np.ones(N - 1), 1) + np.diag(np.ones(N - 1), -1) - 2 * np.eye(N))
RADIUS = float(np.abs(np.linalg.eigvalsh(HEAT)).max())
BUMP = np.exp(-((np.arange(N) - 10.0) ** 2) / 20)


def heat(t, y, out):
    np.dot(HEAT, y, out=out)


def steps_of(kind, rhs=heat, size=N, rtol=1e-6, atol=1e-9):
    return kind(rhs, NumpyVectors(size, np.float64), rtol, atol)


def butcher(scheme):
    """The scheme as the lower triangle of a tableau, its weights, and the weights of its estimate."""
    alphas = list(scheme.alphas)
    rows = [alphas[:i] for i in range(len(alphas) + 1)]
    rows += [alphas + list(row) for row in scheme.rows]
    rate_weights = [scheme.errors[0] * a for a in alphas]
    return rows, alphas + list(scheme.weights), rate_weights + list(scheme.errors[1:])


def has_order(rows, weights, order, theta=1):
    return all(x == 0 for n in range(1, order + 1) for x in defects(rows, weights, n, theta))


factors = st.lists(st.fractions(Fraction(1, 50), Fraction(1, 5), max_denominator=60), min_size=1, max_size=4)


@given(alphas=factors)
def test_every_product_of_euler_steps_is_finished_to_order_4_exactly(alphas):
    scheme = finish(alphas)
    rows, weights, estimate = butcher(scheme)
    assert has_order(rows, weights, 4)
    assert has_order(rows, estimate, 3, theta=0)
    assert not has_order(rows, estimate, 4, theta=0)
    moved = replace(scheme, weights=(scheme.weights[0] + Fraction(1, 10**9), *scheme.weights[1:]))
    assert not has_order(*butcher(moved)[:2], 1)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 40, 120, MOST_FACTORS])
def test_damped_schemes_are_stable_as_far_as_they_say(count):
    reach, scheme = scheme_of(count)
    zeros = np.sort(1 / np.array(scheme.alphas))
    x = np.linspace(0.0, reach, 5000)
    assert growth(zeros, x).max() <= 1.0
    assert growth(zeros, np.array([1.1 * reach])).max() > 1.0
    assert reach > 0.22 * (count + 4) ** 2
    # The polynomial of a step is the one designed: a step of the scheme multiplies by it.
    steps = steps_of(DampedSteps, lambda t, y, out: np.multiply(-x[::50], y, out=out), 100)
    steps.begin(0.0, np.ones(100))
    steps.radius = reach
    steps.attempt(0.0, 1.0)
    assert steps.stages == count + 4
    np.testing.assert_allclose(np.abs(steps.new_y), growth(zeros, x[::50]), atol=1e-6)


@pytest.mark.parametrize("stages", [2, 3, 7, 20, 90, MOST_STAGES])
def test_chebyshev_steps_are_stable_as_far_as_they_say(stages):
    reach = chebyshev(stages).reach
    assert 0.64 * (stages**2 - 1) < reach < 0.67 * (stages**2 - 1)
    x = np.linspace(0.0, reach, 2000)
    steps = steps_of(ChebyshevSteps, lambda t, y, out: np.multiply(-x, y, out=out), x.size)
    steps.begin(0.0, np.ones(x.size))
    steps.radius = reach
    steps.attempt(0.0, 1.0)
    assert steps.stages == stages
    assert np.abs(steps.new_y).max() <= 1.0
    # Beyond the first lobe it is damped; beyond the stretch it is not stable.
    assert np.abs(steps.new_y[(x > 0.2 * reach) & (x < 0.95 * reach)]).max() < 0.96
    steps.begin(0.0, np.ones(x.size))
    steps.attempt(0.0, 1.05)
    assert steps.stages == stages and np.abs(steps.new_y).max() > 1.0 or steps.stages > stages


def test_wrong_numbers_of_factors_are_refused():
    for count in (0, 251):
        with pytest.raises(InputError, match=f"factors: {count}"):
            scheme_of(count)
    assert np.all(np.diff(damped_zeros(8, 0.33 * 12**2)) > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_spectral_radius_is_found_from_below(kind):
    steps = steps_of(kind)
    steps.begin(0.0, BUMP)
    steps.longest(0.0)
    assert RADIUS < steps.radius <= OVER * RADIUS * (1 + 1e-6)
    first = steps.evaluations
    # Renewed from the last eigenvector, it takes few evaluations.
    for _ in range(25):
        steps.attempt(0.0, 1e-3)
        steps.accept()
    before = steps.evaluations
    steps.longest(0.0)
    assert steps.evaluations - before < first / 2


@pytest.mark.parametrize("method", ["rkc", "stabilised", "auto"])
def test_the_heat_equation_costs_far_fewer_evaluations_than_stability_would(method):
    times = np.array([0.01, 0.1, 1.0])
    found = solve(heat, BUMP, times, method=method, rtol=1e-4, atol=1e-6)
    exact = np.stack([expm(HEAT * t) @ BUMP for t in times])
    assert np.abs(np.stack(found.states) - exact).max() < 1e-3
    plain = solve(heat, BUMP, times, method="dp5", rtol=1e-4, atol=1e-6)
    assert found.evaluations < plain.evaluations / 4
    assert plain.evaluations > RADIUS  # some 2 h radius over a time of 1


def test_a_problem_that_is_not_stiff_is_left_to_the_pair():
    swing = lambda t, y, out: np.copyto(out, [y[1], -y[0]])
    auto = solve(swing, np.array([1.0, 0.0]), [20.0], method="auto", rtol=1e-7, atol=1e-9)
    plain = solve(swing, np.array([1.0, 0.0]), [20.0], method="dp5", rtol=1e-7, atol=1e-9)
    assert auto.evaluations == plain.evaluations and np.array_equal(auto.states[0], plain.states[0])


def test_stiffness_that_ends_gives_the_pair_back():
    """Stiff until t = 1, then an oscillation that wants short steps: both parts cost what their method costs alone."""

    def rhs(t, y, out):
        out[:2] = 10 * y[1], -10 * y[0]
        out[2:] = (-2e4 if t < 1 else -1.0) * y[2:]

    start = np.array([1e-3, 0.0, 1.0, 0.5])
    auto = solve(rhs, start, [1.0, 20.0], method="auto", rtol=1e-6, atol=1e-9)
    alone = solve(rhs, start, [1.0, 20.0], method="stabilised", rtol=1e-6, atol=1e-9)
    plain = solve(rhs, start, [1.0, 20.0], method="dp5", rtol=1e-6, atol=1e-9)
    assert auto.states[-1][:2] == pytest.approx(1e-3 * np.array([np.cos(200), -np.sin(200)]), abs=3e-6)
    assert auto.evaluations < 0.8 * alone.evaluations and auto.evaluations < 0.8 * plain.evaluations


@pytest.mark.parametrize("method", ["rkc", "stabilised", "auto"])
def test_a_nonlinear_stiff_problem_settles_on_its_steady_state(method):
    """u' = u'' + 5 u (1 - u) with u = 0 at the ends: Newton's method finds where it settles."""

    def rhs(t, y, out):
        np.dot(HEAT, y, out=out)
        out += 40 * y * (1 - y)

    found = solve(rhs, BUMP, [30.0], method=method, rtol=1e-7, atol=1e-9, stop=Steady(1e-5))
    u = np.ones(N)
    for _ in range(50):
        u -= np.linalg.solve(HEAT + np.diag(40 - 80 * u), HEAT @ u + 40 * u * (1 - u))
    assert u.max() > 0.5
    assert found.reason == "steady" and found.times[-1] < 20
    assert found.states[-1] == pytest.approx(u, abs=1e-5)
    assert found.evaluations < 4000


@pytest.mark.parametrize("kind", [DampedSteps, ChebyshevSteps])
def test_within_a_step_is_the_cubic_through_both_ends_and_their_rates(kind):
    """A rate that is a quadratic in t alone has a cubic for its solution, which the cubic of the step is then."""

    def quadratic(t, y, out):
        out[:] = 1.0 - 4.0 * t + 9.0 * t * t

    steps = steps_of(kind, quadratic, size=2)
    steps.begin(0.0, np.zeros(2))
    steps.attempt(0.0, 0.5)
    ends = [steps.at(theta).copy() for theta in (0.0, 1.0)]
    start, end, h = ends[0], ends[1], 0.5
    assert np.array_equal(start, np.zeros(2)) and end[0] > 0.1
    for theta in (0.25, 0.5, 0.8):
        t = theta * h
        # What the end is off by enters with the weight 3 theta^2 - 2 theta^3 of the end.
        off = (end - (h - 2 * h**2 + 3 * h**3)) * (3 * theta**2 - 2 * theta**3)
        np.testing.assert_allclose(steps.at(theta) - off, t - 2 * t**2 + 3 * t**3, rtol=0, atol=1e-12)
