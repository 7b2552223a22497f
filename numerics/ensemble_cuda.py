"""The engine for a GPU: the ensemble's own source as a CUDA module, a thread for each member at a time.

As many threads are started as the device holds at once; each takes members from the queue until it is empty, so that a
warp waits for none of its threads.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from . import ensemble_work
from .devices import open_device
from .ensemble_code import source
from .ensemble_equations import Equations
from .ensemble_problem import Found, Index, Problem
from .integrate import Progress
from .modes import MANY

THREADS = 64  # of a block: with 255 registers each, four blocks fill a multiprocessor
RING = 32  # rises of the index that a thread keeps, in local memory


class Cuda:
    """A module on the current device."""

    def __init__(self, cupy: Any, text: str) -> None:
        self.xp = cupy
        self.module = cupy.RawModule(code=text, options=("--std=c++14",))

    def address(self, array: Any) -> int:
        """Where an array begins."""
        return int(array.data.ptr)

    def launch(self, entry: str, work: np.ndarray, members: int) -> None:
        """Run an entry of the source to its end."""
        kernel = self.module.get_function(entry)
        device = self.xp.cuda.Device()
        at_once = self.xp.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.kernel.ptr, THREADS, 0)
        blocks = min(-(-members // THREADS), max(1, at_once) * device.attributes["MultiProcessorCount"])
        kernel((blocks,), (THREADS,), (self.xp.asarray(work.view(np.uint8)),))
        self.xp.cuda.get_current_stream().synchronize()


def run(problem: Problem, progress: Progress | None = None) -> Found:
    """Integrate all members; see `ensemble_problem`.

    Raises
    ------
    InputError
        Without CuPy, a GPU, or a driver that serves it.
    """
    device = open_device("cuda")
    with device.running():
        return ensemble_work.run(problem, _module(device.xp, problem.equations, problem.index), progress)


@lru_cache(maxsize=16)
def _module(cupy: Any, equations: Equations, index: Index | None) -> Cuda:
    return Cuda(cupy, source(equations, index, len(equations.state) <= 2 * MANY, RING))
