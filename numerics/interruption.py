"""Ctrl-C in work that has a good place to stop: the first one waits for it, a second one stops at once."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_interrupt() -> Iterator[Callable[[], bool]]:
    """While it lasts, an interrupt is kept for the block to ask for, and to raise as KeyboardInterrupt.

    Outside of the main thread, and where interrupts are ignored, everything stays as it is.

    Examples
    --------
    >>> _ = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in the background of a shell
    >>> with held_interrupt() as interrupted:
    ...     before = interrupted()
    ...     signal.raise_signal(signal.SIGINT)
    ...     before, interrupted()
    (False, True)
    """
    asked = threading.Event()
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield asked.is_set
        return

    def hold(number: int, frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def dask_setup(worker: object) -> None:
    """Dask's hook for workers of ours: a terminal sends ctrl-C to them, too, but whoever started them ends them.

    What they log on their way out tells nothing more than what is said by the sweep.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()
