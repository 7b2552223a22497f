"""How long does a forecast from the kernel take, once the kernel is known?

Run: python benchmarks/forecast_time.py > benchmarks/results/forecast_time.json
One thread, CPU time, best of three.  From the start of each network at its default settings, 20,000 steps read off at 41
of them, by each level; the kernel itself is timed apart.  The floor of `map` is its 20,000 steps' two products.

Predicted, from one run by hand: every flow below 0.5 s, the map below 1 s.  The target is 1 s.  Outcome: flows up to
1.9 s, maps 1.3 to 2.3 s, 1.3 to 3 times their two products; an hour before, all of it, the floor too, took half as long
on the same machine.
"""

import json
import platform
import time
from datetime import date

import numpy as np

from ufmflow.numerics.advice_source import start_of
from ufmflow.numerics.forecast import forecast
from ufmflow.numerics.plan import Plan
from ufmflow.numerics.start import KERNEL_LEVELS
from ufmflow.numerics.trajectory import versions
from ufmflow.theory.errors import InputError

STEPS = 20_000
CASES = {
    f"{setting}, {arch}": {"setting": setting, "arch": arch}
    for arch in ("mlp", "transformer")
    for setting in ("objects", "taxonomy", "frames")
}


def best(call, repeats=3):
    """Least CPU seconds of some calls."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return min(times)


def rows(case):
    """One for each level that the network has."""
    plan = Plan(**CASES[case], steps=STEPS)
    begin = time.process_time()
    start = start_of(plan)
    kernel = time.process_time() - begin
    steps = np.unique(np.append(0, np.round(np.geomspace(1, STEPS, 40))))
    W, F = start.W, start.F
    floor = best(lambda: [(W @ F, W.T @ W) for _ in range(STEPS)], 1)
    found = []
    for level in KERNEL_LEVELS:
        try:
            seconds = best(lambda level=level: forecast(start, t=plan.lr * steps, level=level))
        except InputError:  # the depth law of a transformer is not known
            continue
        found.append({"case": case, "level": level, "seconds": round(seconds, 3), "kernel_s": round(kernel, 3),
                      "two_products_s": round(floor, 3)})  # fmt: skip
    return found


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    print(json.dumps({"date": date.today().isoformat(), "machine": platform.machine(),
                      "versions": versions() | {"torch": torch.__version__}, "steps": STEPS,
                      "rows": [row for case in CASES for row in rows(case)]}, indent=1))  # fmt: skip
