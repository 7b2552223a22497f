"""The engine for a CPU with a C compiler: the ensemble's own source, a member for each lane of a vector.

The source is compiled once for each set of equations (some seconds), and the library is kept in the user's cache, under
the hash of source, compiler and processor.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..theory.errors import InputError
from . import ensemble_work
from .ensemble_code import source
from .ensemble_equations import Equations
from .ensemble_problem import Found, Index, Problem
from .integrate import Progress
from .modes import MANY

FLAGS = ("-O3", "-march=native", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-fwrapv", "-w")
RING = 128  # rises of the index that a lane keeps, as `ensemble_window` does


def compiler() -> str | None:
    """The C compiler: what the variable CC names, or `cc`, `gcc` or `clang`; None without one.

    Examples
    --------
    >>> compiler() is None or Path(compiler()).is_absolute()
    True
    """
    found = (shutil.which(name) for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name)
    return next((os.path.abspath(path) for path in found if path), None)


class Native:
    """A compiled library, called in this process."""

    xp = np

    def __init__(self, library: Path) -> None:
        self.lib = ctypes.CDLL(str(library))

    def address(self, array: np.ndarray) -> int:
        """Where an array begins."""
        return array.ctypes.data

    def launch(self, entry: str, work: np.ndarray, members: int) -> None:
        """Run an entry of the source to its end."""
        getattr(self.lib, entry)(ctypes.c_void_p(work.ctypes.data))


def run(problem: Problem, progress: Progress | None = None) -> Found:
    """Integrate all members; see `ensemble_problem`.

    Raises
    ------
    InputError
        Without a C compiler, or with one that cannot compile the source.
    """
    return ensemble_work.run(problem, native(problem.equations, problem.index), progress)


@lru_cache(maxsize=64)
def native(equations: Equations, index: Index | None) -> Native:
    """The compiled library for some equations."""
    return Native(library(source(equations, index, len(equations.state) <= 2 * MANY, RING)))


def library(text: str) -> Path:
    """The compiled library of a source: from the cache, or made now.

    Raises
    ------
    InputError
        Without a C compiler, or with one that cannot compile the source.
    """
    command = compiler()
    if command is None:
        raise InputError("engine: 'native' needs a C compiler, and there is none; install gcc, or give engine='numpy'.")
    key = hashlib.sha256("\0".join([text, *FLAGS, _identity(command)]).encode()).hexdigest()[:32]
    folder = cache()
    target = folder / f"ensemble-{key}.so"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as made:
        code = Path(made, "ensemble.c")
        code.write_text(text, encoding="utf-8")
        found = subprocess.run(
            [command, *FLAGS, "-o", f"{made}/library.so", str(code)], capture_output=True, text=True, check=False
        )
        if found.returncode:
            reason = (found.stderr.strip().splitlines() or ["no reason given"])[0]
            raise InputError(f"engine: {command} cannot compile the ensemble ({reason}); give engine='numpy'.")
        os.replace(f"{made}/library.so", target)  # whole or not at all, whoever else compiles it
    return target


def cache() -> Path:
    """The folder of compiled libraries: `ufmflow` in XDG_CACHE_HOME or ~/.cache, else in the folder of temporary files."""
    places = [os.environ.get("XDG_CACHE_HOME", ""), str(Path.home() / ".cache")]
    for place in filter(None, places):
        try:
            folder = Path(place, "ufmflow")
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="ufmflow-"))


@lru_cache(maxsize=4)
def _identity(command: str) -> str:
    """Compiler and processor: -march=native makes code for this one alone."""
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        processor = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        processor = platform.processor()
    return "\n".join([command, version, platform.machine(), processor])
