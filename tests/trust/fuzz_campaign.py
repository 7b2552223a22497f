"""A campaign: so many inputs through one reader, in a process with little memory whose doings are watched.

A finding is an input that raises anything but `InputError`, ends or stops the process, takes longer than LIMIT seconds
or more memory than ROOM, or that makes the reader unpickle, run a program, or open a file outside its folder.  The seed
and the number of an input give it again: python tests/trust/fuzz_campaign.py TARGET SEED FIRST LAST.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random

LIMIT = 10.0  # seconds of the processor for one input
ROOM = 2**30  # bytes beyond what the process has when it starts
STALLED = 300.0  # seconds of the clock without an input done: the process is ended
MOST = 40  # findings told in full
NEVER = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
# What a pickle needs to do harm; dask and SymPy unpickle their own, harmless things.
HARMFUL = ("builtins", "io", "_io", "os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "importlib")


class Watch:
    """An audit hook that notes what no reader may do; it knows when a reader is at work."""

    def __init__(self, folder: Path):
        self.folder, self.on, self.seen = str(folder), False, []
        roots = {sys.prefix, sys.base_prefix, os.path.dirname(os.path.abspath(__file__)), "/dev", "/proc", "/sys"}
        import ufmflow

        roots |= {str(Path(ufmflow.__file__).resolve().parents[1]), *(p for p in sys.path if p)}
        self.readable = tuple(os.path.realpath(root) for root in roots)

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event.startswith(NEVER) or event == "pickle.find_class" and arguments[0] in HARMFUL:
            self.seen.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            path, flags = os.path.realpath(os.fsdecode(arguments[0])), arguments[2] or 0
            inside = path.startswith(self.folder)
            library = path.startswith(self.readable)
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) and not path.endswith(".pyc")
            if not inside and (writes or not library):
                self.seen.append(f"open {path} {'to write' if writes else ''}".strip())


def child(name: str, seed: int, first: int, last: int, report: Path) -> None:
    """Read the inputs first..last-1; one JSON line for each finding, and the number of the input in `report`/at."""
    from fuzz_targets import TARGETS

    from ufmflow.theory.errors import InputError

    warnings.simplefilter("ignore")
    target, folder = TARGETS[name], report / "input"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    watch = Watch(folder)
    sys.addaudithook(watch)
    target.write(target.draw(Random(f"{seed}:warm")), folder)
    for _ in range(3):  # libraries are loaded before memory is limited
        try:
            target.read(folder)
        except InputError:
            pass
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    at = os.open(report / "at", os.O_RDWR | os.O_CREAT)
    tally = {"accepted": 0, "refused": 0, "slowest": 0.0}

    def found(number: int, what: str, told: str = "") -> None:
        line = {"number": number, "what": what, "told": told[-1500:]}
        with open(report / "findings.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def too_long(*_: object) -> None:
        raise TimeoutError("no end in sight")

    signal.signal(signal.SIGVTALRM, too_long)
    for number in range(first, last):
        os.pwrite(
            at, f"{number:>12} {tally['accepted']:>12} {tally['refused']:>12} {tally['slowest']:>12.4f}".encode(), 0
        )
        target.write(target.draw(Random(f"{seed}:{number}")), folder)
        begun, watch.on, failed = time.process_time(), True, None
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
        try:
            target.read(folder)
            tally["accepted"] += 1
        except InputError:
            tally["refused"] += 1
        except BaseException as error:  # whatever it is, it is a finding
            failed = f"{type(error).__name__}: {error}"[:300], traceback.format_exc()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            watch.on = False
        if failed:
            found(number, *failed)
        tally["slowest"] = max(tally["slowest"], time.process_time() - begun)
        if watch.seen:
            found(number, f"did: {watch.seen[0]}")
            watch.seen.clear()
    os.pwrite(at, f"{last:>12} {tally['accepted']:>12} {tally['refused']:>12} {tally['slowest']:>12.4f}".encode(), 0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (report / "end.json").write_text(json.dumps({**tally, "peak_rss": grown, "before": used}))


def campaign(name: str, inputs: int, seed: int = 0, first: int = 0) -> dict:
    """Counts and findings of a campaign; a process that ends or stops is a finding, and another goes on after it."""
    begun, number, last = time.time(), first, first + inputs
    total = {"accepted": 0, "refused": 0, "slowest": 0.0, "ended": 0}
    findings: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as place:
        report = Path(place).resolve()
        while number < last:
            for old in ("at", "end.json"):
                (report / old).unlink(missing_ok=True)
            command = [sys.executable, __file__, name, str(seed), str(number), str(last), str(report)]
            process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            told = _watched(process, report)
            at, accepted, refused, slowest = _at(report, number)
            total["accepted"] += accepted
            total["refused"] += refused
            total["slowest"] = max(total["slowest"], slowest)
            if process.returncode == 0 and at == last:
                end = json.loads((report / "end.json").read_text())
                total["peak_rss"] = end["peak_rss"]
                break
            findings.append(
                {"number": at, "what": f"the process ended with {process.returncode}", "told": told[-1500:]}
            )
            total["ended"] += 1
            number = at + 1
            if total["ended"] > 200:
                last = number
        if (report / "findings.jsonl").exists():
            findings += [json.loads(line) for line in (report / "findings.jsonl").read_text().splitlines()]
        marked = [str(p) for p in report.rglob("*") if "ran-from-a-file" in p.name]
        findings += [{"number": None, "what": f"a pickle ran: {p}", "told": ""} for p in marked]
    kinds: dict[str, int] = {}
    for finding in findings:
        kind = finding["what"].split(":")[0][:80]
        kinds[kind] = kinds.get(kind, 0) + 1
    return {
        "target": name, "seed": seed, "inputs": last - first, **total, "findings": len(findings), "kinds": kinds,
        "first_findings": findings[:MOST], "seconds": time.time() - begun,
    }  # fmt: skip


def _watched(process: subprocess.Popen, report: Path) -> str:
    """Wait for the process, and end it when no input is done for long; what it told."""
    seen, since = "", time.monotonic()
    while True:
        try:
            return process.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            now = (report / "at").read_text() if (report / "at").exists() else ""
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED:
                process.kill()
                return "no input was done for long\n" + (process.communicate()[1] or "")


def _at(report: Path, number: int) -> tuple[int, int, int, float]:
    if not (report / "at").exists():
        return number, 0, 0, 0.0
    at, accepted, refused, slowest = (report / "at").read_text().split()
    return int(at), int(accepted), int(refused), float(slowest)


if __name__ == "__main__":
    where = Path(sys.argv[5]) if len(sys.argv) > 5 else Path(tempfile.mkdtemp())
    child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), where.resolve())
    if len(sys.argv) == 5:
        print((where / "findings.jsonl").read_text() if (where / "findings.jsonl").exists() else "nothing found")
        shutil.rmtree(where)
