"""The largest curvature of a step: against the whole Jacobian, and the shipped runs."""

import numpy as np
import pytest

from ufmflow.numerics.matrices import MatrixFlow
from ufmflow.numerics.runs import example_run
from ufmflow.numerics.stability import EDGE, largest_step_curvature, step_curvature
from ufmflow.numerics.start import Start
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError


def small_start(seed: int, lr: float = 0.1) -> Start:
    attributes = Attributes("a[2] * b[3]")
    random = np.random.default_rng(seed)
    J = random.standard_normal((6, 20))
    return Start(attributes, None, J @ J.T, 0.5 * random.standard_normal((6, 4)), random.standard_normal((4, 6)), lr)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_largest_eigenvalue_of_the_whole_jacobian(seed):
    """Central differences of step 1e-6: errors of 1e-9 in a Jacobian of order 1; ARPACK is asked for 1e-4."""
    start = small_start(seed)
    flow = MatrixFlow.of(start.model, lambda X, _: X @ start.kernel)
    state = np.concatenate([start.W.ravel(), start.F.ravel()])

    def rates(y):
        return np.concatenate([part.ravel() for part in flow.rates(y[:24].reshape(6, 4), y[24:].reshape(4, 6))])

    columns = [(rates(state + 1e-6 * e) - rates(state - 1e-6 * e)) / 2e-6 for e in np.eye(state.size)]
    values = np.linalg.eigvals(-np.array(columns).T)
    found = step_curvature(start)
    assert found == pytest.approx(0.1 * values.real.max(), rel=1e-3)
    assert abs(found - 0.1 * np.sort(values.real)[-2]) > 1e-3 * found  # the next one is told apart


def test_it_is_proportional_to_the_learning_rate():
    assert step_curvature(small_start(0, lr=0.2)) == pytest.approx(2 * step_curvature(small_start(0)), rel=1e-6)


def test_large_steps_pass_the_edge_and_small_ones_do_not():
    """The shipped run with learning rate 0.05 swings early on, and its flow misses it; the one with 0.005 does not."""
    for name, beyond in (("crossed_4x6_mlp_flow", False), ("crossed_4x6_mlp_large_step", True)):
        run = example_run(name)
        assert (largest_step_curvature(Start.of(run), run.time) > EDGE) is beyond


def test_without_a_learning_rate_it_is_refused():
    start = small_start(0)
    with pytest.raises(InputError, match="lr: without one constant learning rate"):
        step_curvature(Start(start.attributes, None, start.kernel, start.W, start.F))
