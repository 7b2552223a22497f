"""What a sweep will cost, before it runs: bytes of its store, memory of a worker, hours.

Sizes are counted; the time is that of a few runs of the design, each stopped where it takes longer than its part.
"""

import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InputError
from ..theory.exchangeable import structure
from .integrate import IntegrationError
from .simulate import simulate
from .sweep_design import Design, parameters_of
from .sweep_layout import blank, size, strata_of
from .sweep_members import fill

PILOTS, BUDGET = 3, 5.0  # runs of whole matrices that are timed, and seconds for each
TOGETHER = 16  # runs on the strata that are timed
CHECKED = 64  # values of a dimension that are tried before the sweep
COMPILED = 2**26  # bytes that SymPy and compiled equations take beside the imports


@dataclass(frozen=True)
class Estimate:
    """Runs, chunks, bytes and seconds of a sweep.

    Attributes
    ----------
    pending : chunks that are not finished
    store_bytes : of the whole store; worker_bytes : of one worker at its peak
    seconds : of what is pending, on `workers` workers; `at_least` where a timed run was stopped
    """

    runs: int
    chunks: int
    chunk: int
    pending: int
    store_bytes: int
    worker_bytes: int
    workers: int
    seconds: float
    at_least: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """What is printed before a sweep."""
        finished = self.chunks - self.pending
        return [
            f"{self.runs} runs in {self.chunks} chunk{'s' if self.chunks > 1 else ''} of {min(self.chunk, self.runs)}"
            + (f", {finished} of them finished already" if finished else ""),
            f"about {_bytes(self.store_bytes)} of store, {_bytes(self.worker_bytes)} of memory a worker",
            ("more than " if self.at_least else "about ")
            + f"{_time(self.seconds)} on {self.workers} worker{'s' if self.workers > 1 else ''}",
        ]


def counted(design: Design, pending: int) -> Estimate:
    """The sizes of a design of which `pending` chunks are not finished, on one worker; no time yet."""
    stored = size(design, len(strata_of(design)))
    return Estimate(design.runs, design.chunks, design.chunk, pending, stored, worker_bytes(design), 1, 0.0, False)


def timed(found: Estimate, design: Design, device: str, measured: float | None) -> Estimate:
    """The estimate with its time on one worker: from seconds a run where they were measured, else from a few runs."""
    if not found.pending:
        return found
    seconds, at_least = _seconds_per_run(design, device) if measured is None else (measured, False)
    return replace(found, seconds=seconds * min(found.pending * design.chunk, design.runs), at_least=at_least)


def on_workers(found: Estimate, workers: int) -> Estimate:
    """The estimate on so many workers."""
    return replace(found, workers=workers, seconds=found.seconds / max(1, min(workers, found.pending)))


def worker_bytes(design: Design) -> int:
    """Peak memory of a process that computes the design's largest run, about."""
    strata = len(strata_of(design))
    chunk = size(design, strata) // design.chunks
    # An engine's vectors of every run of a chunk, and three copies of what is kept of each.
    found = 8 * design.chunk * 2 * strata * (40 + 9 * len(design.keep))
    if is_full(design):
        m = max(int(structure(formula).cardinality) for formula in _taken(design, "attributes"))
        width = max(m if d is None else int(d) for d in _taken(design, "width"))
        # y at all times, W and H apart from it, the steps' 20 states, and four arrays of logits.
        found += 8 * (2 * m * width * (4 * len(design.times) + 20) + 4 * m * m)
    return _resident() + COMPILED + chunk + found


def is_full(design: Design) -> bool:
    """Whether any run keeps whole matrices."""
    return True in _taken(design, "full")


def _taken(design: Design, name: str) -> set:
    """The values that a parameter takes in a design."""
    for axis in design.axes:
        for key, column in axis.columns.items():
            if name in parameters_of(key):
                return set(column)
    return {design.model.get(name, design.simulate.get(name))}


def check_sizes(found: Estimate, out: Path, memory: float, space: float | None) -> None:
    """Refuse what needs more than `memory` bytes a worker, or `space` GiB of store (what the disk has free if None)."""
    if found.worker_bytes > memory:
        raise InputError(
            f"memory: a worker needs about {_bytes(found.worker_bytes)}, and {_bytes(memory)} is its limit; give fewer "
            "workers, fewer output times t, narrower matrices, or a higher limit."
        )
    # What is finished takes its part of the store already.
    needed = found.store_bytes * found.pending / found.chunks
    free = shutil.disk_usage(out if out.exists() else out.parent).free if space is None else space * 2**30
    if needed > free:
        raise InputError(
            f"space: the store needs about {_bytes(needed)} more, and {_bytes(free)} is its limit; keep fewer times, run "
            "fewer runs, or give it more."
        )


def check_hours(found: Estimate, hours: float | None) -> None:
    """Refuse what takes longer than `hours`."""
    if hours is not None and found.seconds > hours * 3600:
        raise InputError(
            f"hours: the sweep takes {'more than' if found.at_least else 'about'} {_time(found.seconds)}, and {hours:g} h "
            "is its limit; run fewer runs, on more workers, or raise the limit."
        )


def check_members(design: Design, device: str) -> None:
    """Try the values of every dimension, without integrating; the first error of a value that is never possible.

    A value counts as possible when it goes with the first values of the other dimensions, or with the last ones; random
    points when any of them does.
    """
    lengths = list(design.shape.values())
    for place, axis in enumerate(design.axes):
        errors = []
        tried = np.unique(np.linspace(0, axis.length - 1, min(CHECKED, axis.length)).astype(int))
        for value in tried:
            error = None
            for others in ([0] * len(lengths), [length - 1 for length in lengths]):
                spot = [*others[:place], value, *others[place + 1 :]]
                error = _error(design, device, int(np.ravel_multi_index(spot, lengths)))
                if error is None:
                    break
            if error is not None:
                errors.append(error)
            if error is not None and axis.name in axis.columns:
                break
        if errors and (axis.name in axis.columns or len(errors) == len(tried)):
            raise errors[0]


def _error(design: Design, device: str, run: int) -> InputError | None:
    try:
        model, arguments = design.member(design.values(run), device)
        simulate(model, **(arguments | {"t": [0.0]}))
    except InputError as error:
        return error
    except IntegrationError:
        pass
    return None


class _Stop(Exception):
    """The budget of a timed run is spent."""


def _stopped(model: Any, arguments: dict[str, Any], budget: float) -> bool:
    """Simulate for so many seconds at most; whether it came to its end."""
    started = time.perf_counter()

    def watch(*_: float) -> None:
        if time.perf_counter() - started > budget:
            raise _Stop

    try:
        simulate(model, **arguments, progress=watch)
    except _Stop:
        return False
    return True


def _seconds_per_run(design: Design, device: str) -> tuple[float, bool]:
    if not is_full(design):
        return _seconds_together(design, device), False
    taken, at_least = [], False
    for run in sorted({round(x) for x in np.linspace(0, design.runs - 1, PILOTS)}):
        started = time.perf_counter()
        try:
            model, arguments = design.member(design.values(run), device)
            at_least |= not _stopped(model, arguments, BUDGET)
        except (InputError, IntegrationError):
            pass
        taken.append(time.perf_counter() - started)
    return sum(taken) / len(taken), at_least


def _seconds_together(design: Design, device: str) -> float:
    """Of some runs together, the second time: the first compiles their equations."""
    strata, runs = strata_of(design), np.unique(np.linspace(0, design.runs - 1, TOGETHER).round().astype(int)).tolist()
    started = 0.0
    for _ in range(2):
        started = time.perf_counter()
        fill(blank(design, len(strata), len(runs)), design, runs, strata, device, lambda: None)
    return (time.perf_counter() - started) / len(runs)


def _resident() -> int:
    """Bytes that this process holds, imports and all, as a worker will."""
    try:
        import resource
    except ImportError:
        return 2**28
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bytes(number: float) -> str:
    if number >= 2**30:
        return f"{number / 2**30:.3g} GiB"
    return f"{number / 2**20:.3g} MiB" if number >= 2**20 else f"{number / 2**10:.3g} KiB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
