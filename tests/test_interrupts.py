"""Ctrl-C: exit code 130, a sentence that says how to go on, and a state from which the same command does."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ufmflow.numerics import advice, phases, reproduce, sweep, verify
from ufmflow.numerics.interruption import held_interrupt
from ufmflow.numerics.sweep_layout import STATUS
from ufmflow.numerics.sweep_load import load_sweep

UFMFLOW = str(Path(sys.executable).with_name("ufmflow"))
PATIENCE = 300  # seconds for a loaded machine
SWEEP = """
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
[sweep.grid]
seed = { from = 0, to = 5, count = 6 }
"""


def interrupted(arguments, cwd, ready, stderr=subprocess.PIPE):
    """Start a command, send SIGINT to its group as a terminal does once it is ready; exit code and stderr."""
    process = subprocess.Popen(
        [UFMFLOW, *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
    )
    try:
        begun = time.monotonic()
        while not ready():
            assert process.poll() is None and time.monotonic() - begun < PATIENCE
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1]
    finally:
        process.kill()
    return process.returncode, said


def again(arguments, cwd):
    return subprocess.run([UFMFLOW, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_training_that_is_stopped_goes_on(tmp_path):
    pytest.importorskip("torch")
    arguments = [
        "train",
        "frames",
        "--width",
        "8",
        "--features",
        "8",
        "--steps",
        "3000",
        "--snapshots",
        "5",
        "--out",
        "run",
    ]
    ours, theirs = pty.openpty()
    seen = bytearray()
    os.set_blocking(ours, False)

    def read():
        with contextlib.suppress(BlockingIOError):
            while part := os.read(ours, 65536):
                seen.extend(part)

    def under_way():
        """A terminal has a progress bar, whose first steps show."""
        read()
        return any(f" {part}%".encode() in seen for part in range(1, 100))

    code, _ = interrupted(arguments, tmp_path, under_way, stderr=theirs)
    read()
    os.close(ours)
    os.close(theirs)
    assert code == 130
    assert b"run.partial keeps the run as it was" in seen and b"ufmflow train frames --width 8" in seen
    assert (tmp_path / "run.partial").is_file() and not (tmp_path / "run.npz").exists()
    done = again([*arguments, "--quiet"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "run.npz").is_file() and not (tmp_path / "run.partial").exists()


def test_a_sweep_that_is_stopped_goes_on(tmp_path):
    (tmp_path / "config.toml").write_text(SWEEP)
    arguments = ["sweep", "config.toml", "--out", "sweep.zarr", "--workers", "1"]
    logs = tmp_path / "sweep.zarr"

    def under_way():
        return any('"commit"' in log.read_text() for log in logs.rglob("*.jsonl")) if logs.exists() else False

    code, said = interrupted(arguments, tmp_path, under_way)
    assert code == 130 and "Traceback" not in said
    assert "finished runs are kept in sweep.zarr" in said and "ufmflow sweep config.toml" in said
    assert again(arguments, tmp_path).returncode == 0
    assert set(load_sweep(logs)["status"].values.ravel().tolist()) == {STATUS.index("done")}


def stop(*arguments, **options):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("module", "name", "arguments", "words"),
    [
        (sweep, "fill_store", ("sweep", "c.toml", "--out", "s.zarr"), "finished runs are kept in s.zarr"),
        (
            phases,
            "phase_diagram",
            ("phase", "emergence", "--store", "s", "--out", "f.pdf"),
            "finished runs are kept in s",
        ),
        (reproduce, "reproduce", ("reproduce", "--out", "r"), "trained networks are kept in r"),
        (verify, "verify", ("plan", "objects", "--verify", "--out", "r"), "trained networks are kept in r"),
    ],
)
def test_each_verb_says_how_to_go_on(command, monkeypatch, module, name, arguments, words):
    monkeypatch.setattr(module, name, stop)
    monkeypatch.setattr(advice, "plan", lambda *arguments, **options: None)
    code, out, err = command(*arguments)
    assert code == 130 and out == "" and words in err and f"ufmflow {' '.join(arguments)}" in err


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        (phases, "phase_diagram", ("phase", "emergence", "--out", "f.pdf")),
        (verify, "verify", ("plan", "objects", "--verify")),
        (reproduce, "quick", ("reproduce", "--quick", "--out", "r")),
    ],
)
def test_what_keeps_nothing_promises_nothing(command, monkeypatch, module, name, arguments):
    monkeypatch.setattr(module, name, stop)
    monkeypatch.setattr(advice, "plan", lambda *arguments, **options: None)
    assert command(*arguments) == (130, "", "ufmflow: interrupted.\n")


def test_a_second_interrupt_acts_at_once():
    with pytest.raises(KeyboardInterrupt), held_interrupt() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_interrupts_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_interrupt() as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
