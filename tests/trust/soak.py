"""A sweep that is filled again and again for so many minutes, its process killed at random moments.

One child after another fills the same store; each is killed, unless it finishes first, after a random time.  A finished
store is checked (every chunk committed once, the numbers those of an undisturbed sweep) and begun anew.  Between the
kills the growth of a child's memory and its open files are watched from outside, and the store is opened and read.
"""

import json
import os
import random as randoms
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

CONFIG = {
    "model": {"attributes": "a[2] * b[3]", "kernel": {"a": 1, "b": 1, "residual": 0.1}},
    "simulate": {"t": 1e3},
    "sweep": {
        "chunk": 8,
        "keep": [1.0, 1e3],
        "grid": {"init": {"from": 0.001, "to": 0.1, "count": 400, "scale": "log"}},
    },
}
CHILD = (
    "import json, sys; from ufmflow.numerics.sweep import fill_store; fill_store(json.loads(sys.argv[1]), sys.argv[2])"
)
MOST_GROWTH = 2**28  # bytes that a child may take beyond what it had when its first chunk was committed
MOST_FILES = 64


def campaign(minutes: float, seed: int = 0) -> dict:
    """Kills, resumptions, finished sweeps, the largest growth of memory and number of open files, and problems."""
    from ufmflow.numerics.sweep import fill_store
    from ufmflow.numerics.sweep_load import load_sweep

    random, begun = randoms.Random(seed), time.time()
    told = {"minutes": minutes, "kills": 0, "begun": 0, "finished_sweeps": 0, "opened_between": 0,
            "largest_growth_bytes": 0, "largest_open_files": 0, "problems": []}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        known = load_sweep(fill_store(CONFIG, Path(place, "undisturbed.zarr")).path)
        store = Path(place, "sweep.zarr")
        while time.time() - begun < 60 * minutes:
            process = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(CONFIG), str(store)])
            told["begun"] += 1
            life, since = random.expovariate(1 / 3.0), time.time()
            before = _committed(store)
            first = None
            while process.poll() is None:
                time.sleep(0.05)
                memory, files = _watched(process.pid)
                if memory and len(_committed(store)) > len(before):
                    if first is None:  # a life counts from the first chunk on, so that a busy machine gets on too
                        first, since = memory, time.time()
                    told["largest_growth_bytes"] = max(told["largest_growth_bytes"], memory - first)
                told["largest_open_files"] = max(told["largest_open_files"], files)
                if first is not None and time.time() - since > life:
                    process.kill()
                    told["kills"] += 1
                    break
            code = process.wait()
            if code not in (0, -9):
                told["problems"].append(f"a child ended with {code}")
                break
            if store.exists():
                lost = before - _committed(store)
                if lost:
                    told["problems"].append(f"chunks {sorted(lost)} were finished and are gone")
                half = load_sweep(store)
                told["opened_between"] += 1
                if int((half["status"] == 1).sum()) != 8 * len(_committed(store)):
                    told["problems"].append("status and chunks differ")
            if code == 0:
                told["problems"] += _differences(load_sweep(store), known, store)
                told["finished_sweeps"] += 1
                shutil.rmtree(store)
    if told["largest_growth_bytes"] > MOST_GROWTH or told["largest_open_files"] > MOST_FILES:
        told["problems"].append("memory or open files grew beyond the bound")
    return told | {"seconds": time.time() - begun}


def _committed(store: Path) -> set[str]:
    status = store / "status"
    return {name for name in os.listdir(status) if name.isdecimal()} if status.is_dir() else set()


def _watched(pid: int) -> tuple[int, int]:
    """Bytes in memory and open files of a process; zeros when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, IndexError):
        return 0, 0


def _differences(found, known, store: Path) -> list[str]:
    """What is other than in an undisturbed sweep."""
    from ufmflow.numerics.sweep_lock import read_log

    wrong = [
        f"{name} differs" for name in known.data_vars if found[name].values.tobytes() != known[name].values.tobytes()
    ]
    commits = Counter(entry["chunk"] for entry in read_log(store) if entry["event"] == "commit")
    return wrong + [f"chunk {chunk} was committed {n} times" for chunk, n in commits.items() if n > 1]
