"""Interrupted runs go on bit for bit, finished ones are kept, and runs of other settings are never mixed up."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics import recording, runs  # noqa: E402
from ufmflow.numerics import train as training  # noqa: E402
from ufmflow.numerics.train import estimate, train, train_seeds  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

SMALL = {"formula": "a[2] * b[3]", "width": 16, "features": 8, "steps": 30, "snapshots": 6, "lr": 0.02}
NAMES = ["run.attributes.csv", "run.json", "run.npz"]


@pytest.fixture
def often(monkeypatch):
    """States are saved before every step, not every half minute."""
    monkeypatch.setattr(training, "SAVE_EVERY", -1.0)


def arrays_of(path):
    with np.load(path) as found:
        return dict(found)


def stop_at(stop):
    def progress(step, steps):
        if step == stop:
            raise KeyboardInterrupt

    return progress


def interrupt(out, stop, **options):
    with pytest.raises(KeyboardInterrupt):
        train("objects", out, progress=stop_at(stop), **SMALL | options)


WAYS = {
    "sgd": {},
    "momentum in batches": {"optimizer": "momentum", "batch": 4, "weight_decay_head": 0.1},
    "adamw on a schedule": {"optimizer": "adamw", "schedule": "cosine", "warmup": 5, "kernels": 3},
    "affine transformer": {"arch": "transformer", "layers": 1, "norm": "rmsnorm", "final_affine": True},
    "muon in steps": {"optimizer": "muon", "schedule": "step", "drop_every": 7, "batch": 5},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stop", [0, 13, 30])
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, often, way, stop):
    options = WAYS[way]
    if options.get("optimizer") == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("torch.optim has no Muon")
    whole = arrays_of(train("objects", tmp_path / "whole", **SMALL | options))
    interrupt(tmp_path / "run", stop, **options)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("run")] == ["run.partial"]
    seen = []
    path = train("objects", tmp_path / "run", progress=lambda step, steps: seen.append(step), **SMALL | options)
    found = arrays_of(path)
    assert seen[0] == stop  # it went on, and did not begin anew
    assert found.keys() == whole.keys() and all(np.array_equal(found[name], whole[name]) for name in whole)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("run")) == NAMES


def test_what_a_state_holds_is_what_the_run_goes_on_from(tmp_path, often):
    """Control: with the momentum lost, the run ends elsewhere."""
    options = {"optimizer": "momentum"}
    whole = arrays_of(train("objects", tmp_path / "whole", **SMALL | options))
    interrupt(tmp_path / "run", 13, **options)
    state = torch.load(tmp_path / "run.partial", weights_only=True)
    state["training"]["optimizers"][0]["state"] = {}
    torch.save(state, tmp_path / "run.partial")
    assert not np.array_equal(arrays_of(train("objects", tmp_path / "run", **SMALL | options))["W"][-1], whole["W"][-1])


def test_an_interrupted_run_of_other_settings_is_in_the_way(tmp_path, often):
    interrupt(tmp_path / "run", 13)
    before = (tmp_path / "run.partial").read_bytes()
    with pytest.raises(InputError, match="out: .*: lr is 0.02 there and 0.03 here; delete '.*run.partial'"):
        train("objects", tmp_path / "run", **SMALL | {"lr": 0.03})
    assert (tmp_path / "run.partial").read_bytes() == before


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no archive at all"])
def test_a_damaged_state_is_named(tmp_path, often, damage):
    interrupt(tmp_path / "run", 13)
    path = tmp_path / "run.partial"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="out: an interrupted run cannot be read .*; delete '.*run.partial'"):
        train("objects", tmp_path / "run", **SMALL)


def test_a_state_is_not_unpickled(tmp_path):
    """A pickle that would run code is refused."""
    torch.save({"plan": Bomb(str(tmp_path / "exploded"))}, tmp_path / "run.partial")
    with pytest.raises(InputError, match="cannot be read"):
        train("objects", tmp_path / "run", **SMALL)
    assert not (tmp_path / "exploded").exists()


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_state_is_written_whole_or_not_at_all(tmp_path, often, monkeypatch):
    interrupt(tmp_path / "run", 13)
    before = (tmp_path / "run.partial").read_bytes()

    def killed(*paths):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            train("objects", tmp_path / "run", **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]
    assert (tmp_path / "run.partial").read_bytes() == before


def test_short_runs_save_no_state(tmp_path):
    interrupt(tmp_path / "run", 13)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_diverges_leaves_no_state(tmp_path, often):
    with pytest.raises(InputError, match="lr: .* too large"):
        train("objects", tmp_path / "run", **SMALL | {"lr": 1e30})
    assert list(tmp_path.iterdir()) == []


def test_several_seeds_are_so_many_single_runs(tmp_path):
    seen = []
    paths = train_seeds("objects", tmp_path / "run", [2, 0], progress=lambda *a: seen.append(a), **SMALL)
    assert [path.name for path in paths] == ["run-seed2.npz", "run-seed0.npz"]
    alone = arrays_of(train("objects", tmp_path / "alone", seed=2, **SMALL))
    first, second = map(arrays_of, paths)
    assert all(np.array_equal(first[name], alone[name]) for name in alone)
    assert not np.array_equal(first["W"], second["W"])
    assert {total for _, total in seen} == {60} and seen == sorted(seen) and seen[-1] == (60, 60)


def test_finished_seeds_are_kept_and_the_rest_is_trained(tmp_path, often):
    whole = train_seeds("objects", tmp_path / "whole", range(3), **SMALL)
    with pytest.raises(KeyboardInterrupt):
        train_seeds("objects", tmp_path / "run", range(3), progress=stop_at(30 + 13), **SMALL)
    assert (tmp_path / "run-seed1.partial").exists()
    kept = (tmp_path / "run-seed0.npz").stat().st_mtime_ns
    seen = []
    paths = train_seeds("objects", tmp_path / "run", range(3), progress=lambda *a: seen.append(a[0]), **SMALL)
    assert seen[:2] == [30, 30 + 13]
    assert paths[0].stat().st_mtime_ns == kept
    for one, other in zip(whole, paths, strict=True):
        a, b = arrays_of(one), arrays_of(other)
        assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not list(tmp_path.glob("*.partial"))


def test_finished_seeds_of_other_settings_stop_everything_before_it_starts(tmp_path):
    train_seeds("objects", tmp_path / "run", [1], **SMALL)
    before = (tmp_path / "run-seed1.npz").read_bytes()
    with pytest.raises(InputError, match="run-seed1.npz is a run of other settings: steps is 30 there and 31 here"):
        train_seeds("objects", tmp_path / "run", [0, 1], **SMALL | {"steps": 31})
    assert (tmp_path / "run-seed1.npz").read_bytes() == before and not (tmp_path / "run-seed0.npz").exists()
    (tmp_path / "run-seed1.json").write_text("{")
    with pytest.raises(InputError, match="run-seed1.json cannot be read"):
        train_seeds("objects", tmp_path / "run", [0, 1], **SMALL)


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], ["a"], [0.5]])
def test_bad_seeds_are_refused(tmp_path, seeds):
    with pytest.raises(InputError, match="^seeds: "):
        train_seeds("objects", tmp_path / "run", seeds, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_tells_what_would_be_trained_and_trains_nothing(tmp_path):
    cost = estimate("objects", **SMALL | {"layers": 2, "kernels": 3})
    assert (cost["contexts"], cost["labels"]) == (6, 6)
    assert cost["parameters"] == (5 * 16 + 16) + (16 * 8 + 8) + 8 * 6
    assert 0 < cost["seconds_kernels"] < cost["seconds"] and cost["memory_bytes"] > 4 * cost["parameters"]
    path = train("objects", tmp_path / "run", **SMALL | {"layers": 2, "kernels": 3})
    told = json.loads(path.with_suffix(".json").read_text())
    assert recording.first_difference(told, cost["settings"]) is None
    assert recording.first_difference(told, cost["settings"] | {"lr": 1.0}) == "lr is 0.02 there and 1.0 here"
    longer = estimate("objects", **SMALL | {"layers": 2, "kernels": 3, "steps": 10**6})
    assert longer["seconds"] > 10 * cost["seconds"]
