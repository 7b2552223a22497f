"""`sweep(config, out)`: many runs of a design, in one Zarr store, resumable whatever ends the process.

What holds, whatever is killed (a worker, the scheduler, this process) and whenever: a chunk is in the store whole or
not at all; a chunk that is in the store is never computed or written again; the same command goes on with the others;
and the finished store is that of an undisturbed sweep, since a chunk is a pure function of the design and its number:
bit for bit on machines of one kind, but for whole matrices whose BLAS has another number of threads.  A chunk that is
being computed when its process is killed is computed again.
"""

import importlib.util
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from ..theory.errors import InputError
from .config import read_toml
from .devices import open_device
from .integrate import Progress
from .options import number, whole
from .sweep_design import Design
from .sweep_estimate import (
    Estimate,
    check_hours,
    check_members,
    check_sizes,
    counted,
    is_full,
    on_workers,
    timed,
)
from .sweep_load import load_sweep
from .sweep_lock import Lock
from .sweep_run import dask_client, run_here, run_on, seconds_per_run
from .sweep_store import Store
from .trajectory import new_path

MOST_WORKERS = 4096
WORTH_STARTING = 10.0  # seconds of a sweep that pay for starting processes


def sweep(config: Mapping[str, Any] | str | os.PathLike, out: Any = None, **options: Any) -> xr.Dataset:
    """Simulate every run of a design.

    Parameters
    ----------
    config : mapping or path of a TOML file
        Tables `model` (or a UFM), `simulate` and `sweep`; see `ufmflow.numerics.sweep_design`.
    out : path, optional
        Of the store, new or of the same design; without it nothing is left on disk.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see `out` (extra `cluster`).
    device : "cpu" or "cuda"
        Where whole matrices (`full = true`) are integrated; with "cuda" each worker has one GPU (dask-cuda), and so has
        this process, which tries some runs before the sweep.
    workers : int, optional
        Processes on this machine (extra `cluster`); 1, the default, is this one and needs no Dask.  Guard a script that
        asks for more with `if __name__ == "__main__":`, as multiprocessing needs.
    memory, space, hours : float, optional
        Limits, in GiB a worker, GiB of store, and hours; what is estimated to be over them is refused.
    progress : callable (done, total), optional
    announce : callable (Estimate), optional
        Is given the estimate before anything runs.

    Returns
    -------
    xarray.Dataset
        Of `load_sweep(out)`: one dimension for each axis of the design.  Runs that failed say why in `problem`.

    Raises
    ------
    InputError
        For bad designs, values that are never possible, estimates over a limit, and stores that are in use, damaged, or
        of another design.
    SweepError
        When a full disk, a lost scheduler or dying workers stop it; the same call goes on.

    Examples
    --------
    >>> found = sweep({
    ...     "model": {"attributes": "color[3] * shape[4]", "kernel": {"color": 1, "shape": 1, "residual": 0.1}},
    ...     "simulate": {"t": 1e4},
    ...     "sweep": {"grid": {"ridge": [1e-4, 1e-2], "init": [1e-3, 1e-2]}},
    ... })
    >>> dict(found["window_peak"].sizes), found["window_height"].sel(ridge=1e-4, init=1e-3).item() > 0.9
    ({'ridge': 2, 'init': 2}, True)
    """
    if out is not None:
        return load_sweep(fill_store(config, out, **options).path)
    with tempfile.TemporaryDirectory() as folder:
        return load_sweep(fill_store(config, os.path.join(folder, "sweep.zarr"), **options).path)


@dataclass(frozen=True)
class Plan:
    """A sweep that may run: its design, its cost, and the bytes of memory that a worker may take."""

    design: Design
    estimate: Estimate
    memory: float


def plan_sweep(
    config: Mapping[str, Any] | str | os.PathLike,
    out: Any,
    *,
    scheduler: str | None = None,
    device: str = "cpu",
    workers: int | None = 1,
    memory: float | None = None,
    space: float | None = None,
    hours: float | None = None,
) -> Plan:
    """Check a sweep and estimate its cost; nothing is written.  Arguments and errors as in `sweep`; with `workers=None`,
    as many processes as this machine has use for."""
    limits = {"memory": memory, "space": space, "hours": hours}
    memory, space, hours = (None if value is None else number(name, value) for name, value in limits.items())
    workers = None if workers is None else whole("workers", workers, 1, MOST_WORKERS)
    design = (
        Design.of(read_toml(config), os.fspath(config)) if isinstance(config, (str, os.PathLike)) else Design.of(config)
    )
    open_device(device)
    if device != "cpu" and not is_full(design):
        raise InputError(f"device: {device!r} is for whole matrices; set full = true in [simulate], or leave it out.")
    out = Path(out)
    pending, measured = design.chunks, None
    if out.exists():
        store = Store(out, design, device)
        pending, measured = len(store.pending()), seconds_per_run(store)
    else:
        new_path(out)
    found = counted(design, pending)
    free = open_device("cpu").free_memory()
    check_sizes(found, out, _room(memory, free, scheduler, workers or 1), space)
    check_members(design, device)
    found = timed(found, design, device, measured)
    if scheduler is not None:
        with dask_client(scheduler, 0, 0) as client:
            workers = max(1, len(client.nthreads()))
    elif workers is None:
        workers = _useful(found, _processors(device), free if memory is None else memory * 2**30)
    elif device == "cuda" and workers > _processors(device):
        raise InputError(f"workers: {workers} on {_processors(device)} GPUs; each needs one of its own, so give fewer.")
    found = on_workers(found, workers)
    check_hours(found, hours)
    return Plan(design, found, _room(memory, free, scheduler, workers))


def fill_store(
    config: Mapping[str, Any] | str | os.PathLike,
    out: Any,
    *,
    scheduler: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    announce: Callable[[Estimate], None] | None = None,
    **limits: Any,
) -> Store:
    """Run what is pending of a sweep, as `sweep` does; the store, finished."""
    plan = plan_sweep(config, out, scheduler=scheduler, device=device, **limits)
    if announce is not None:
        announce(plan.estimate)
    store = (Store if os.path.exists(out) else Store.create)(out, plan.design, device)
    with Lock(store.path) as lock:
        if not store.pending():
            return store
        if scheduler is None and plan.estimate.workers == 1:
            run_here(store, lock, progress)
        else:
            with dask_client(scheduler, plan.estimate.workers, plan.memory, device) as client:
                run_on(client, store, lock, progress)
        store.tidy()
    return store


def _room(memory: float | None, free: float, scheduler: str | None, workers: int) -> float:
    """Bytes that a worker may take: as stated, or its part of what this machine has free; others' machines limit their own."""
    if memory is not None:
        return memory * 2**30
    return free / workers if scheduler is None else math.inf


def _useful(found: Estimate, processors: int, free: float) -> int:
    """Processes that make this machine finish sooner, and that its memory holds."""
    if found.seconds < WORTH_STARTING or importlib.util.find_spec("distributed") is None:
        return 1
    return max(1, min(processors, found.pending, int(free // found.worker_bytes), MOST_WORKERS))


def _processors(device: str) -> int:
    """Cores that this process may use, or GPUs."""
    if device == "cuda":
        return int(open_device(device).xp.cuda.runtime.getDeviceCount())
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
