"""Integration to given times against exact solutions, within the tolerance asked for; failures say when."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import DOP853, LSODA
from scipy.linalg import expm

from ufmflow.numerics.integrate import IntegrationError, check_tolerances, integrate, output_times
from ufmflow.theory.errors import InputError

from .explicit import normal, seeds

METHODS = (LSODA, DOP853)
TIMES = np.array([0.0, 0.01, 0.3, 1.0, 2.0])


def solves(y: np.ndarray, A: np.ndarray, start: np.ndarray, rtol: float) -> bool:
    """Whether y is exp(A t) start to `rtol` of the largest value on the way.

    Steps are held to rtol/1000 and rtol/10000, so that errors may grow by the problem's own e^(2 |A|) = e^4 = 55.
    """
    exact = np.stack([expm(A * t) @ start for t in TIMES], axis=1)
    return np.abs(y - exact).max() <= rtol * np.abs(exact).max()


@pytest.mark.parametrize("method", METHODS)
@given(seed=seeds, exponent=st.integers(4, 9))
def test_linear_problems_are_solved_to_the_tolerance(method, seed, exponent):
    A, start, rtol = normal(seed, 4, 4), normal(seed + 1, 4), 10.0**-exponent
    A *= 2 / np.linalg.norm(A, 2)
    y = integrate(method, lambda y: A @ y, start, TIMES, rtol, rtol * 1e-3, (lambda y: A) if method is LSODA else None)
    assert y.shape == (4, 5) and np.array_equal(y[:, 0], start)
    assert solves(y, A, start, rtol)
    assert not solves(y, A + 1e-2 * np.eye(4), start, rtol)


@pytest.mark.parametrize("method", METHODS)
def test_output_times_do_not_change_the_solution(method):
    def rhs(y):
        return np.array([y[1], -np.sin(y[0])])

    start, many = np.array([1.0, 0.5]), np.linspace(0, 20, 301)
    y = integrate(method, rhs, start, many, 1e-9, 1e-12)
    few = integrate(method, rhs, start, many[[0, 7, 300]], 1e-9, 1e-12)
    np.testing.assert_array_equal(few, y[:, [0, 7, 300]])  # steps are the same; outputs are interpolated
    # Between steps, too, energy is conserved to the tolerance.
    energy = y[1] ** 2 / 2 - np.cos(y[0])
    assert np.ptp(energy) < 1e-9 < np.ptp(y[1] ** 2 / 2 + np.cos(y[0]))


def test_the_start_alone_needs_no_integration():
    start = np.array([2.0, -1.0])
    y = integrate(LSODA, lambda y: y * np.nan, start, np.array([0.0]), 1e-6, 1e-9)
    assert y.tolist() == [[2.0], [-1.0]]


@pytest.mark.parametrize("method", METHODS)
def test_a_failed_integration_says_when(method):
    when = r"^integration stopped at t = (0\.99|1)[\d.]* of 3: "
    with pytest.raises(IntegrationError, match=when), np.errstate(all="ignore"):
        integrate(method, lambda y: y**2, np.array([1.0]), np.array([0.0, 3.0]), 1e-8, 1e-12)  # 1 / (1 - t)
    short = integrate(method, lambda y: y**2, np.array([1.0]), np.array([0.5]), 1e-8, 1e-12)
    assert short[0, 0] == pytest.approx(2, rel=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_a_flow_that_is_not_finite_at_the_start_is_reported(method):
    with pytest.raises(IntegrationError, match="^integration stopped at t = 0 of 1: the flow is not finite"):
        integrate(method, lambda y: y * np.nan, np.ones(2), np.array([1.0]), 1e-6, 1e-9)


def test_progress_rises_to_the_end():
    seen = []
    integrate(LSODA, lambda y: -y, np.ones(1), np.array([0.0, 5.0]), 1e-6, 1e-9, progress=lambda *at: seen.append(at))
    times = [t for t, _ in seen]
    assert times == sorted(times) and times[-1] >= 5.0 and {end for _, end in seen} == {5.0} and len(times) > 3


def test_an_end_time_becomes_log_spaced_times():
    times = output_times(1e3)
    assert len(times) == 201 and times[0] == 0 and times[-1] == pytest.approx(1e3, rel=1e-14)
    ratios = times[2:] / times[1:-1]
    assert np.ptp(ratios) < 1e-12 and ratios[0] > 1  # exp and log of numbers up to 12, to a few eps
    assert output_times([0, 2, 5]).tolist() == [0.0, 2.0, 5.0] and output_times(np.array([3])).tolist() == [3.0]


@pytest.mark.parametrize(
    "t", [0, -1.0, np.nan, np.inf, "soon", [], [[1.0]], [0, np.nan], [0, np.inf], [-1, 0], [0, 1, 1], [2, 1]]
)
def test_bad_times_are_named(t):
    with pytest.raises(InputError, match="^t: "):
        output_times(t)


@pytest.mark.parametrize(
    ("rtol", "atol", "name"),
    [(0, 1e-9, "rtol"), (-1e-3, 1e-9, "rtol"), (1, 1e-9, "rtol"), (np.nan, 1e-9, "rtol"), (1e-15, 1e-9, "rtol"),
     (1e-6, -1, "atol"), (1e-6, np.nan, "atol"), (1e-6, np.inf, "atol")],
)  # fmt: skip
def test_bad_tolerances_are_named(rtol, atol, name):
    check_tolerances(1e-6, 0.0)
    with pytest.raises(InputError, match=f"^{name}: "):
        check_tolerances(rtol, atol)


def test_a_flow_that_takes_too_many_steps_is_given_up(monkeypatch):
    monkeypatch.setattr("ufmflow.numerics.integrate.MOST_STEPS", 100)
    turning = lambda y: np.array([y[1], -y[0]])
    start = np.array([1.0, 0.0])
    with pytest.raises(IntegrationError, match="it has taken 100 steps; .* end sooner"):
        integrate(LSODA, turning, start, np.array([1e6]), 1e-6, 1e-9)
    assert integrate(LSODA, turning, start, np.array([1.0]), 1e-6, 1e-9)[0, 0] == pytest.approx(np.cos(1.0), abs=1e-6)
