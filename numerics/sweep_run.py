"""Filling a sweep's store: chunk after chunk in this process, or on Dask workers.

A worker is given the store's path, the design's hash and a chunk's number; it computes the chunk and commits it
itself, so that nothing passes through the scheduler and what a worker finished survives the client.  All of them need
to see the store: one machine, or a file system that they share.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from ..theory.errors import InputError
from .integrate import Progress
from .sweep_design import Design
from .sweep_errors import SweepError
from .sweep_layout import blank
from .sweep_lock import Lock, Log, read_log
from .sweep_members import fill
from .sweep_store import Store

AHEAD = 2  # chunks waiting at each worker, so that none is idle between two
DEATHS = 10  # of workers that a chunk may be on, before the local scheduler blames the chunk
# SciPy's LSODA and Zarr's settings are the process's, not the thread's.
_ONE_AT_A_TIME = threading.Lock()
PATIENCE = 30.0  # seconds to wait for a scheduler, and for its first worker


def compute(path: str, identity: str, index: int) -> None:
    """Compute and commit one chunk on a worker, unless it is committed already."""
    with _ONE_AT_A_TIME:
        store, log = _opened(path, identity)
        _compute(store, log, index, lambda: None)


def _compute(store: Store, log: Log, index: int, tick: Callable[[], None]) -> None:
    if store.is_committed(index):
        return
    log.write("start", index)
    started = time.perf_counter()
    runs = store.design.of_chunk(index)
    arrays = blank(store.design, len(store.strata), len(runs))
    fill(arrays, store.design, runs, store.strata, store.attrs["device"], tick)
    committed = store.commit(index, arrays)
    more = {"sizes": store.piece_sizes(index)} if committed else {}
    log.write("commit" if committed else "late", index, seconds=time.perf_counter() - started, **more)


@lru_cache(maxsize=1)
def _opened(path: str, identity: str) -> tuple[Store, Log]:
    """The store as this worker sees it, checked once, and the worker's log."""
    try:
        store = Store(path)
    except InputError as error:
        raise InputError(
            f"{str(error).removesuffix('.')}; workers must see it on a file system that they share."
        ) from None
    if store.attrs["id"] != identity:
        raise InputError(f"out: {path!r} was replaced by another store; start again.")
    store.require_versions()
    return store, Log(store.path)


def run_here(store: Store, lock: Lock, progress: Progress | None) -> None:
    """Fill the store in this process, one chunk after another."""
    done, log = _Counter(store, progress), Log(store.path)
    for index in store.pending():
        _check_lock(lock)
        _compute(store, log, index, done.one)
        done.settle()


def run_on(client: Any, store: Store, lock: Lock, progress: Progress | None) -> None:
    """Fill the store on a Dask client's workers.

    Raises
    ------
    SweepError
        When the scheduler is lost, or chunks end every worker that they are given to; the others are finished first.
    """
    from distributed import KilledWorker, as_completed

    done = _Counter(store, progress)
    waiting, numbers, deadly = iter(store.pending()), {}, []
    # Dask takes tasks of one key for one task: a second client meets the first one's instead of doing them again.
    identity = store.attrs["id"]
    running = as_completed()

    def submit() -> None:
        for index in waiting:
            key = f"ufmflow-sweep-{identity}-{index}"
            future = client.submit(compute, str(store.path), identity, index, key=key)
            numbers[key] = index
            running.add(future)
            return

    for _ in range(AHEAD * max(1, sum(client.nthreads().values()))):
        submit()
    for future in running:
        index = numbers.pop(future.key)
        if future.status == "finished":
            done.chunk(index)
        elif future.status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                raise error
            deadly.append(index)
        else:
            raise SweepError(
                f"the scheduler at {client.scheduler.address} was lost; what is finished is kept, so give the same "
                "command again"
            )
        _check_lock(lock)
        submit()
    if deadly:
        raise SweepError(
            f"chunk {deadly[0]} ended every worker that it was given to ({len(deadly)} such chunks), for want of memory "
            "perhaps; what is finished is kept, so give workers more memory and the same command again"
        )


@contextlib.contextmanager
def dask_client(scheduler: str | None, workers: int, memory: float, device: str = "cpu") -> Iterator[Any]:
    """A client of a scheduler, or of one made for it here, with processes of one thread, and of one GPU, each.

    Parameters
    ----------
    scheduler : address; None for workers on this machine
    workers : on this machine
    memory : bytes that each of them may take
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("workers: Dask is missing; pip install 'ufmflow[cluster]', or leave workers out.") from None
    cluster_of: Any = LocalCluster
    if device == "cuda" and scheduler is None:
        try:
            from dask_cuda import LocalCUDACluster

            cluster_of = LocalCUDACluster
        except ImportError:
            raise InputError(
                "workers: a worker for each GPU needs dask-cuda; pip install it, or give one worker."
            ) from None
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=PATIENCE)
        except (OSError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"scheduler: none answers at {scheduler!r} ({reason}); start one there, or mend it."
            ) from None
        with client, _quiet():
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise InputError(
                    f"scheduler: {scheduler!r} has no worker; start one with dask worker {scheduler}."
                ) from None
            yield client
        return
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    settings = {
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.nanny.pre-spawn-environ": one_thread,
        "distributed.worker.preload": ["ufmflow.numerics.interruption"],
    }
    with (
        dask.config.set(settings),
        _quiet(),
        _started(cluster_of, workers, memory) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _started(cluster: Any, workers: int, memory: float) -> Any:
    try:
        return cluster(n_workers=workers, threads_per_worker=1, memory_limit=int(memory), dashboard_address=":0")
    except (RuntimeError, OSError) as error:
        raise SweepError(
            f"the workers did not start ({' '.join(str(error).split())}); a script that asks for them must begin its work "
            'under `if __name__ == "__main__":`'
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Dask's own messages: what a lost worker or scheduler means for the sweep is said in our sentences."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def seconds_per_run(store: Store) -> float | None:
    """Seconds that finished runs took on a worker, by the store's log; None before any is finished."""
    took = [entry for entry in read_log(store.path) if entry["event"] == "commit"]
    runs = sum(len(store.design.of_chunk(entry["chunk"])) for entry in took)
    return sum(entry["seconds"] for entry in took) / runs if runs else None


class _Counter:
    """Tells progress how many of the runs are done."""

    def __init__(self, store: Store, progress: Progress | None):
        self._design: Design = store.design
        self._progress = progress
        self._runs = sum(len(store.design.of_chunk(index)) for index in store.committed())
        self._begun = 0

    def one(self) -> None:
        """A run of a chunk that is being computed here."""
        self._begun += 1
        self._tell()

    def settle(self) -> None:
        """The chunk that was computed here is committed."""
        self._runs, self._begun = self._runs + self._begun, 0

    def chunk(self, index: int) -> None:
        """A chunk that was computed elsewhere."""
        self._runs += len(self._design.of_chunk(index))
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._runs + self._begun, self._design.runs)


def _check_lock(lock: Lock) -> None:
    if not lock.held():
        raise SweepError("another host took the store over while this process was stopped; it goes on there")
