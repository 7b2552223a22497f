"""What a sweep's store holds, and what it refuses: other designs, damage, other owners, more than there is room for."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ufmflow.numerics.simulate import simulate
from ufmflow.numerics.sweep import fill_store, plan_sweep, sweep
from ufmflow.numerics.sweep_design import Design
from ufmflow.numerics.sweep_errors import SweepError
from ufmflow.numerics.sweep_estimate import counted
from ufmflow.numerics.sweep_layout import size, strata_of
from ufmflow.numerics.sweep_load import load_sweep
from ufmflow.numerics.sweep_lock import Lock
from ufmflow.numerics.sweep_store import Store
from ufmflow.theory.errors import InputError
from ufmflow.theory.limits import limit
from ufmflow.theory.model import UFM

MODEL = {"attributes": "a[2] * b[3]", "kernel": {"a": 1, "b": 1, "residual": 0.1}}
GRID = {"ridge": [1e-3, 1e-2], "init": [1e-3, 1e-2, 1e-1]}


def config(grid=GRID, model=MODEL, t=100.0, **sweep):
    return {"model": model, "simulate": {"t": t}, "sweep": {"grid": grid, **sweep}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "sweep.zarr"
    fill_store(config(chunk=4, keep=[1.0, 50.0]), out)
    return out


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "copy.zarr"))


def test_each_run_is_what_simulate_makes_of_it(finished):
    found = load_sweep(finished)
    model = UFM("a[2] * b[3]", feature_kernel={"1": 5.1, "a": 3.1, "b": 2.1, "a:b": 0.1}, ridge=1e-2)
    times = np.union1d(np.geomspace(1e-3, 100.0, 4000), [0.0, 1.0, 50.0])
    alone, run = simulate(model, times, init=1e-2), {"ridge": 1e-2, "init": 1e-2}
    window = alone.window()
    for name in ("onset", "peak", "end", "height"):
        # `simulate` has it between output times, a sweep within the steps.
        assert float(found[f"window_{name}"].sel(run)) == pytest.approx(getattr(window, name), rel=3e-3)
    for name in ("w", "h", "z", "share_H", "share_W", "loss", "semantic_index"):
        kept = alone.data[name].sel(time=[1.0, 50.0]).values
        np.testing.assert_allclose(found[f"trajectory_{name}"].sel(run).values, kept, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(
            found[f"final_{name}"].sel(run).values, alone.data[name].values[-1], rtol=1e-6, atol=1e-12
        )
    other = found.sel(ridge=1e-3, init=1e-2)["final_z"].values
    assert not np.allclose(other, alone.data["z"].values[-1], rtol=1e-3)  # what tells runs apart


def test_long_runs_end_at_the_limit_of_the_theory():
    found = sweep(config({"ridge": [1e-2, 3e-2]}, t=1e4))
    for ridge in (1e-2, 3e-2):
        known = limit(UFM("a[2] * b[3]", ridge=ridge))
        for stratum in ("a", "b", "a:b"):
            assert float(found["final_z"].sel(ridge=ridge, stratum=stratum)) == pytest.approx(float(known[stratum][2]))


def test_xarray_reads_the_store_by_itself_with_its_provenance(finished):
    data = xr.open_zarr(finished)
    assert dict(data.sizes) == {"run": 6, "stratum": 4, "time": 2}
    assert data["status"].attrs["flag_meanings"].split()[int(data["status"][0])] == "done"
    attrs = data.attrs
    assert json.loads(attrs["configuration"])["sweep"]["grid"] == GRID
    assert {"python", "ufmflow", "numpy", "scipy", "sympy"} <= set(json.loads(attrs["versions"]))
    assert attrs["device"] == "cpu" and attrs["created"] and attrs["id"] and attrs["design"]


def test_structures_of_a_sweep_share_their_strata_by_name():
    found = sweep(config({"attributes": ["a[2] * b[3]", "a[3] / b[2]"]}, model={"attributes": "a[2]"}))
    assert list(found["stratum"].values) == ["1", "a", "b", "a:b"]
    lacks = found["final_h"].sel(attributes="a[3] / b[2]").isnull().values
    assert lacks.tolist() == [False, False, True, False]


def test_a_run_that_cannot_be_is_refused_alone_and_says_why():
    found = sweep(config({"attributes": ["a[2] * b[2]", "a[2] * b[3]"], "width": [4, 6]}, {"loss": "mse"}))
    assert found["status"].values.tolist() == [[1, 1], [3, 1]]
    assert "needs 6 directions" in str(found["problem"].values[1, 0])
    assert found["final_loss"].isnull().values.tolist() == [[False, False], [True, False]]


def test_whole_matrices_with_seeds():
    found = sweep({
        "model": {"attributes": "a[2] * b[2]", "width": 5},
        "simulate": {"t": 5.0, "full": True, "gaussian": 0.1, "rtol": 1e-4},
        "sweep": {"grid": {"seed": [0, 1]}},
    })  # fmt: skip
    one, other = found["final_loss"].values
    assert one != other and one == pytest.approx(other, rel=0.5)


def test_a_value_that_is_never_possible_is_refused_before_anything_runs(tmp_path):
    for grid, message in (
        ({"loss": ["mse", "hinge"]}, "hinge"),
        ({"kernel.c": [1.0]}, "'c'"),
        ({"width": [-1]}, "width"),
    ):
        with pytest.raises(InputError, match=message):
            sweep(config(grid), tmp_path / "out.zarr")
    assert list(tmp_path.iterdir()) == []


def test_another_design_is_refused_with_the_difference(finished):
    for other, message in (
        (
            config({**GRID, "ridge": [1e-3, 2e-2]}, chunk=4, keep=[1.0, 50.0]),
            r"sweep.grid.ridge is \[0.001, 0.01\] there",
        ),
        (config(chunk=4, keep=[1.0, 50.0], t=99.0), "simulate.t is 100.0 there and 99.0 here"),
        (config(chunk=5, keep=[1.0, 50.0]), "sweep.chunk is 4 there and 5 here"),
    ):
        with pytest.raises(InputError, match=message):
            fill_store(other, finished)
    assert fill_store(config(chunk=4, keep=[1.0, 50.0]), finished).counts()["done"] == 6


@pytest.mark.parametrize("foreign", ["file", "folder", "zarr", "trajectory"])
def test_foreign_stores_are_refused_and_left_alone(tmp_path, foreign):
    out = tmp_path / "out.zarr"
    if foreign == "file":
        out.write_text("mine")
    elif foreign == "folder":
        out.mkdir()
    elif foreign == "zarr":
        xr.Dataset({"x": ("run", [1.0])}).to_zarr(out, zarr_format=2)
    else:
        simulate(UFM("a[2]"), [1.0], out=out)
    before = sorted(out.rglob("*"))
    for attempt in (lambda: fill_store(config(), out), lambda: load_sweep(out)):
        with pytest.raises(InputError, match="is no store of a sweep; name another"):
            attempt()
    assert sorted(out.rglob("*")) == before


def flip(file):
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: (out / "final_h" / "1.0").unlink(),
        lambda out: (out / "final_h" / "1.0").write_bytes(b""),
        lambda out: (out / "status" / "0").write_bytes(b"\1"),
        lambda out: shutil.rmtree(out / "final_loss"),
        lambda out: (out / "final_loss" / ".zarray").write_text("{"),
        lambda out: flip(out / "trajectory_h" / "0.0.0"),
        lambda out: (out / "final_z" / "0.0").write_bytes((out / "final_z" / "0.0").read_bytes()[:-3]),
    ],
    ids=["missing", "empty", "cut status", "no array", "malformed", "a bit flipped", "cut"],
)
def test_damage_is_told(copy, damage):
    load_sweep(copy)
    damage(copy)
    with pytest.raises(InputError, match="is damaged .*; delete it, or name another"):
        load_sweep(copy)


def test_other_versions_do_not_go_on(copy):
    attrs = json.loads((copy / ".zattrs").read_text())
    attrs["versions"] = json.dumps({**json.loads(attrs["versions"]), "numpy": "1.0"})
    (copy / ".zattrs").write_text(json.dumps(attrs))
    with pytest.raises(InputError, match="was begun with numpy 1.0, not"):
        fill_store(config(chunk=4, keep=[1.0, 50.0]), copy)
    assert load_sweep(copy)["status"].values.tolist() == [[1] * 3] * 2  # reading needs no versions


def test_two_sweeps_on_one_store_are_refused(copy):
    (copy / "status" / "1").unlink()
    owner = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from ufmflow.numerics.sweep_lock import Lock\n"
         "lock = Lock(Path(sys.argv[1])); print('taken', flush=True); sys.stdin.read()", copy],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=copy.parent,
    )  # fmt: skip
    try:
        owner.stdout.readline()
        with pytest.raises(
            InputError, match=f"is being filled by process {owner.pid} on .*; let it finish, or stop it"
        ):
            fill_store(config(chunk=4, keep=[1.0, 50.0]), copy)
        assert Store(copy).pending() == [1]
    finally:
        owner.kill()
        owner.wait()
    fill_store(config(chunk=4, keep=[1.0, 50.0]), copy)
    assert Store(copy).pending() == []


def test_an_owner_on_another_host_counts_as_gone_only_when_its_heart_stops(copy):
    lock = copy / ".ufmflow" / "lock"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": 0}))
    with pytest.raises(InputError, match="process 1 on elsewhere"):
        Lock(copy)
    old = lock.stat().st_mtime - 61
    os.utime(lock, (old, old))
    with Lock(copy) as taken:
        assert taken.held()
        lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": 0}))
        assert not taken.held()


def test_a_full_disk_stops_the_sweep_and_commits_nothing_by_halves(copy, monkeypatch):
    (copy / "status" / "1").unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ufmflow.numerics.sweep_store._to_disk", full)
    with pytest.raises(SweepError, match="No space left on device; what is finished is kept"):
        fill_store(config(chunk=4, keep=[1.0, 50.0]), copy)
    assert Store(copy).pending() == [1]


def test_limits_are_held_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("ufmflow.numerics.sweep_run.PATIENCE", 1.0)
    out = tmp_path / "out.zarr"
    for limits, message in (
        ({"memory": 1e-3}, "memory: a worker needs about .* is its limit"),
        ({"space": 1e-9}, "space: the store needs about"),
        ({"hours": 1e-9}, "hours: the sweep takes about"),
        ({"memory": -1}, "memory: -1"),
        ({"workers": 0}, "workers: 0"),
        ({"device": "cuda"}, "device: 'cuda'"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "scheduler: none answers at"),
    ):
        with pytest.raises(InputError, match=message):
            fill_store(config(), out, **limits)
    assert not out.exists()


def test_the_estimate_of_the_store_is_near_its_size(finished):
    design = Store(finished).design
    on_disk = sum(-(-file.stat().st_size // 4096) * 4096 for file in finished.rglob("*") if file.is_file())
    assert 0.5 < size(design, 4) / on_disk < 2
    many = Design.of(config({"seed": {"from": 0, "to": 99_999, "count": 100_000}}))
    assert counted(many, many.chunks).store_bytes > 100_000 * 8 * (4 * 5 + 6) and strata_of(many) == strata_of(design)


def test_a_plan_writes_nothing(tmp_path):
    plan = plan_sweep(config(), tmp_path / "out.zarr")
    assert plan.estimate.runs == 6 and plan.estimate.seconds > 0 and plan.estimate.worker_bytes > 2**20
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(tmp_path):
    (tmp_path / "config.toml").write_text(
        '[model]\n[simulate]\nt = 10.0\n[sweep.grid]\nattributes = ["a[2]", "a[2] * b[2]"]\nwidth = [2, 4]\n'
    )

    def ufmflow(*arguments):
        command = [
            str(Path(sys.executable).with_name("ufmflow")),
            "sweep",
            "config.toml",
            "--out",
            "out.zarr",
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    dry = ufmflow("--dry-run", "--json")
    assert dry.returncode == 0 and json.loads(dry.stdout)["runs"] == 4 and not (tmp_path / "out.zarr").exists()
    done = ufmflow("--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == {"pending": 0, "done": 3, "failed": 0, "refused": 1}
    bad = ufmflow("--hours", "nan")
    assert bad.returncode == 2 and bad.stderr.startswith("ufmflow: hours: ") and "Traceback" not in bad.stderr
