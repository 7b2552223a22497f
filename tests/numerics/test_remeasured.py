"""The kernel measured anew along runs, held to networks for which it is all there is, and to its own refinement."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics import remeasured  # noqa: E402
from ufmflow.numerics.bands import crosscheck_many  # noqa: E402
from ufmflow.numerics.crosscheck import compare, crosscheck  # noqa: E402
from ufmflow.numerics.plan import Plan  # noqa: E402
from ufmflow.numerics.recording import kernel_of  # noqa: E402
from ufmflow.numerics.remeasured import DIAGNOSES, Directional, diagnoses_of, remeasure  # noqa: E402
from ufmflow.numerics.report import write_report  # noqa: E402
from ufmflow.numerics.runs import example_run, load_run  # noqa: E402
from ufmflow.numerics.train import reproducible, train  # noqa: E402
from ufmflow.numerics.training_steps import Training  # noqa: E402

SMALL = {"formula": "a[3] * b[3]", "width": 24, "features": 12, "snapshots": 7, "steps": 200}
# What a single linear layer can be trained with, each well away from its start within the steps.
OPTIMISERS = {
    "sgd": {"lr": 0.05},
    "momentum": {"optimizer": "momentum", "lr": 0.01, "nesterov": True},
    "batches": {"lr": 0.05, "batch": 4, "schedule": "cosine", "warmup": 10},
    "rates": {"lr": 0.05, "head_rate": 0.5, "body_rate": 2.0},
    "adamw": {"optimizer": "adamw", "lr": 3e-3, "weight_decay_body": 0.1},
}


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    stem = tmp_path_factory.mktemp("remeasured") / "transformer"
    return load_run(train("objects", stem, **SMALL, arch="transformer", lr=0.001))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_linear_layer_has_one_kernel_and_the_diagnoses_are_the_run(tmp_path, name):
    """Its Jacobian is the same at all weights and in all directions, so that both diagnoses take the run's own steps."""
    run = load_run(train("objects", tmp_path / "run", **SMALL, layers=1, **OPTIMISERS[name]))
    moved = np.abs(run.data["H"].values[-1] - run.data["H"].values[0]).max()
    for diagnosis in diagnoses_of(Plan.of_record(run.meta)):
        found = remeasure(run, diagnosis)
        # Single precision, 1e-7, adds up over 200 steps; AdamW divides by gradients that may be near zero.
        np.testing.assert_allclose(found.data["H"].values, run.data["H"].values, atol=1e-4 * moved)
        np.testing.assert_allclose(found.data["W"].values, run.data["W"].values, atol=1e-4)


def test_another_kernel_than_the_networks_is_not_the_run(tmp_path, monkeypatch):
    """Control of the test before: a kernel a tenth too large, and a Jacobian with the wrong sign."""
    run = load_run(train("objects", tmp_path / "run", **SMALL, layers=1, lr=0.05))
    exact = compare(run, remeasure(run, "isotropic")).share_rmse_mean
    monkeypatch.setattr(remeasured, "kernel_of", lambda training: 1.1 * kernel_of(training))
    assert compare(run, remeasure(run, "isotropic")).share_rmse_mean > 100 * exact
    push = Directional.push
    monkeypatch.setattr(Directional, "push", lambda self, step: -push(self, step))
    assert compare(run, remeasure(run, "directional")).share_rmse_mean > 100 * exact


def test_the_jacobian_is_the_networks(transformer):
    """J v against differences of the features, and <J v, u> = <v, J^T u>."""
    plan = Plan.of_record(transformer.meta)
    with reproducible(plan.seed):
        trained, moving = Training(plan), Training(plan)
        body = Directional(moving)
        body.measure(trained)
        generator = torch.Generator().manual_seed(1)
        v = [torch.randn(p.shape, generator=generator) for p in trained.network.body.parameters()]
        u = torch.randn(body.f.shape, generator=generator)
        pushed, pulled = body.push(v), body.pull(u)
        inner = sum(float((a * b).sum()) for a, b in zip(v, pulled, strict=True))
        assert float((pushed * u).sum()) == pytest.approx(inner, rel=1e-4)
        network = trained.network.double()
        at, step = [p.detach().clone() for p in network.body.parameters()], 1e-6

        def features(sign):
            with torch.no_grad():
                for p, start, move in zip(network.body.parameters(), at, v, strict=True):
                    p.copy_(start + sign * step * move)
                return network.features_before_norm(trained.tokens)

        differences = (features(1) - features(-1)) / (2 * step)
    # Central differences leave step^2; single precision of J leaves 1e-6 of its size.
    assert (differences - pushed).abs().max() < 1e-4 * differences.abs().max()


def test_direction_is_what_a_transformers_kernel_costs(transformer, monkeypatch):
    """Measured at every step, the kernel by direction misses second order in the step alone; the isotropic one stays
    wrong however often it is measured."""

    def missed(name):
        return compare(transformer, remeasure(transformer, name)).share_rmse_mean

    held = {name: missed(name) for name in DIAGNOSES}
    monkeypatch.setattr(remeasured, "doubled", lambda since: True)
    every = missed("directional")
    assert every < 0.2 * held["directional"] < 0.2 * held["isotropic"]
    monkeypatch.setattr(remeasured, "doubled", lambda since: since % 20 == 0)
    assert missed("isotropic") > 20 * every


def test_a_check_tells_what_costs_what(transformer, tmp_path):
    check = crosscheck(transformer, remeasure=True)
    assert set(check.diagnoses) == set(DIAGNOSES) and not set(DIAGNOSES) & set(check.forecasts)
    told = check.to_dict()["diagnoses"]["directional"]["share_rmse_mean"]
    assert told == compare(transformer, remeasure(transformer, "directional")).share_rmse_mean
    page = write_report(check, tmp_path / "report").read_text()
    assert "What costs what" in page and f"{told:.4f}" in page
    assert "What costs what" not in write_report(crosscheck(transformer), tmp_path / "without").read_text()
    bands = crosscheck_many([transformer], remeasure=True)
    assert bands.diagnoses["directional"]["share_rmse_mean"].mean == told
    assert crosscheck(example_run(), remeasure=True, gates=False).diagnoses == {}  # its steps are no record of `train`


def test_runs_that_have_no_such_diagnosis():
    assert diagnoses_of(Plan("objects", average_from=10)) == () == diagnoses_of(Plan("objects", hold_out=2))
    assert diagnoses_of(Plan("objects", weight_decay_body=0.1)) == ("directional",)
