"""One owner at a time of a sweep's store, and what every process did to it.

The lock is the operating system's (`flock`): it goes with its process, however that ends, so it is never left behind.
File systems that know it only within one host are covered by a heartbeat: the owner touches the file, and an owner on
another host counts as gone only when that stops.
"""

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from ..theory.errors import InputError

try:
    import fcntl
except ImportError:  # no POSIX: the heartbeat alone
    fcntl = None  # type: ignore[assignment]

HEARTBEAT, GONE = 10.0, 60.0  # seconds between touches; without one for so long, the owner is gone


class Lock:
    """The right to fill the store at `store`, taken when made; use as a context.

    Raises
    ------
    InputError
        When another process has it, with its number and host, or when the folder cannot be written.
    """

    def __init__(self, store: Path):
        self._store, self._path = store, store / ".ufmflow" / "lock"
        self._me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"out: {str(store)!r} cannot be written: {error.strerror}; name another.") from None
        try:
            self._take()
        except BaseException:
            os.close(self._file)
            raise
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="sweep lock", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self.held():
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def held(self) -> bool:
        """Whether the lock is still ours: no other host took it while this process was suspended."""
        return self._owner() == self._me

    def _take(self) -> None:
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._refuse(self._owner())
            except OSError:
                pass  # a file system without locks
        owner = self._owner()
        elsewhere = owner is not None and (fcntl is None or owner.get("host") != self._me["host"])
        if elsewhere and self._age() < GONE:
            self._refuse(owner)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(self._me).encode(), 0)

    def _refuse(self, owner: dict[str, Any] | None) -> None:
        who = "another process" if owner is None else f"process {owner.get('pid')} on {owner.get('host')}"
        raise InputError(f"out: {str(self._store)!r} is being filled by {who}; let it finish, or stop it first.")

    def _owner(self) -> dict[str, Any] | None:
        try:
            owner = json.loads(os.pread(self._file, 4096, 0))
        except (OSError, ValueError):
            return None
        return owner if isinstance(owner, dict) else None

    def _age(self) -> float:
        """Seconds since the last touch, by the file system's own clock."""
        with tempfile.NamedTemporaryFile(dir=self._path.parent) as now:
            return os.stat(now.name).st_mtime - os.fstat(self._file).st_mtime

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with contextlib.suppress(OSError):
                os.utime(self._path)


class Log:
    """What this process does to the store: lines of JSON, only ever appended, in a file of its own."""

    def __init__(self, store: Path):
        folder = store / ".ufmflow" / "log"
        folder.mkdir(exist_ok=True)
        self._who = {"pid": os.getpid(), "host": socket.gethostname()}
        name = f"{self._who['host']}-{self._who['pid']}-{time.time_ns()}.jsonl"
        self._file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, event: str, chunk: int, **more: Any) -> None:
        """Append one line, in one call to the system: a killed process leaves it whole or not at all."""
        line = {"event": event, "chunk": chunk, "time": time.time(), **self._who, **more}
        os.write(self._file, (json.dumps(line) + "\n").encode())


def read_log(store: str | os.PathLike) -> list[dict[str, Any]]:
    """All that processes did to a store, in order of time: events `start`, `commit`, and `late` for a chunk that
    another process had committed meanwhile."""
    entries = []
    for file in sorted((Path(store) / ".ufmflow" / "log").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, RecursionError):  # a full disk may have cut the last line
                entry = json.loads(line)
                if isinstance(entry, dict) and {"event", "chunk", "time"} <= set(entry):
                    entries.append((float(entry["time"]), entry))
    return [entry for _, entry in sorted(entries, key=lambda pair: pair[0])]
