"""Running the generated source on a machine: which members, by which method, and what to do again.

A machine has an array library and launches one of the two entries on a `Work`, the structure of `ensemble.cuh` with the
addresses of all arrays.  Members that turn out stiff go on by the other method; where an onset was overwritten before its
height was known, the member is integrated once more, up to it.
"""

from typing import Any, Protocol

import numpy as np

from ..theory.errors import InputError
from .ensemble_problem import MOST_STEPS, STIFF, Found, Problem
from .integrate import Progress

COUNTS = ("members", "queued", "times", "most_steps", "watched", "seek_stiffness", "resumed", "levelled")
NUMBERS = ("end", "rtol")
GIVEN = ("queue", "start", "parameters", "atol", "time", "level")
FILLED = ("state", "reached", "kept", "window", "paused", "status", "steps", "rejected", "taken")
WORK = np.dtype(
    [(name, np.int64) for name in COUNTS]
    + [(name, np.float64) for name in NUMBERS]
    + [(name, np.uint64) for name in (*GIVEN, *FILLED)]
)
PIECES, PIECE = 32, 4096  # parts of the queue between which progress is told, and their least size


def check_memory(problem: Problem, free: float) -> None:
    """Refuse what does not fit: 8 bytes for each number that goes in and comes out.

    Raises
    ------
    InputError
        Saying how many members would fit.
    """
    n, P, T = len(problem.start), len(problem.parameters), len(problem.times)
    each = 8 * (2 * n + P + T * n + 4 + 7 + 7)
    if problem.members * each > free:
        raise InputError(
            f"vary: {problem.members} members take {problem.members * each / 2**30:.1f} GiB where {free / 2**30:.1f} "
            f"GiB are free; give at most {int(free // each)} at once" + (", or fewer output times." if T else ".")
        )


class Machine(Protocol):
    """Where the source runs."""

    @property
    def xp(self) -> Any:
        """Its array module."""

    def address(self, array: Any) -> int:
        """Where an array begins."""

    def launch(self, entry: str, work: np.ndarray, members: int) -> None:
        """Run an entry of the source to its end on a queue of so many members."""


def run(problem: Problem, machine: Machine, progress: Progress | None = None) -> Found:
    """Integrate all members; see `ensemble_problem`."""
    on = _Run(problem, machine)
    implicit = problem.method == "rosenbrock"
    everyone = np.arange(problem.members)
    parts = 1 if progress is None else min(PIECES, -(-len(everyone) // PIECE))
    for part in np.array_split(everyone, parts):
        on.launch(part, implicit)
        if progress is not None:
            progress(float(part[-1] + 1), float(len(everyone)))
    found = on.found
    stiff = np.flatnonzero(on.host("status") == STIFF)
    if stiff.size:
        on.launch(stiff, True, resumed=True)
    if problem.index is not None:
        window = on.host("window")
        unsettled = np.flatnonzero(np.isnan(window[0]) & (window[3] > 0))
        if unsettled.size:
            on.launch(unsettled, implicit, levels=window[3] / 2)
    for name in FILLED[:-1]:
        setattr(found, name, on.host(name))
    found.attempts = on.attempts
    return found


class _Run:
    """The arrays of a problem on a machine."""

    def __init__(self, problem: Problem, machine: Machine) -> None:
        self.problem, self.machine, self.found = problem, machine, Found.empty(problem)
        given = {
            "start": problem.start, "parameters": problem.parameters, "atol": problem.atol, "time": problem.times,
        }  # fmt: skip
        given |= {name: getattr(self.found, name) for name in FILLED[:-1]}
        self.arrays = {name: machine.xp.asarray(np.ascontiguousarray(array)) for name, array in given.items()}
        self.attempts = 0

    def host(self, name: str) -> np.ndarray:
        """One of the arrays, as NumPy has it."""
        array = self.arrays[name]
        return array if isinstance(array, np.ndarray) else array.get()

    def launch(
        self, queue: np.ndarray, implicit: bool, resumed: bool = False, levels: np.ndarray | None = None
    ) -> None:
        """Integrate the members of a queue to their end, or up to given levels of the index."""
        xp, problem = self.machine.xp, self.problem
        arrays = self.arrays | {
            "queue": xp.asarray(queue), "taken": xp.zeros(2, dtype=xp.int64),
            "level": xp.asarray(np.empty(0) if levels is None else levels),
        }  # fmt: skip
        work = np.zeros(1, dtype=WORK)
        work["members"], work["queued"], work["most_steps"] = problem.members, len(queue), MOST_STEPS
        work["times"] = 0 if levels is not None else len(problem.times)
        work["watched"], work["resumed"] = problem.index is not None, resumed
        work["levelled"] = levels is not None
        work["seek_stiffness"] = problem.method == "auto" and not implicit and levels is None
        work["end"], work["rtol"] = problem.end, problem.rtol
        for name, array in arrays.items():
            work[name] = self.machine.address(array)
        self.machine.launch("run_implicit" if implicit else "run_explicit", work, len(queue))
        self.attempts += int(arrays["taken"][1])
