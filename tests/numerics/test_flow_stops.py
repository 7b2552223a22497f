"""Stops of flows of whole matrices agree with the window that the whole trajectory shows."""

import numpy as np
import pytest
from ufmflow.numerics.flow_stops import collapse_reached, index_of, window_closed
from ufmflow.numerics.full_flow import FullFlow
from ufmflow.numerics.matrices import MatrixFlow
from ufmflow.numerics.simulate import simulate
from ufmflow.numerics.solve import solve
from ufmflow.numerics.stops import Crossing, Fallen
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

MODEL = UFM("a[2] * b[3]", feature_kernel={"1": 1.0, "a": 8.0, "b": 8.0, "a:b": 1.0}, ridge=5e-3)


@pytest.fixture(scope="module")
def full():
    return FullFlow(MatrixFlow.of(MODEL), width=6)


@pytest.fixture(scope="module")
def start(full):
    rng = np.random.default_rng(3)
    return full.state(1e-2 * rng.standard_normal((6, 6)), 1e-2 * rng.standard_normal((6, 6)))


def test_a_closed_window_is_the_one_of_the_whole_trajectory(full, start):
    found = solve(full.rhs, start, [5e3], stop=window_closed(full), rtol=1e-6)
    assert found.reason == "window closed"
    W, F = full.split(start)
    seen = simulate(MODEL, np.geomspace(1, 5e3, 300), init=(W, F.T), full=True, rtol=1e-5)
    index = seen.data["semantic_index"].values
    assert found.times[-1] == pytest.approx(seen.window().end, rel=0.02)
    at_end = index_of(full)(0.0, found.states[-1])
    assert at_end == pytest.approx(0.5 * index.max(), rel=0.02)


def test_collapse_is_reached_after_the_window(full, start):
    level = index_of(full)
    found = solve(full.rhs, start, [5e3], stop=[collapse_reached(full), window_closed(full)], rtol=1e-6)
    assert found.reason == "window closed"
    found = solve(full.rhs, start, [2e4], stop=collapse_reached(full, 0.1), rtol=1e-6)
    assert found.reason == "collapsed"
    assert level(0.0, found.states[-1]) == pytest.approx(0.1, abs=1e-6)
    # Without the ridge it is not reached by then: permanent geometry, 8 > 4.
    bare = FullFlow(MatrixFlow.of(UFM("a[2] * b[3]", feature_kernel=MODEL.feature_kernel)), width=6)
    assert solve(bare.rhs, start, [2e4], stop=collapse_reached(bare, 0.1)).reason == "end"


def test_a_flow_without_a_window_has_none_to_close():
    plain = FullFlow(MatrixFlow.of(UFM("a[2] * b[3]", ridge=5e-3)), width=6)
    start = plain.state(1e-2 * np.eye(6), 1e-2 * np.eye(6))
    assert solve(plain.rhs, start, [1e3], stop=window_closed(plain)).reason == "end"


def test_what_has_fallen_must_have_risen_and_is_named():
    bump = lambda t, y, out: np.multiply(y, 2.0 - t, out=out)
    value = lambda t, y: float(y[0])
    peak = np.exp(2.0)
    for stop, level in ((Fallen(value), 0.5 * peak), (Fallen(value, 0.25), 0.25 * peak)):
        found = solve(bump, np.ones(1), [10.0], stop=stop, rtol=1e-9, atol=1e-12)
        assert found.reason == "fallen" and found.states[-1][0] == pytest.approx(level, rel=2e-2)
        assert found.times[-1] > 2.0
    assert solve(bump, np.ones(1), [10.0], stop=Fallen(value, least=2 * peak)).reason == "end"
    assert solve(bump, np.ones(1), [10.0], stop=[Fallen(value), Crossing(lambda t, y: y[0] - 2)]).reason == "crossing"
    for share in (0.0, 1.0, np.nan, "x"):
        with pytest.raises(InputError, match="share"):
            Fallen(value, share)
