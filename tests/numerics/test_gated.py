"""Forecasts with expanded gates, held to tiny trained networks under several optimisers."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics.crosscheck import compare, crosscheck  # noqa: E402
from ufmflow.numerics.forecast import GATED_LEVELS, forecast, forecast_all, knows_network  # noqa: E402
from ufmflow.numerics.gated import forecast_gated, forecast_network, forecast_plan  # noqa: E402
from ufmflow.numerics.plan import Plan  # noqa: E402
from ufmflow.numerics.report import write_report  # noqa: E402
from ufmflow.numerics.runs import example_run, load_run  # noqa: E402
from ufmflow.numerics.strata import matrix_eigenvalues  # noqa: E402
from ufmflow.numerics.train import train  # noqa: E402
from ufmflow.numerics.training_steps import build  # noqa: E402
from ufmflow.theory.attributes import Attributes  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

SMALL = {"formula": "a[3] * b[3]", "arch": "transformer", "width": 32, "features": 16, "snapshots": 8, "steps": 150}
# How each moves a tiny transformer well away from its start within 150 steps.
OPTIMISERS = {
    "adamw": {"optimizer": "adamw", "lr": 3e-3, "weight_decay_body": 0.1},
    "batches": {"optimizer": "adamw", "lr": 2e-3, "batch": 4, "schedule": "cosine", "warmup": 10},
    "muon": {"optimizer": "muon", "lr": 2e-3},
    "momentum": {"optimizer": "momentum", "lr": 5e-3, "final_affine": True},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {name: load_run(train("objects", folder / name, **SMALL, **how)) for name, how in OPTIMISERS.items()}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_gates_to_first_order_follow_the_run(runs, name):
    """The first order misses by the square of the gates' motion: well below what freezing them misses by, and that
    below what freezing the geometry does."""
    run = runs[name]
    first, frozen = (compare(run, forecast_gated(run, level)) for level in ("gated", "gated_linear"))
    still = np.sqrt(np.mean((run.shares() - run.shares()[0]) ** 2, axis=1)).mean()
    assert first.share_rmse_mean < 0.5 * frozen.share_rmse_mean < 0.5 * still
    assert first.loss_log_ratio_median < 0.02


def test_the_forecast_starts_where_the_run_does_and_sees_no_more(runs):
    run = runs["adamw"]
    found = forecast_gated(run, "gated")
    assert np.abs(found.shares()[0] - run.shares()[0]).max() < 1e-5
    later = run.data.copy(deep=True)
    later["H"][1:] = later["H"].values[1:][:, ::-1]
    np.testing.assert_array_equal(forecast_gated(type(run)(later), "gated").shares(), found.shares())


def test_runs_beyond_the_kernel_are_forecast_by_their_gates(runs):
    found, designated, why = forecast_all(runs["adamw"])
    assert set(found) == set(GATED_LEVELS) and designated == "gated_doubling" and "known at its start" in why
    np.testing.assert_array_equal(forecast(runs["adamw"]).shares(), found["gated_doubling"].shares())
    check = crosscheck(runs["adamw"])
    assert check.designated == "gated_doubling" and check.confirmed
    assert knows_network(runs["muon"]) and not knows_network(example_run())


@pytest.fixture(scope="module")
def switching(tmp_path_factory):
    """A ReLU network whose units switch: large steps."""
    stem = tmp_path_factory.mktemp("switching") / "run"
    return load_run(train("objects", stem, width=96, features=32, steps=600, snapshots=12, lr=0.05))


def test_a_relu_network_has_no_gates_that_move_smoothly(switching):
    found, designated, _ = forecast_all(switching)
    assert {"flow", "map", "gated", "gated_doubling"} <= set(found) and "gated_linear" not in found
    assert designated == "gated_doubling"
    without, designated, _ = forecast_all(switching, gates=False)
    assert not set(GATED_LEVELS) & set(without) and designated in without


@pytest.mark.parametrize("name", ["switching", "adamw"])
def test_gates_expanded_anew_miss_less_than_those_of_the_start(runs, switching, name):
    """Units that switch, and scores that move far, are followed up to what they do within one doubling."""
    run = switching if name == "switching" else runs[name]
    once, anew = (compare(run, forecast_gated(run, level)) for level in ("gated", "gated_doubling"))
    assert anew.share_rmse_mean < 0.5 * once.share_rmse_mean
    assert anew.loss_log_ratio_median < once.loss_log_ratio_median


def test_doubling_sees_nothing_but_the_forecasts_own_path(runs):
    """What a run did later changes nothing; where no doubling lies after the first step, both levels are one."""
    run = runs["muon"]
    later = run.data.copy(deep=True)
    later["W"][1:] = 0.0
    found = forecast_gated(run, "gated_doubling").shares()
    np.testing.assert_array_equal(forecast_gated(type(run)(later), "gated_doubling").shares(), found)
    plan = Plan("objects", **SMALL)
    first, anew = (forecast_plan(plan, np.array([0, 1]), level).shares() for level in ("gated", "gated_doubling"))
    np.testing.assert_array_equal(first, anew)
    apart = [forecast_plan(plan, np.array([0, 40]), level).shares()[-1] for level in ("gated", "gated_doubling")]
    assert np.abs(apart[0] - apart[1]).max() > 1e-7


def test_another_start_than_the_record_builds_is_refused(runs):
    run = runs["muon"]
    other = run.data.assign_attrs(meta=json.dumps(run.meta | {"seed": 7}))
    with pytest.raises(InputError, match="starts from another network than its record builds"):
        forecast_gated(type(run)(other), "gated")


def test_the_shipped_run_is_built_anew_from_its_record():
    plan = Plan.of_record(example_run().meta)
    assert (plan.arch, plan.layers, plan.width, plan.features, plan.lr) == ("mlp", 3, 256, 64, 0.005)


def test_a_network_of_ones_own(runs):
    """The same network given itself: the same forecast as from the record, up to the head's place among parameters."""
    plan = Plan("objects", **SMALL, optimizer="adamw", lr=3e-3)
    torch.manual_seed(0)
    network = build(plan)
    tokens = torch.from_numpy(plan.contexts.tokens)
    before = network(tokens).detach().clone()
    attributes = Attributes(SMALL["formula"])

    def adam(lr):
        return lambda p: torch.optim.AdamW(p, lr=lr, weight_decay=0.0)

    steps = [0, 10, 100]
    found = forecast_network(network, tokens, plan.contexts.label, attributes, steps, adam(3e-3))
    assert torch.equal(network(tokens), before)
    moving = adam(3e-3)(network.parameters())
    target = torch.from_numpy(plan.contexts.label)
    for _ in range(100):
        moving.zero_grad()
        torch.nn.functional.cross_entropy(network(tokens), target).backward()
        moving.step()
    true = torch.nn.functional.cross_entropy(network(tokens), target).item()
    assert found.data["loss"].values[-1] == pytest.approx(true, rel=5e-3)
    slower = forecast_network(network, tokens, plan.contexts.label, attributes, steps, adam(3e-4))
    assert abs(slower.data["loss"].values[-1] / true - 1) > 0.05


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"level": "flow"}, "level: 'flow' is unknown"), ({"steps": [3, 1]}, "steps: .3, 1.")],
)
def test_bad_arguments_are_named(arguments, words):
    plan = Plan("objects", formula="a[2] * b[2]", width=8, features=4)
    network = build(plan)
    given = {"steps": [0, 1], "level": "gated"} | arguments
    tokens, attributes = torch.from_numpy(plan.contexts.tokens), Attributes("a[2] * b[2]")
    with pytest.raises(InputError, match=words):
        forecast_network(network, tokens, plan.contexts.label, attributes, given["steps"],
                         lambda p: torch.optim.SGD(p, lr=0.1), given["level"])  # fmt: skip
    with pytest.raises(InputError, match="network: it has no"):
        forecast_network(torch.nn.Linear(2, 2), tokens, plan.contexts.label, attributes, [0],
                         lambda p: torch.optim.SGD(p, lr=0.1))  # fmt: skip


def test_the_kernels_drift_is_told_where_it_was_measured(tmp_path):
    run = load_run(train("objects", tmp_path / "run", width=96, features=32, steps=100, snapshots=6, kernels=3))
    drift = crosscheck(run, forecast(run, level="flow")).to_dict()["kernel_drift"]
    first, last = (matrix_eigenvalues(run.data["kernel"].values[i], run.attributes) for i in (0, -1))
    for A in run.attributes.names:
        assert drift[A] == pytest.approx(last[A] / first[A] - 1, rel=1e-9)
    assert any(abs(x) > 1e-4 for x in drift.values())


def test_a_check_tells_the_time_of_the_flow(runs, tmp_path):
    """Momentum b makes n steps stand for lr sum_k (1 - b^(n - k)) of gradient flow; steps of AdamW for none."""
    run = load_run(train("objects", tmp_path / "run", **SMALL, optimizer="momentum", lr=2e-3, momentum=0.8))
    check = crosscheck(run, forecast(run, level="flow"))
    steps = run.data["step"].values
    expected = [2e-3 / 0.2 * sum(1 - 0.8 ** (n - k) for k in range(n)) for n in steps]
    np.testing.assert_allclose(check.flow_time, expected, rtol=1e-12)
    assert not np.allclose(check.flow_time, run.time, rtol=0.5)  # control: the plain time
    assert f"which momentum 0.8 makes {expected[-1]:.4g} of gradient flow" in write_report(check, tmp_path / "r").read_text()
    other = crosscheck(runs["adamw"], forecast(runs["adamw"], level="gated"))
    assert other.flow_time is None and other.to_dict()["flow_time"] is None
