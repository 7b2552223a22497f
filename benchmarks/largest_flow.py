"""Does a flow with V = m = 131,072 and d = 256 in float32 stay within 8 GiB?

Run: python benchmarks/largest_flow.py > benchmarks/results/largest_flow.json
`integrate_full` as a user calls it, from the start to two output times, on one thread.  A rate takes 26 TFLOP, hours a
step on one core, so that only the first of its 256 chunks of contexts is computed each time: what is held is the same,
the numbers are not.  The peak of the process is beside the estimate that is made before anything is allocated; all
logits alone would be 64 GiB.

Predicted: 5 GiB, of which 8 vectors of the integrator and its start 2.3, the start in float64 0.5, saved times 1.3.
"""

import json
import platform
import resource
from datetime import date

import numpy as np

from ufmflow.numerics import full_solution
from ufmflow.numerics.devices import Cpu
from ufmflow.numerics.full_flow import FullFlow, layout_of
from ufmflow.numerics.matrices import MatrixFlow
from ufmflow.numerics.trajectory import versions
from ufmflow.theory.model import UFM

N, D = 131_072, 256


class FirstChunk(FullFlow):
    """The flow whose later chunks are left out."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.all_chunks, self.chunks = len(self.chunks), self.chunks[:1]


def peak():
    """GiB that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    flow = MatrixFlow.of(UFM("a[512] * b[256]", width=D, ridge=1e-5))
    before = peak()
    random = np.random.default_rng(0)
    W, H = (1e-3 * random.standard_normal(shape) for shape in ((N, D), (D, N)))
    full_solution.FullFlow = FirstChunk
    found = full_solution.integrate_full(flow, W, H, np.array([0.0, 1e-6]), 1e-3, 1e-5, dtype="float32", method="dp5")
    memory = layout_of(flow, D, 4, Cpu.chunk_bytes).memory(4, full_solution.VECTORS["dp5"], 2)
    print(json.dumps({
        "date": date.today().isoformat(), "machine": platform.processor() or platform.machine(), "versions": versions(),
        "V": N, "m": N, "d": D, "chunks": found.flow.all_chunks, "evaluations": found.evaluations,
        "peak_gib": round(peak() - before, 2), "estimated_gib": round((memory.on_device + memory.on_host) / 2**30, 2),
    }, indent=1))  # fmt: skip
