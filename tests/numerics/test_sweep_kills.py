"""Sweeps whose processes are killed: nothing finished is lost or done twice, and the end is that of an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")

from ufmflow.numerics.sweep import fill_store, sweep
from ufmflow.numerics.sweep_errors import SweepError
from ufmflow.numerics.sweep_layout import blank
from ufmflow.numerics.sweep_load import load_sweep
from ufmflow.numerics.sweep_lock import read_log
from ufmflow.numerics.sweep_store import Store

CONFIG = {
    # Whole matrices, whose chunks take long enough to be killed in the middle.
    "model": {"attributes": "color[4] * shape[6]", "kernel": {"color": 1, "shape": 1, "residual": 0.1}},
    "simulate": {"t": 100.0, "full": True, "gaussian": 0.01, "rtol": 1e-4},
    "sweep": {
        "chunk": 1,
        "keep": [1.0, 100.0],
        "grid": {"seed": {"from": 0, "to": 11, "count": 12}},
    },
}
TOML = """
[model]
attributes = "color[4] * shape[6]"
kernel = { color = 1, shape = 1, residual = 0.1 }
[simulate]
t = 100.0
full = true
gaussian = 0.01
rtol = 1e-4
[sweep]
chunk = 1
keep = [1.0, 100.0]
[sweep.grid]
seed = { from = 0, to = 11, count = 12 }
"""
PATIENCE = 600  # seconds for a loaded machine


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return sweep(CONFIG, tmp_path_factory.mktemp("sweep") / "undisturbed.zarr")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "config.toml").write_text(TOML)
    return tmp_path / "config.toml"


def wait_for(condition, process=None):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end and (process is None or process.poll() is None), "it did not come to that"
        time.sleep(0.01)


def check(out, undisturbed, before):
    """The finished store is the undisturbed one's, each chunk was committed once, and those of `before` not begun again."""
    found = load_sweep(out)
    assert set(found.variables) == set(undisturbed.variables)
    for name in undisturbed.variables:
        same, known = found[name].values, undisturbed[name].values
        if same.dtype.kind == "f":  # BLAS sums in another order with other threads; seeds differ by a percent and more
            np.testing.assert_allclose(same, known, rtol=1e-5, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(same, known, err_msg=name)
    log = read_log(out)
    commits = Counter(entry["chunk"] for entry in log if entry["event"] == "commit")
    assert commits == dict.fromkeys(range(12), 1)
    begun = Counter(entry["chunk"] for entry in log if entry["event"] == "start")
    assert all(begun[chunk] == 1 for chunk in before)
    assert not [file for file in Path(out).rglob("*") if file.name.endswith(".partial") or file.name.startswith("tmp")]
    return begun


def committed(out):
    return (
        {int(name) for name in os.listdir(out / "status") if name.isdecimal()} if (out / "status").exists() else set()
    )


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def test_a_killed_client_is_resumed(tmp_path, config, undisturbed):
    out = tmp_path / "sweep.zarr"
    command = [Path(sys.executable).with_name("ufmflow"), "sweep", config, "--out", out, "--workers", "1"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        wait_for(lambda: len(committed(out)) >= 3, process)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    before = committed(out)
    assert 3 <= len(before) < 12
    half = load_sweep(out)
    assert int((half["status"] == 1).sum()) == len(before)
    assert int(half["final_loss"].notnull().sum()) == len(before)
    fill_store(CONFIG, out)
    check(out, undisturbed, before)


def test_a_killed_worker_s_chunk_is_done_by_another(tmp_path, undisturbed):
    out, killed, before = tmp_path / "sweep.zarr", [], set()

    def progress(done, total):
        if not killed:
            working = {entry["pid"] for entry in read_log(out)}
            assert os.getpid() not in working
            before.update(committed(out))
            killed.append(working.pop())
            kill(killed[0])

    fill_store(CONFIG, out, workers=2, progress=progress)
    assert killed
    check(out, undisturbed, before)


def test_a_killed_client_with_workers_leaves_no_one_who_writes(tmp_path, config, undisturbed):
    out = tmp_path / "sweep.zarr"
    command = [Path(sys.executable).with_name("ufmflow"), "sweep", config, "--out", out, "--workers", "2"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    try:
        wait_for(lambda: len(committed(out)) >= 1, process)
    finally:
        process.kill()
    process.wait()
    # Its workers may still finish what they have in hand: that is kept, and never done twice.
    before = committed(out)
    fill_store(CONFIG, out)
    check(out, undisturbed, before)


class Cluster:
    """A scheduler and a worker in processes of their own."""

    def __init__(self, folder):
        self.folder, self.processes = folder, {}

    def start(self):
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self._run("scheduler", "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file)
        wait_for(lambda: file.exists() and file.stat().st_size, self.processes["scheduler"])
        address = json.loads(file.read_text())["address"]
        self._run(
            "worker", "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "5"
        )
        return address

    def _run(self, name, *arguments):
        command = [str(Path(sys.executable).with_name("dask")), *map(str, arguments)]
        self.processes[name] = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    found = Cluster(tmp_path)
    yield found
    found.stop()


def test_a_killed_scheduler_stops_the_sweep_which_goes_on_with_a_new_one(tmp_path, cluster, undisturbed):
    out = tmp_path / "sweep.zarr"
    address = cluster.start()

    def progress(done, total):
        cluster.processes["scheduler"].kill()

    with pytest.raises(SweepError, match="the scheduler at .* was lost; what is finished is kept"):
        fill_store(CONFIG, out, scheduler=address, progress=progress)
    cluster.stop()
    before = committed(out)
    assert 1 <= len(before) < 12
    fill_store(CONFIG, out, scheduler=cluster.start())
    check(out, undisturbed, before)


def test_a_chunk_that_another_process_committed_is_not_written_again(tmp_path, undisturbed):
    """The negative control: the log does show a chunk that was computed twice, and the store keeps the first."""
    out = tmp_path / "sweep.zarr"
    store = fill_store(CONFIG, out)
    first = {name: column.copy() for name, column in load_sweep(out).variables.items()}
    wrong = {name: np.zeros_like(array) for name, array in blank(store.design, len(store.strata), len(store.design.of_chunk(0))).items()}
    assert not store.commit(0, wrong)
    np.testing.assert_array_equal(load_sweep(out)["final_loss"].values, first["final_loss"].values)
    (out / "status" / "0").unlink()
    assert Store(out).pending() == [0]
    fill_store(CONFIG, out)
    with pytest.raises(AssertionError):
        check(out, undisturbed, {0})
