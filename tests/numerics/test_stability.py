"""The largest curvature of a step: against the whole Jacobian, and the shipped runs."""

import dataclasses

import numpy as np
import pytest
from ufmflow.numerics.kernel_parts import KernelParts
from ufmflow.numerics.matrices import MatrixFlow
from ufmflow.numerics.runs import example_run
from ufmflow.numerics.stability import EDGE, edge, largest_step_curvature, largest_step_ratio, step_curvature
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


def swings(s: float, momentum: float, nesterov: bool, averaged: bool) -> float:
    """|theta| after many steps from 1 on the parabola s theta^2 / 2, learning rate 1, by the optimiser's definition."""
    theta, b = 1.0, 0.0
    for _ in range(4000):
        g = s * theta
        b = momentum * b + ((1 - momentum) * g if averaged else g)
        theta -= g + momentum * b if nesterov else b
        if not abs(theta) < 1e6:
            return np.inf
    return abs(theta)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9, 0.95])
@pytest.mark.parametrize(("nesterov", "averaged"), [(False, False), (True, False), (False, True)])
def test_the_edge_parts_decay_from_growth(momentum, nesterov, averaged):
    limit = edge(momentum, nesterov, averaged)
    assert swings(0.99 * limit, momentum, nesterov, averaged) < 1e-3
    assert swings(1.01 * limit, momentum, nesterov, averaged) > 1e3
    if momentum and nesterov:  # control: the edge of the other kind of momentum
        assert swings(0.99 * edge(momentum), momentum, nesterov, averaged) > 1e3


def test_the_ratio_of_a_plain_step_is_its_curvature_along_the_gradient():
    start = small_start(1, lr=1e-5)
    flow = MatrixFlow.of(start.model, lambda X, _: X @ start.kernel)
    dW, dF = flow.rates(start.W, start.F)
    e = 1e-5
    up, at, down = (flow.loss(start.W + x * dW, start.F + x * dF) for x in (e, 0.0, -e))
    expected = 1e-5 * ((up - 2 * at + down) / e**2) / (-(up - down) / (2 * e))
    assert largest_step_ratio(start, np.array([0.0])) == pytest.approx(expected, rel=0.02)
    assert abs(expected) > 1e-5


@pytest.mark.parametrize("optimizer", ["sign", "adamw", "muon"])
def test_large_steps_of_a_size_of_their_own_raise_the_loss_and_small_ones_do_not(optimizer):
    start = small_start(2)
    parts = KernelParts(start.kernel[None], np.array([20]), np.array([0]), ((4, 5),))
    betas = (0.0, 0.9)
    small, large = (
        largest_step_ratio(
            dataclasses.replace(start, lr=lr, optimizer=optimizer, parts=parts, betas=betas), lr * np.arange(12)
        )
        for lr in (1e-4, 2.0)
    )
    assert small < 0.5 and large > EDGE


def test_a_curvature_is_refused_to_steps_without_a_flow():
    start = dataclasses.replace(small_start(0), optimizer="sign")
    with pytest.raises(InputError, match="optimizer: sign steps along no flow"):
        step_curvature(start)
