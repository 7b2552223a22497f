"""Run a part of what is tried to break ufmflow, and keep what was found.

    python tests/trust/run.py --part fuzz --inputs 100000        every reader; goes on where it stopped
    python tests/trust/run.py --part faults --number 200
    python tests/trust/run.py --part hostile
    python tests/trust/run.py --part calibration --number 1000   goes on where it stopped
    python tests/trust/run.py --part mutants --number 300        likewise
    python tests/trust/run.py --part soak --minutes 10
    python tests/trust/run.py --page                             docs/trust.md from what was found

Results lie in tests/trust/results, one JSON file a part, with machine, versions and date.  Everything is drawn from
seeds, so that a number in a result gives the same input again.
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
SLICE = 2500  # inputs, after which a campaign of fuzzing is written down
SEED = 2026
PACKAGES = ("ufmflow", "numpy", "scipy", "sympy", "xarray", "zarr", "numcodecs", "h5py", "torch", "safetensors")


def about() -> dict:
    """Machine, versions and date."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {cores} cores shared with other work",
        "versions": found,
    }


def write(name: str, found: dict) -> None:
    """Keep a result."""
    RESULTS.mkdir(exist_ok=True)
    temporary = RESULTS / f".{name}.json"
    temporary.write_text(json.dumps({**about(), **found}, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, RESULTS / f"{name}.json")


def read(name: str) -> dict:
    """A result that is there, or nothing."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def fuzz(inputs: int, until: float, only: str | None) -> None:
    """Slices of every reader in turn, until each has so many inputs or time is over."""
    import fuzz_campaign
    import fuzz_targets

    names = only.split(",") if only else list(fuzz_targets.TARGETS)
    while time.time() < until:
        found = read("fuzz").get("targets", {})
        left = {n: inputs - found[n]["inputs"] if n in found else inputs for n in names}
        name = max(left, key=lambda n: left[n])
        if left[name] <= 0:
            return
        before = found.get(name)
        part = fuzz_campaign.campaign(name, min(SLICE, left[name]), SEED, before["inputs"] if before else 0)
        write("fuzz", {"targets": found | {name: merged(before, part)}})


def merged(before: dict | None, part: dict) -> dict:
    """Two stretches of one campaign as one."""
    if before is None:
        return part
    sums = ("inputs", "accepted", "refused", "ended", "findings", "seconds")
    most = ("slowest", "peak_rss")
    kinds = {
        kind: before["kinds"].get(kind, 0) + part["kinds"].get(kind, 0) for kind in before["kinds"] | part["kinds"]
    }
    return (
        before
        | {key: before[key] + part[key] for key in sums}
        | {key: max(before.get(key, 0), part.get(key, 0)) for key in most}
        | {"kinds": kinds, "first_findings": (before["first_findings"] + part["first_findings"])[:40]}
    )


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["fuzz", "faults", "hostile", "calibration", "mutants", "soak"])
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument(
        "--number", type=int, help="of faults (200), problems (1000), mutants (300); hostile: each so manyth case (1)"
    )
    parser.add_argument("--minutes", type=float, default=None, help="end after so many; soak takes 10 if not told")
    parser.add_argument("--only", help="fuzz, mutants: readers or modules, comma-separated")
    chosen = parser.parse_args()
    sys.path.insert(0, str(HERE))
    number = chosen.number or {"faults": 200, "calibration": 1000}.get(chosen.part, 300)
    until = time.time() + 60 * chosen.minutes if chosen.minutes else float("inf")
    if chosen.part == "fuzz":
        fuzz(chosen.inputs, until, chosen.only)
    elif chosen.part == "mutants":
        importlib.import_module("mutants").campaign(number, until, chosen.only)
    elif chosen.part == "soak":
        write("soak", importlib.import_module("soak").campaign(chosen.minutes or 10.0))
    elif chosen.part == "hostile":
        every = chosen.number or 1
        write("hostile", importlib.import_module("hostile").campaign(every, log=lambda r: write("hostile", r)))
    elif chosen.part == "calibration":
        found = importlib.import_module("calibration").campaign(
            number, read("calibration"), lambda r: write("calibration", r)
        )
        write("calibration", found)
    elif chosen.part == "faults":
        faults = importlib.import_module("faults")
        write("faults", faults.campaign(number, log=lambda *rows: write("faults", faults.summary(*rows))))
    if chosen.page:
        importlib.import_module("trust_page").write()


if __name__ == "__main__":
    main()
