"""States at rest, against closed forms and plain solutions, and motion that is told from rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ufmflow.numerics.full_flow import FullFlow
from ufmflow.numerics.integrate import IntegrationError
from ufmflow.numerics.matrices import MatrixFlow
from ufmflow.numerics.solve import solve
from ufmflow.numerics.steady_state import steady_state
from ufmflow.theory.errors import InputError

import ufmflow as uf


@given(st.integers(0, 10**6), st.floats(-2, 3), st.sampled_from([1e-4, 1e-6, 1e-8]))
def test_a_linear_flow_ends_at_its_fixed_point(seed, decades, rtol):
    """dy/dt = -A (y - y*) with rates from 1 to 10^decades; the last tenth contracts by at least e^-20."""
    random = np.random.default_rng(seed)
    rates = np.geomspace(1.0, 10.0 ** max(decades, 0.0), 5)
    Q = np.linalg.qr(random.standard_normal((5, 5)))[0]
    A, target = (Q * rates) @ Q.T, random.standard_normal(5)
    found = steady_state(lambda t, y, out: np.copyto(out, A @ (target - y)), np.zeros(5), 200.0, rtol=rtol, atol=rtol)
    # One step's error is at most rtol |y| + rtol, and what earlier ones left has contracted.
    assert np.abs(found.states[0] - target).max() <= 20 * rtol * (1 + np.abs(target).max())
    assert found.reason == "steady" and found.times.tolist() == [200.0]


def test_the_rest_of_whole_matrices_is_that_of_a_plain_solution_for_fewer_evaluations():
    full = FullFlow(MatrixFlow.of(uf.UFM("a[6] * b[6]", width=24, ridge=1e-2)), width=24)
    start = 1e-3 * np.random.default_rng(0).standard_normal(full.size)
    end = 1e5

    def gram(y):
        rows = y.reshape(-1, full.d)
        return rows @ rows.T

    plain = solve(full.rhs, start, [end], method="dop853", rtol=1e-7, atol=1e-10)
    found = steady_state(full.rhs, start, end)
    expected = gram(plain.states[0])
    assert np.abs(gram(found.states[0]) - expected).max() < 1e-6 * np.abs(expected).max()
    assert found.evaluations < 0.2 * plain.evaluations
    # The loose way alone is not that near.
    loose = solve(full.rhs, start, [end], method="auto", rtol=2e-3, atol=2e-6)
    assert np.abs(gram(loose.states[0]) - expected).max() > 1e-6 * np.abs(expected).max()


def test_a_model_s_rest_is_its_closed_limit():
    model = uf.UFM("color[2] * shape[3]", width=8, ridge=1e-2)
    found = uf.simulate(model, t=[1e5], init=uf.gaussian(1e-2), full=True, method="steady", rtol=1e-4)
    limit = uf.simulate(model, t=[1e5], rtol=1e-10)
    for A in ("color", "shape", "color:shape"):
        z = [float(x.data["z"].sel(stratum=A)[0]) for x in (found, limit)]
        assert abs(z[0] - z[1]) < 1e-4 * z[1], A
    assert found.data.attrs["method"] == "steady"


def test_motion_is_not_rest():
    with pytest.raises(IntegrationError, match="has not settled.*later end"):
        steady_state(lambda t, y, out: np.multiply(y, -0.01, out=out), np.array([1.0]), 10.0)
    with pytest.raises(IntegrationError, match="has not settled"):
        steady_state(lambda t, y, out: out.__setitem__(slice(None), [y[1], -y[0]]), np.array([1.0, 0.0]), 10.0)


def test_many_times_are_refused():
    with pytest.raises(InputError, match=r"method 'steady'; give one"):
        uf.simulate(uf.UFM("a[2] * b[2]", width=4), t=[1.0, 2.0], full=True, method="steady")
    with pytest.raises(InputError, match="end: -1.0"):
        steady_state(lambda t, y, out: None, np.array([1.0]), -1.0)
