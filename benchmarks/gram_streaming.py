"""Are 50,000 contexts x 4,096 features analysed within 2 GiB, and in how much time, beside reading the file once?

Run: python benchmarks/gram_streaming.py > benchmarks/results/gram_streaming.json
One thread (OPENBLAS_NUM_THREADS=1); one run in a process of its own, whose peak resident memory is the system's count.
The floor is a sum over the file in blocks of rows.

Prediction: the file has 0.76 GiB in single precision; its Gram matrix would have 18.6 GiB.  Blocks and five
4,096 x 4,096 matrices are bounded by 1 GiB, so the peak is 1.0 to 1.4 GiB with the interpreter.  Strata cost two passes
over the file, a few seconds; NC2 costs m^2 d = 1.0e13 operations for all pairs of contexts, the d x d matrices a fifth
of that: two to six minutes, nearly all of it in matrix products.
Outcome: 1.46 GiB, a little above the prediction (the interpreter with its libraries has 0.16) and within 2 GiB; 281 s
of processor time as predicted, 485 s by the clock on a machine that other work kept busy; the floor is 0.07 s from the
system's cache, so the analysis is bound by its matrix products and not by reading.
"""

import json
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

FORMULA, SHAPE, WIDTH = "a[223] * b[224]", (223, 224), 4096


def write(path):
    """Attributes, their interaction and noise, in single precision, a block of rows at a time."""
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((n, WIDTH), dtype=np.float32) for n in SHAPE)
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (SHAPE[0] * SHAPE[1], WIDTH))
    for i in range(SHAPE[0]):
        block = slice(i * SHAPE[1], (i + 1) * SHAPE[1])
        rows[block] = 1.0 + a[i] + b + 0.5 * random.standard_normal((SHAPE[1], WIDTH), dtype=np.float32)
    rows.flush()


def floor(path):
    """Seconds to read the file once and add its numbers up."""
    start, rows = time.perf_counter(), np.load(path, mmap_mode="r")
    sum(float(rows[i : i + 1024].sum()) for i in range(0, len(rows), 1024))
    return time.perf_counter() - start


def peak_memory():
    """Peak resident memory of this process in GiB, as Linux counts it (getrusage would count the parent's, too)."""
    words = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(words["VmHWM"].split()[0]) / 2**20


def measure(path):
    """Analyse the file; seconds, peak memory of this process, and what was found."""
    from ufmflow.numerics.embeddings import read_embeddings
    from ufmflow.numerics.measures import analyse
    from ufmflow.theory.attributes import Attributes

    imported, start, processor = peak_memory(), time.perf_counter(), time.process_time()
    found = analyse(read_embeddings(path)[0], Attributes(FORMULA))
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    return {"formula": FORMULA, "d": WIDTH, "type": "float32", "seconds": round(seconds, 1),
            "processor_seconds": round(processor, 1),
            "peak_GiB": round(peak_memory(), 3), "after_imports_GiB": round(imported, 3),
            "shares": {row["name"]: row["share"] for row in found.strata}, "nc2": found.nc2,
            "etf_distance": found.etf_distance, "effective_rank": found.effective_rank}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        from ufmflow.numerics.trajectory import versions

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "H.npy"
            write(path)
            result = {"floor_seconds": round(floor(path), 2)}
            result |= json.loads(subprocess.run([sys.executable, __file__, str(path)], check=True, text=True,
                                                stdout=subprocess.PIPE).stdout)
        print(json.dumps({"date": date.today().isoformat(), "machine": platform.machine(), "versions": versions(),
                          "rows": [result]}, indent=1))
