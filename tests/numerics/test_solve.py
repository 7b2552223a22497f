"""Solutions in place: measured orders, control, dense output, stops, buffers, and what is refused."""

import itertools

import numpy as np
import pytest
from ufmflow.numerics.chebyshev import ChebyshevSteps, chebyshev
from ufmflow.numerics.damped_products import scheme_of
from ufmflow.numerics.explicit_pairs import PairSteps
from ufmflow.numerics.integrate import IntegrationError
from ufmflow.numerics.solve import METHODS, solve
from ufmflow.numerics.stabilised import DampedSteps
from ufmflow.numerics.stops import Crossing, Steady
from ufmflow.numerics.tableau_order8 import DOP853
from ufmflow.numerics.tableaux import DORMAND_PRINCE_5
from ufmflow.numerics.vectors import NumpyVectors
from ufmflow.theory.errors import InputError

PENDULUM = np.array([1.0, 0.5])


def decay(t, y, out):
    np.multiply(y, -1.0, out=out)


def pendulum(t, y, out):
    """Autonomous and nonlinear, driven by cos t, so that every kind of tree counts."""
    out[0], out[1] = y[1], 0.3 * np.cos(t) - np.sin(y[0])


def steps_of(name, rhs=pendulum, size=2, rtol=1.0, atol=1.0):
    ops = NumpyVectors(size, np.float64)
    if name in ("stabilised", "rkc"):
        return (DampedSteps if name == "stabilised" else ChebyshevSteps)(rhs, ops, rtol, atol)
    return PairSteps({"dp5": DORMAND_PRINCE_5, "dop853": DOP853}[name], rhs, ops, rtol, atol)


def with_fixed_steps(name, count, end=2.0, radius=0.0):
    steps = steps_of(name)
    steps.begin(0.0, PENDULUM)
    for i in range(count):
        if radius:
            steps.radius = radius * count
        steps.attempt(end * i / count, end / count)
        steps.accept()
    return steps.y.copy()


@pytest.fixture(scope="module")
def exact():
    """The driven pendulum at t = 2 and at the middle of a step of 1/4, by order 8 with steps of 1/200."""
    return with_fixed_steps("dop853", 400), with_fixed_steps("dop853", 400, end=0.125)


# Steps of which errors are well above round-off, and small enough for the leading term to rule.
COUNTS = {"dp5": (40, 80), "dop853": (5, 10), "stabilised": (40, 80), "rkc": (40, 80)}


@pytest.mark.parametrize(("name", "order"), [("dp5", 5), ("dop853", 8), ("stabilised", 4), ("rkc", 2)])
def test_measured_orders_are_the_theory_s(name, order, exact):
    few, many = COUNTS[name]
    errors = [np.linalg.norm(with_fixed_steps(name, n) - exact[0]) for n in (few, many)]
    assert errors[1] > 1e-13
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.1


def test_errors_of_order_2_fall_with_two_thirds_of_the_tolerance_s_power():
    fine = solve(pendulum, PENDULUM, [10.0], method="dop853", rtol=1e-13, atol=1e-13).states[0]
    found = [solve(pendulum, PENDULUM, [10.0], method="rkc", rtol=r, atol=r).states[0] for r in (1e-5, 1e-8)]
    loose, tight = (np.linalg.norm(y - fine) for y in found)
    assert abs(np.log10(loose / tight) - 2) < 0.4


@pytest.mark.parametrize("stages", [10, 40])
@pytest.mark.parametrize(("name", "order"), [("stabilised", 4), ("rkc", 2)])
def test_stabilised_methods_keep_their_order_with_many_stages(name, order, stages, exact):
    reach = chebyshev(stages).reach if name == "rkc" else scheme_of(stages - 4)[0]
    errors = [np.linalg.norm(with_fixed_steps(name, n, radius=0.49 * reach) - exact[0]) for n in (40, 80)]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.1


@pytest.mark.parametrize(("name", "order", "step"), [("dp5", 4, 0.2), ("dop853", 7, 0.4), ("stabilised", 3, 0.02)])
def test_dense_output_has_its_measured_order(name, order, step):
    """One step of h and one of h/2 from the same state, read at their middles: local errors of h^(order + 1)."""
    errors = []
    for h in (step, step / 2):
        reference = steps_of("dop853")
        reference.begin(0.0, PENDULUM)
        for i in range(40):
            reference.attempt(h / 2 * i / 40, h / 80)
            reference.accept()
        steps = steps_of(name)
        steps.begin(0.0, PENDULUM)
        steps.attempt(0.0, h)
        errors.append(np.linalg.norm(steps.at(0.5) - reference.y))
    assert abs(np.log2(errors[0] / errors[1]) - (order + 1)) < 0.25


@pytest.mark.parametrize("method", ["dp5", "dop853", "stabilised", "auto"])
@pytest.mark.parametrize("rtol", [1e-5, 1e-8])
def test_solutions_keep_the_tolerance_at_and_between_steps(method, rtol):
    times = np.linspace(0.0, 10.0, 41)
    found = solve(pendulum, PENDULUM, times, method=method, rtol=rtol, atol=rtol)
    fine = solve(pendulum, PENDULUM, times, method="dop853", rtol=1e-13, atol=1e-13)
    error = np.abs(np.stack(found.states) - np.stack(fine.states)).max()
    assert error < 100 * rtol  # errors of steps add up over an undamped swing
    assert found.times.tolist() == times.tolist() and found.reason == "end"


def test_tighter_tolerances_give_smaller_errors_in_proportion():
    errors = []
    fine = solve(pendulum, PENDULUM, [10.0], method="dop853", rtol=1e-13, atol=1e-13).states[0]
    for rtol in (1e-4, 1e-6, 1e-8):
        errors.append(np.linalg.norm(solve(pendulum, PENDULUM, [10.0], rtol=rtol, atol=rtol).states[0] - fine))
    for loose, tight in itertools.pairwise(errors):
        assert 10 < loose / tight < 1000


@pytest.mark.parametrize("method", ["dp5", "dop853", "auto"])
def test_output_times_do_not_change_the_solution(method):
    many = np.linspace(0, 20, 301)
    every = solve(pendulum, PENDULUM, many, method=method, rtol=1e-7, atol=1e-9)
    few = solve(pendulum, PENDULUM, many[[7, 300]], method=method, rtol=1e-7, atol=1e-9)
    assert np.array_equal(few.states[0], every.states[7]) and np.array_equal(few.states[1], every.states[300])
    assert few.steps == every.steps


@pytest.mark.parametrize("method", ["rkc", "stabilised"])
def test_steps_that_end_on_output_times_grow_again_after_each(method):
    rare, fine = [10.0, 10.0 + 1e-6, 20.0], solve(pendulum, PENDULUM, [20.0], method="dop853", rtol=1e-12, atol=1e-12)
    plain = solve(pendulum, PENDULUM, [20.0], method=method, rtol=1e-7, atol=1e-9)
    found = solve(pendulum, PENDULUM, rare, method=method, rtol=1e-7, atol=1e-9)
    assert found.times.tolist() == rare and found.steps <= plain.steps + 4
    near = np.linalg.norm(plain.states[-1] - fine.states[-1])
    assert np.linalg.norm(found.states[-1] - fine.states[-1]) < 1.5 * near


@pytest.mark.parametrize("method", METHODS)
def test_the_rate_sees_no_state_but_its_argument_and_the_start_is_left_alone(method):
    start = PENDULUM.copy()
    calls = []

    def rhs(t, y, out):
        before = y.copy()
        pendulum(t, y, out)
        assert np.array_equal(before, y) and not np.shares_memory(y, out)
        calls.append(t)

    found = solve(rhs, start, [0.0, 5.0], method=method, rtol=1e-6, atol=1e-8)
    assert np.array_equal(start, PENDULUM) and len(calls) == found.evaluations
    # One stage of the stabilised method lies up to 8% of its step beyond the step's end.
    assert 0 <= min(calls) and max(calls) <= 5.0 * (1.02 if method == "stabilised" else 1 + 1e-12)
    assert np.array_equal(found.states[0], PENDULUM)


@pytest.mark.parametrize(("method", "most"), [("dp5", 8), ("dop853", 14), ("stabilised", 9), ("rkc", 6)])
def test_methods_hold_no_more_vectors_than_they_say(method, most, monkeypatch):
    made = []
    empty = NumpyVectors.empty
    monkeypatch.setattr(NumpyVectors, "empty", lambda self: made.append(1) or empty(self))
    solve(pendulum, PENDULUM, [0.0, 1.0, 7.0], method=method, rtol=1e-6, atol=1e-8, save=lambda t, y: None)
    assert len(made) == most


def test_peak_memory_is_eight_vectors_for_the_order_5_pair():
    import tracemalloc

    n = 200_000
    start = np.ones(n)
    solve(decay, np.ones(1), [1.0])  # what is imported on first use is not counted
    tracemalloc.start()
    solve(decay, start, [1.0], rtol=1e-6, atol=1e-8, save=lambda t, y: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8.5 * start.nbytes


def test_float32_is_kept_and_its_round_off_is_the_tolerance_s_floor():
    found = solve(decay, np.ones(3, np.float32), [1.0], rtol=1e-5, atol=1e-7)
    assert found.states[0].dtype == np.float32
    assert found.states[0] == pytest.approx(np.exp(-1.0), rel=1e-5)
    with pytest.raises(InputError, match="rtol: 1e-08 is below 1.2e-06, what float32 can hold"):
        solve(decay, np.ones(3, np.float32), [1.0])


@pytest.mark.parametrize("method", METHODS)
def test_crossings_are_found_to_the_tolerance_and_end_the_solution(method):
    level = Crossing(lambda t, y: float(y[0]) - 0.25, name="quarter")
    found = solve(decay, np.ones(1), [0.5, 1.0, 5.0], method=method, stop=level, rtol=1e-9, atol=1e-12)
    assert found.reason == "quarter"
    assert found.times == pytest.approx([0.5, 1.0, np.log(4)], abs=1e-6)
    assert found.states[-1] == pytest.approx(0.25, abs=1e-6)


def test_crossings_mind_their_direction_and_the_first_of_several_ends():
    up = Crossing(lambda t, y: float(y[0]), direction=1, name="up")
    down = Crossing(lambda t, y: float(y[0]), direction=-1, name="down")
    swing = lambda t, y, out: np.copyto(out, [y[1], -y[0]])
    for stop, time, reason in ((down, np.pi / 2, "down"), (up, 3 * np.pi / 2, "up"), ([up, down], np.pi / 2, "down")):
        found = solve(swing, np.array([1.0, 0.0]), [10.0], stop=stop, rtol=1e-9, atol=1e-11)
        assert found.reason == reason and found.times[-1] == pytest.approx(time, abs=1e-7)
    never = Crossing(lambda t, y: float(y[0]) - 2)
    assert solve(swing, np.array([1.0, 0.0]), [10.0], stop=never).reason == "end"


@pytest.mark.parametrize("method", METHODS)
def test_steady_states_end_the_solution_and_others_do_not(method):
    relax = lambda t, y, out: np.multiply([1.0, 5.0], 2.0 - y, out=out)
    found = solve(relax, np.zeros(2), [1e4], method=method, stop=Steady(1e-5), rtol=1e-8, atol=1e-10)
    assert found.reason == "steady" and found.times[-1] < 100
    assert found.states[-1] == pytest.approx(2.0, abs=1e-7)
    wander = lambda t, y, out: out.fill(1 / (1 + t))
    assert solve(wander, np.zeros(1), [1e4], method=method, stop=Steady(1e-6)).reason == "end"


def test_a_state_that_never_leaves_zero_is_steady():
    found = solve(decay, np.zeros(2), [1.0], stop=Steady())
    assert found.reason == "steady" and found.states[-1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("method", METHODS)
def test_a_state_that_leaves_every_bound_is_said_to(method):
    explode = lambda t, y, out: np.multiply(y, y, out=out)
    with pytest.raises(IntegrationError, match=r"stopped at t = 1(\.0000\d+)? of 2: steps vanish"):
        solve(explode, np.ones(1), [2.0], method=method, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_rates_that_are_not_finite_are_said_to_be(method):
    with pytest.raises(IntegrationError, match="at t = 0 of 1: the rate is not finite"):
        solve(lambda t, y, out: out.fill(np.nan), np.ones(2), [1.0], method=method)
    # One that turns bad on the way ends where it does.
    late = lambda t, y, out: out.fill(np.nan if t > 0.5 else 1.0)
    with pytest.raises(IntegrationError, match="stopped at t = 0.5 of 1"):
        solve(late, np.ones(2), [1.0], method=method)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"method": "rk4"}, "method: 'rk4' is none of dp5"),
        ({"rtol": 1e-15}, "rtol: 1e-15"),
        ({"rtol": "x"}, "rtol: 'x' is no number"),
        ({"atol": -1.0}, "atol"),
        ({"first_step": 0.0}, "first_step: 0.0"),
        ({"first_step": np.inf}, "first_step: inf"),
        ({"times": [1.0, 0.5]}, "increasing"),
        ({"times": -1.0}, "end time"),
        ({"start": np.ones((2, 2))}, r"start: shape \(2, 2\)"),
        ({"start": np.ones(2, int)}, "int64"),
        ({"start": [1.0]}, "start: list is no array"),
        ({"start": np.array([1.0, np.nan])}, "start: not all"),
    ],
)
def test_what_cannot_be_used_is_refused(change, why):
    given = {"rhs": decay, "start": np.ones(2), "times": [1.0]} | change
    with pytest.raises(InputError, match=why):
        solve(**given)


@pytest.mark.parametrize("bad", [0.0, 1.0, -1e-3, "x", np.nan])
def test_stops_refuse_what_they_cannot_use(bad):
    with pytest.raises(InputError, match="change"):
        Steady(bad)
    with pytest.raises(InputError, match="direction"):
        Crossing(lambda t, y: 1.0, direction=2)


def test_a_first_step_is_tried_and_progress_ends_at_the_end():
    seen = []
    solve(
        decay, np.ones(1), [1.0], first_step=0.125, rtol=1e-3, atol=1e-6, progress=lambda t, end: seen.append((t, end))
    )
    assert seen[0] == (0.125, 1.0) and seen[-1] == (1.0, 1.0)


@pytest.mark.parametrize("method", ["stabilised", "rkc", "auto"])
def test_stiff_states_at_output_times_within_long_steps_are_as_near_as_those_at_their_ends(method):
    """dy/dt = A (y* - y), rates from 1 to 1000: rates at a step's ends are 1000 times as rough as its states."""
    random = np.random.default_rng(0)
    Q = np.linalg.qr(random.standard_normal((5, 5)))[0]
    A, rest = (Q * np.geomspace(1.0, 1e3, 5)) @ Q.T, random.standard_normal(5)

    def rhs(t, y, out):
        np.copyto(out, A @ (rest - y))

    # A start at rest but for what a tolerance of 1e-4 leaves of it; two tolerances, absolute and relative, a step.
    start, bound = rest + 1e-6 * random.standard_normal(5), 2e-4 * (1 + np.abs(rest).max())
    found = solve(rhs, start, np.linspace(0.5, 30.0, 60), method=method, rtol=1e-4, atol=1e-4)
    assert found.times.tolist() == np.linspace(0.5, 30.0, 60).tolist()
    assert max(np.abs(y - rest).max() for y in found.states) < bound


def test_what_stabilised_steps_interpolate_is_rough_where_their_states_are_not():
    def rhs(t, y, out):
        out[0], out[1] = 1e3 * (1.0 - y[0]), 1.0 - y[1]

    steps = DampedSteps(rhs, NumpyVectors(2, np.float64), 1e-4, 1e-4)
    steps.begin(0.0, np.array([1.0 + 1e-5, 1.0]))
    steps.longest(0.0)
    steps.attempt(0.0, 5.0)
    assert abs(steps.new_y[0] - 1.0) < 1e-5
    assert abs(steps.at(0.3)[0] - 1.0) > 1e-3
