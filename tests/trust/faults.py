"""Faults at random moments of a job that keeps its progress on disk, and what of it is there afterwards.

A job runs in a child of this process and meets one fault:

    kill          kill -9, after a random part of its time, or at a random one of its calls that touch files
    full disk     its folder lies on a small file system, which is enlarged afterwards
    read-only     that file system is made read-only at a random moment, and writable again afterwards
    clock         the clock jumps by days, back or forth, again and again, and files' times with it
    truncated     killed, then one of the files that it left is cut

Then the same job is given again.  It must end with what an undisturbed one has, keep every file that was finished and
do no finished piece twice; after `truncated` it may instead refuse in one sentence (`InputError`) that names what to
delete, and must end well once that is deleted.  Mounting needs root on Linux; without it the two faults on file systems
are left out, and counted as such.
"""

import hashlib
import json
import os
import random as randoms
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ufmflow.numerics.simulate import simulate
from ufmflow.numerics.sweep import fill_store
from ufmflow.numerics.sweep_errors import SweepError
from ufmflow.numerics.sweep_load import load_sweep
from ufmflow.numerics.sweep_lock import read_log
from ufmflow.numerics.trajectory import Trajectory
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

FAULTS = ("kill", "full disk", "read-only", "clock", "truncated")
PATIENCE = 300.0  # seconds for one child


@dataclass(frozen=True)
class Job:
    """Something that is done to the end, or gone on with.

    Attributes
    ----------
    run : callable (folder)
    result : callable (folder) -> anything that compares, of a finished job
    finished : callable (folder) -> dict from name to a digest: what is finished and must stay as it is
    twice : callable (folder, finished before) -> what was done again though it was finished
    """

    run: Callable[[Path], None]
    result: Callable[[Path], object]
    finished: Callable[[Path], dict[str, str]]
    twice: Callable[[Path, dict[str, str]], list[str]]


def digest(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def arrays_in(path: Path) -> dict[str, bytes]:
    """Names and contents of the arrays of a .npz."""
    with np.load(path) as found:
        return {name: found[name].tobytes() for name in found.files}


def nothing_twice(folder: Path, before: dict[str, str]) -> list[str]:
    """For jobs whose finished files tell it themselves: they would be other files."""
    return []


# Training

OPTIONS = {"formula": "a[2] * b[2]", "layers": 2, "width": 8, "features": 6, "lr": 0.02, "steps": 25, "snapshots": 5}


def run_training(folder: Path) -> None:
    """Two seeds, with the state saved before every step."""
    from ufmflow.numerics import train

    train.SAVE_EVERY = -1.0
    train.train_seeds("objects", folder / "run", [0, 1], **OPTIONS)


def trained(folder: Path) -> dict:
    """The arrays of both runs, read back as runs."""
    from ufmflow.numerics.runs import load_run

    for seed in (0, 1):
        assert len(load_run(folder / f"run-seed{seed}").time) > 3
    return {seed: arrays_in(folder / f"run-seed{seed}.npz") for seed in (0, 1)}


def finished_runs(folder: Path) -> dict[str, str]:
    """A run's .npz is written last."""
    return {path.name: digest(path) + str(path.stat().st_ino) for path in folder.glob("run-seed?.npz")}


# Recording a loop of the user's own


def run_recording(folder: Path) -> None:
    """A loop with checkpoints of its own every seven steps, recorded by StrataRecorder."""
    import torch

    from ufmflow.numerics.recorder import StrataRecorder

    if (folder / "mine.npz").exists():
        return
    torch.manual_seed(0)
    torch.set_num_threads(1)
    norm = torch.nn.LayerNorm(3, elementwise_affine=False)
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), norm, torch.nn.Linear(3, 4, bias=False))
    sgd, begin = torch.optim.SGD(network.parameters(), lr=0.1), 0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        try:
            state = torch.load(checkpoint, weights_only=True)
        except Exception:  # cut: a user deletes it and begins anew
            raise InputError(f"path: the user's own checkpoint cannot be read; delete {str(checkpoint)!r}.") from None
        begin = state["step"]
        network.load_state_dict(state["network"])
    table = {"color": ["red", "red", "blue", "blue"], "shape": ["disc", "cube", "disc", "cube"]}
    with StrataRecorder(
        folder / "mine",
        features=(network, norm),
        head=network[2],
        inputs=torch.eye(4),
        attributes=table,
        steps=60,
        snapshots=12,
        optimizer=sgd,
    ) as recorder:
        recorder(begin)
        for step in range(begin + 1, 61):
            sgd.zero_grad()
            torch.nn.functional.cross_entropy(network(torch.eye(4)), torch.arange(4)).backward()
            sgd.step()
            recorder(step)
            if step % 7 == 0:
                torch.save({"step": step, "network": network.state_dict()}, folder / "checkpoint.new")
                os.replace(folder / "checkpoint.new", checkpoint)


def recorded(folder: Path) -> dict:
    """The arrays of the run, read back as a run."""
    from ufmflow.numerics.runs import load_run

    assert abs(load_run(folder / "mine").time[-1] - 6.0) < 1e-9
    found = arrays_in(folder / "mine.npz")
    # A sum of learning rates from a checkpoint on is rounded otherwise.
    found["time"] = np.round(np.load(folder / "mine.npz")["time"], 9).tobytes()
    return found


def finished_recording(folder: Path) -> dict[str, str]:
    """The run once it is there, and until then the recorded steps before the last checkpoint."""
    if (folder / "mine.npz").exists():
        return {"mine.npz": digest(folder / "mine.npz")}
    return {}


# Sweeps

CONFIG = {
    "model": {"attributes": "a[2] * b[3]", "kernel": {"a": 1, "b": 1, "residual": 0.1}},
    "simulate": {"t": 100.0},
    "sweep": {"chunk": 1, "keep": [1.0, 100.0], "grid": {"init": {"from": 0.01, "to": 0.1, "count": 8}}},
}


def run_sweep(folder: Path) -> None:
    """Eight chunks of one run each."""
    fill_store(CONFIG, folder / "sweep.zarr")


def swept(folder: Path) -> dict:
    """Every variable of the finished store, each chunk committed once, and nothing left behind."""
    found = load_sweep(folder / "sweep.zarr")
    commits = Counter(entry["chunk"] for entry in read_log(folder / "sweep.zarr") if entry["event"] == "commit")
    assert all(count == 1 for count in commits.values()), commits
    left = [file.name for file in (folder / "sweep.zarr").rglob("*") if file.name.endswith(".partial")]
    assert not left, left
    return {name: found[name].values.tobytes() for name in ("final_loss", "share_H", "status") if name in found}


def committed(folder: Path) -> dict[str, str]:
    """The chunks that count as finished."""
    status = folder / "sweep.zarr" / "status"
    if not status.is_dir():
        return {}
    numbers = [name for name in os.listdir(status) if name.isdecimal()]
    return {n: digest(status / n) + digest(folder / "sweep.zarr" / "final_loss" / n) for n in numbers}


def begun_again(folder: Path, before: dict[str, str]) -> list[str]:
    """Finished chunks that the log has begun more than once."""
    begun = Counter(str(entry["chunk"]) for entry in read_log(folder / "sweep.zarr") if entry["event"] == "start")
    return [chunk for chunk in before if begun[chunk] > 1]


# Simulations, and forecasts written down before the training that they are held to


def run_simulation(folder: Path) -> None:
    """Three trajectories saved one after another."""
    for number in range(3):
        if not (folder / f"{number}.zarr").exists():
            simulate(UFM("a[2] * b[3]"), 50.0, init=1e-3 * (number + 1), out=folder / f"{number}.zarr")


def simulated(folder: Path) -> list:
    """All three, read back."""
    return [Trajectory.load(folder / f"{number}.zarr").data["h"].values.tobytes() for number in range(3)]


def saved(folder: Path) -> dict[str, str]:
    """The stores that are there."""
    return {
        str(path.relative_to(folder)): digest(path)
        for store in folder.glob("?.zarr")
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def run_reproduction(folder: Path) -> None:
    """One setting, two seeds; a run that is there is kept."""
    from ufmflow.numerics.reproduce import reproduce

    options = OPTIONS | {"steps": 30, "snapshots": 4}
    reproduce(folder / "report", seeds=[0, 1], settings=("objects",), **options)


def reproduced(folder: Path) -> tuple:
    """Forecasts and runs; the report is there and whole."""
    assert "</html>" in (folder / "report" / "index.html").read_text()
    runs = folder / "report" / "runs"
    told = json.loads((folder / "report" / "reproduction.json").read_text())
    return told["forecasts"], [arrays_in(path) for path in sorted(runs.glob("objects-seed?.npz"))]


def finished_reproduction(folder: Path) -> dict[str, str]:
    """The trained runs that are there."""
    return {path.name: digest(path) for path in (folder / "report" / "runs").glob("objects-seed?.npz")}


JOBS = {
    "train": Job(run_training, trained, finished_runs, nothing_twice),
    "record": Job(run_recording, recorded, finished_recording, nothing_twice),
    "sweep": Job(run_sweep, swept, committed, begun_again),
    "simulate": Job(run_simulation, simulated, saved, nothing_twice),
    "reproduce": Job(run_reproduction, reproduced, finished_reproduction, nothing_twice),
}


# Children and their faults


def in_child(job: Job, folder: Path, meet: Callable[[], None] = lambda: None, after: float | None = None,
             then: Callable[[int], None] = lambda pid: None) -> tuple[str, str]:  # fmt: skip
    """How the job ended in a child, and what it said: done, refused (InputError, SweepError), failed, killed, stuck."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 4
        try:
            os.close(reading)
            os.setpgid(0, 0)
            warnings.simplefilter("ignore")
            meet()
            job.run(folder)
            code = 0
        except (InputError, SweepError) as error:
            code = 3
            os.write(writing, str(error).encode()[:4000])
        except OSError as error:
            code = 5
            os.write(writing, f"{type(error).__name__}: {error}".encode()[:4000])
        except BaseException as error:  # the parent tells what it was
            os.write(writing, f"{type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(code)
    os.close(writing)
    if after is not None:
        time.sleep(after)
        then(pid)
    end, status = time.monotonic() + PATIENCE, None
    while status is None:
        done, found = os.waitpid(pid, os.WNOHANG)
        if done:
            status = found
        elif time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reading)
            return "stuck", ""
        else:
            time.sleep(0.005)
    told = os.read(reading, 4096).decode(errors="replace")
    os.close(reading)
    if os.WIFSIGNALED(status):
        return "killed", str(os.WTERMSIG(status))
    code = os.WEXITSTATUS(status)
    return {0: "done", 3: "refused", 5: "system"}.get(code, "failed"), told


def at_call(number: int, act: Callable[[], bool], folder: Path) -> None:
    """Do something, until it works, at so manyth of the calls that touch the job's files or the next ones."""
    count, place = [0], str(folder)

    def hook(event: str, arguments: tuple) -> None:
        if event.split(".")[0] in ("open", "os", "shutil") and place in str(arguments[:2]):
            count[0] += 1
            if count[0] == number and not act():
                count[0] -= 1

    sys.addaudithook(hook)


def jumping_clock(seed: int) -> None:
    """time.time, and with it whatever asks for the time of day, leaps by up to a month."""
    random, real = randoms.Random(seed), time.time
    time.time = lambda: real() + random.uniform(-3e6, 3e6)  # type: ignore[assignment]


class SmallDisk:
    """A file system of so many bytes in memory."""

    def __init__(self, size: int):
        self.place = tempfile.mkdtemp(prefix="small-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.place], check=True)

    def again(self, options: str) -> bool:
        """Mount it anew; read-only is refused while a file is open for writing."""
        command = ["mount", "-o", f"remount,{options}", self.place]
        return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0

    def close(self) -> None:
        """Unmount and remove it."""
        subprocess.run(["umount", "-l", self.place], check=True)
        os.rmdir(self.place)


def can_mount() -> bool:
    """Whether small file systems can be made here."""
    try:
        SmallDisk(65536).close()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def trial(name: str, fault: str, number: int, undisturbed: object, seconds: float, calls: int, space: int) -> dict:
    """One fault in one job, and what came of it."""
    job, random = JOBS[name], randoms.Random(f"{name}:{fault}:{number}")
    told: dict = {"job": name, "fault": fault, "number": number}
    room = int(random.uniform(0.05, 0.95) * space) if fault == "full disk" else 2**26
    disk = SmallDisk(max(8192, room)) if fault in FAULTS[1:3] else None
    folder = Path(disk.place if disk else tempfile.mkdtemp(prefix="fault-"), "work")
    folder.mkdir()
    try:
        call = random.randint(1, max(1, calls))
        by_call = random.random() < 0.6
        part = random.uniform(0.0, 1.0) * seconds

        def die() -> bool:
            os.kill(os.getpid(), signal.SIGKILL)
            return True

        if fault in ("kill", "truncated"):
            if by_call:
                ended = in_child(job, folder, lambda: at_call(call, die, folder))
            else:
                ended = in_child(job, folder, after=part, then=lambda pid: suppressed_kill(pid))
        elif fault == "read-only" and disk:
            ended = in_child(job, folder, lambda: at_call(call, lambda: disk.again("ro"), folder))
            disk.again("rw")
        elif fault == "clock":
            ended = in_child(job, folder, lambda: (jumping_clock(number), at_call(call, die, folder)))
            for file in folder.rglob("*"):
                os.utime(file, (1e9 + random.uniform(-1e8, 1e9),) * 2)
        else:
            ended = in_child(job, folder)
        told["ended"] = ended[0]
        if ended[0] in ("failed", "stuck"):
            return told | {"problem": f"under the fault: {ended[0]} {ended[1]}"}
        if disk:
            disk.again(f"size={2**26}")
        before = job.finished(folder)
        if fault == "truncated":
            told["cut"] = cut_a_file(folder, random)
            before = {}
        told["kept"] = len(before)
        went_on = in_child(job, folder, (lambda: jumping_clock(-number)) if fault == "clock" else (lambda: None))
        for _ in range(3):
            if fault == "truncated" and went_on[0] == "refused":
                told["refused"] = went_on[1].replace(f"{folder}/", "")[:300]
                if not delete_what_is_named(went_on[1], folder):
                    return told | {"problem": f"the refusal names nothing that could be deleted: {went_on[1][:300]}"}
                went_on = in_child(job, folder)
        if went_on[0] != "done":
            return told | {"problem": f"given again: {went_on[0]} {went_on[1]}"}
        after = job.finished(folder)
        lost = [piece for piece in before if after.get(piece) != before[piece]]
        if lost:
            return told | {"problem": f"finished and not kept: {lost}"}
        again = job.twice(folder, before)
        if again:
            return told | {"problem": f"finished and begun again: {again}"}
        try:
            try:
                found = job.result(folder)
            except InputError as error:  # a finished file was cut, which is noticed when it is read
                if fault != "truncated" or not delete_what_is_named(str(error), folder):
                    raise
                told["refused"] = str(error).replace(f"{folder}/", "")[:300]
                if in_child(job, folder)[0] != "done":
                    raise
                found = job.result(folder)
        except Exception as error:
            return told | {"problem": f"not to be read afterwards: {type(error).__name__}: {error}"[:500]}
        if found != undisturbed:
            return told | {"problem": "the end is another than that of an undisturbed job"}
        told["strays"] = len([p for p in folder.rglob(".ufmflow-*")])
        return told
    finally:
        if disk:
            disk.close()
        else:
            shutil.rmtree(folder.parent, ignore_errors=True)


def suppressed_kill(pid: int) -> None:
    """kill -9; the child may have ended already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def cut_a_file(folder: Path, random: randoms.Random) -> str | None:
    """Cut one of the files that are there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        return None
    file = random.choice(files)
    os.truncate(file, random.randrange(file.stat().st_size))
    return str(file.relative_to(folder))


def delete_what_is_named(text: str, folder: Path) -> bool:
    """Do as a refusal says: delete the files or folders of the job that it names; a run's parts go together."""
    deleted = False
    if "earlier checkpoint" in text and (folder / "checkpoint.pt").exists():  # the user's own: there is none earlier
        (folder / "checkpoint.pt").unlink()
        deleted = True
    names = {word for word in re.findall(r"[\w./-]+", text)} | {part for part in re.findall(r"'([^']+)'", text)}
    for name in sorted(names, key=len, reverse=True):
        # `run.npz.` at a sentence's end
        for found in [folder / name.rstrip("."), *folder.rglob(Path(name.rstrip(".")).name or "none")]:
            if found.exists() and folder in found.resolve().parents:
                if found.is_dir():
                    shutil.rmtree(found)
                else:
                    for part in found.parent.glob(found.name.split(".")[0] + ".*"):
                        if part.is_file():
                            part.unlink()
                    found.unlink(missing_ok=True)
                deleted = True
    return deleted


def undisturbed_of(name: str) -> tuple[object, float, int, int]:
    """The end of a job that nothing disturbs, its seconds, its calls that touch files, and the bytes that it takes."""
    job, folder = JOBS[name], Path(tempfile.mkdtemp(prefix="fault-"), "work")
    folder.mkdir()
    counted = Path(tempfile.mkdtemp(prefix="fault-"), "calls")
    count = [0]

    def meet() -> None:
        def hook(event: str, arguments: tuple) -> None:
            if event.split(".")[0] in ("open", "os", "shutil") and str(folder) in str(arguments[:2]):
                count[0] += 1

        sys.addaudithook(hook)

    def run(place: Path) -> None:
        job.run(place)
        counted.write_text(str(count[0]))

    wrapped = Job(run, job.result, job.finished, job.twice)
    begun = time.monotonic()
    ended = in_child(wrapped, folder, meet)
    assert ended[0] == "done", ended
    seconds = time.monotonic() - begun
    result = job.result(folder)
    space = sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*"))
    shutil.rmtree(folder.parent)
    return result, seconds, int(counted.read_text()), space


def campaign(faults: int, jobs: tuple[str, ...] = tuple(JOBS), first: int = 0, log: Callable = lambda *_: None) -> dict:
    """So many faults, spread over jobs and kinds."""
    begun = time.time()
    warnings.simplefilter("ignore")
    for name in jobs:  # what is loaded and compiled here, children share
        with tempfile.TemporaryDirectory() as place:
            JOBS[name].run(Path(place))
    kinds = FAULTS if can_mount() else tuple(f for f in FAULTS if f not in ("full disk", "read-only"))
    known = {name: undisturbed_of(name) for name in jobs}
    pairs = [(name, fault) for name in jobs for fault in kinds]
    rows = []
    for number in range(first, first + faults):
        name, fault = pairs[number % len(pairs)]
        if name == "reproduce" and number // len(pairs) % 8:  # takes longest: an eighth of them
            name = "record"
        rows.append(trial(name, fault, number, *known[name]))
        log(rows, kinds, time.time() - begun)
    return summary(rows, kinds, time.time() - begun)


def summary(rows: list[dict], kinds: tuple[str, ...], seconds: float) -> dict:
    """Counts by job and fault, problems, and what was refused and then mended."""
    counts: dict = {}
    for row in rows:
        cell = counts.setdefault(row["job"], {}).setdefault(row["fault"], Counter())
        cell["tried"] += 1
        cell["interrupted"] += row.get("ended") != "done"
        cell["problems"] += "problem" in row
    return {
        "faults": len(rows), "counts": counts, "left_out": [f for f in FAULTS if f not in kinds],
        "interrupted": sum(row.get("ended") != "done" for row in rows),
        "problems": [row for row in rows if "problem" in row],
        "refused_then_mended": [row for row in rows if "refused" in row and "problem" not in row],
        "seconds": seconds,
    }  # fmt: skip
