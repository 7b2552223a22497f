"""`reproduce` ends in a verdict: on the shipped run, and on networks that are forecast before they are trained."""

import hashlib
import json

import numpy as np
import pytest

from ufmflow.numerics import reproduce as module
from ufmflow.numerics.reproduce import quick
from ufmflow.numerics.runs import load_run
from ufmflow.theory.errors import InputError

SMALL = {"formula": "color[2] * shape[3]", "width": 64, "features": 16, "steps": 300, "lr": 0.05, "snapshots": 12}


def test_quick_holds_the_shipped_run(flow_check, tmp_path, monkeypatch):
    held = []

    def once(run, progress=None):
        held.append(run.name)
        return flow_check

    monkeypatch.setattr(module, "crosscheck", once)
    page, check = quick(tmp_path)
    assert held == ["crossed_4x6_mlp_flow"] and check is flow_check and page == tmp_path / "index.html"
    assert "Confirmed." in page.read_text() and not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("reproduction")
    seen = []
    page, found = module.reproduce(
        folder, [0, 1], ["objects"], progress=lambda done, total: seen.append(done / total), **SMALL
    )
    assert seen == sorted(seen) and seen[-1] == 1
    return folder, page, found


def test_in_full_forecasts_are_on_file_before_training(reproduction):
    folder, page, found = reproduction
    for check in found.settings["objects"].checks:
        file = folder / "runs" / f"{check.run.name}.forecast.json"
        written = json.loads(file.read_text())
        assert hashlib.sha256(file.read_bytes()).hexdigest() == found.forecasts[check.run.name]
        # What the run was held to is what was written.
        held = written["levels"][check.designated]["share_H"]
        assert written["designated"] == check.designated
        assert np.array_equal(np.transpose(list(held.values())), check.trajectories[check.designated].shares())
        assert file.stat().st_mtime_ns < (folder / "runs" / f"{check.run.name}.npz").stat().st_mtime_ns
        start = load_run(folder / "runs" / f"{check.run.name}-start")
        assert np.array_equal(start.data["H"].values[0], check.run.data["H"].values[0]) and start.time.tolist() == [0]
    text = page.read_text()
    assert all(digest in text for digest in found.forecasts.values())
    assert (folder / "objects" / "index.html").exists() and (folder / "objects" / "objects-seed1").is_dir()


def test_the_targets_stand_beside_the_results(reproduction):
    folder, page, found = reproduction
    (row,) = found.rows()
    checks = found.settings["objects"].checks
    errors = [check.forecasts[check.designated].share_rmse_mean for check in checks]
    assert row["share_rmse_mean"] == pytest.approx(sum(errors) / 2, rel=1e-12)
    assert row["share_target"] == min(0.02, sum(check.best_baseline for check in checks) / 2)
    assert f"{row['share_rmse_mean']:.4f}" in page.read_text()
    assert json.loads((folder / "reproduction.json").read_text())["confirmed"] is found.confirmed is row["confirmed"]


def test_a_forecast_that_looks_past_the_start_sees_nothing(tmp_path):
    pytest.importorskip("torch")
    unseen, levels, designated, _ = module.forecast_start("objects", 0, tmp_path / "run", **SMALL)
    assert np.all(np.isnan(unseen.data["H"].values[1:])) and np.all(np.isnan(unseen.data["loss"].values[1:]))
    assert np.all(np.isfinite(unseen.data["H"].values[0])) and unseen.data["step"].values[-1] == 300
    assert np.all(np.isfinite(levels[designated].shares()))


def test_another_networks_run_is_refused(reproduction, tmp_path):
    """A run that lies in the way is held to a forecast only if it was trained from the same start."""
    _, _, found = reproduction
    first, second = (check.run for check in found.settings["objects"].checks)
    module._same_start(first, first)
    with pytest.raises(InputError, match="^out: objects-seed1.npz was not trained from the start"):
        module._same_start(first, second)


def test_nothing_to_reproduce_and_schedules_are_refused(tmp_path):
    pytest.importorskip("torch")
    for arguments in ({"seeds": []}, {"settings": []}):
        with pytest.raises(InputError, match="^settings, seeds: "):
            module.reproduce(tmp_path, **arguments)
    with pytest.raises(InputError, match="^schedule: 'cosine' with warm-up 0; reproduce trains at one rate"):
        module.reproduce(tmp_path, settings=["objects"], schedule="cosine", **SMALL)
