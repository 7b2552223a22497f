"""What this installation has to work with: packages, GPUs, BLAS threads, a compiler, and folders to write to."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from ..theory.errors import InputError
from .devices import Cpu, open_device
from .ensemble_native import cache, compiler

GIB = 2**30
QUERY = "name,driver_version,memory.total,memory.free"
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")


def environment() -> dict[str, Any]:
    """All of it, as plain data.

    Returns
    -------
    dict
        `python`, `platform`; `packages` of the core and `extras`, each with `installed` (a version or None), `needs`
        and `fits`; `devices`: `cpu` with `cores` and `free_gib`, `gpus` (each `name`, `driver`, `total_gib`,
        `free_gib`) and `cuda`, which is "ready" or says why it is not; `blas` with its `libraries`, `threads` (None if unknown) and
        `advice`; `compiler`; `folders`, each with `path`, `writable` and `free_gib`.

    Examples
    --------
    >>> found = environment()
    >>> found["packages"]["numpy"]["fits"], found["devices"]["cpu"]["cores"] > 0
    (True, True)
    """
    core, extras = _packages()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "packages": core,
        "extras": extras,
        "devices": {
            "cpu": {"cores": cores, "free_gib": Cpu().free_memory() / GIB},
            "gpus": _gpus(),
            "cuda": _cuda(),
        },
        "blas": _blas(cores),
        "compiler": compiler(),
        "folders": {
            "temporary files": _folder(Path(tempfile.gettempdir())),
            "cache": _folder(cache()),
            "here": _folder(Path.cwd()),
        },
    }


def _packages() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Requirements of the core, and of each extra: what is there, and whether it is new enough."""
    core: dict[str, Any] = {"ufmflow": _package(Requirement("ufmflow"))}
    extras: dict[str, dict[str, Any]] = {}
    for text in metadata.requires("ufmflow") or []:
        needed = Requirement(text)
        if needed.marker is None:
            core[needed.name] = _package(needed)
            continue
        for extra in metadata.metadata("ufmflow").get_all("Provides-Extra") or []:
            if needed.marker.evaluate({"extra": extra}):
                extras.setdefault(extra, {})[needed.name] = _package(needed)
    return core, extras


def _package(needed: Requirement) -> dict[str, Any]:
    try:
        installed: str | None = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        installed = None
    fits = installed is not None and needed.specifier.contains(installed, prereleases=True)
    return {"installed": installed, "needs": str(needed.specifier), "fits": fits}


def _gpus() -> list[dict[str, Any]]:
    """What the driver's own tool tells: CuPy may be missing, or newer than the driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in found.stdout.splitlines()]
    return [
        {"name": name, "driver": driver, "total_gib": _gib(total), "free_gib": _gib(free)}
        for name, driver, total, free in (row for row in rows if len(row) == 4)
    ]


def _gib(mebibytes: str) -> float | None:
    return float(mebibytes) / 1024 if mebibytes.replace(".", "").isdigit() else None


def _cuda() -> str:
    try:
        open_device("cuda")
    except InputError as error:
        return str(error)
    return "ready"


def _blas(cores: int) -> dict[str, Any]:
    """The libraries that NumPy and SciPy have loaded, and their threads; by threadpoolctl where it is installed."""
    import numpy as np
    import scipy.linalg  # noqa: F401  SciPy has a BLAS of its own

    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        build = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload]
        libraries = [f"{build.get('name', 'unknown')} {build.get('version', '')}".strip()]
        said = [os.environ[name] for name in THREADS if os.environ.get(name, "").isdigit()]
        threads = int(said[0]) if said else None
    else:
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        libraries = [f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads" for pool in pools]
        threads = max((pool["num_threads"] for pool in pools), default=None)
    return {"libraries": libraries, "threads": threads, "advice": blas_advice(threads, cores)}


def blas_advice(threads: int | None, cores: int) -> str:
    """What the number of BLAS threads means here.

    Examples
    --------
    >>> blas_advice(1, 8)
    'one thread: fit for sweeps, ensembles and several processes at once'
    """
    if threads == 1:
        return "one thread: fit for sweeps, ensembles and several processes at once"
    one = "set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1"
    if threads is None:
        return f"threads are not set, so most libraries take every core; for several processes at once {one}"
    if threads > cores:
        return f"{threads} threads on {cores} cores contend with each other and are slow; {one}"
    return f"{threads} threads speed up large matrices alone; several processes at once contend, so for those {one}"


def _folder(path: Path) -> dict[str, Any]:
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"ufmflow")
        writable = True
    except OSError:
        writable = False
    try:
        free: float | None = shutil.disk_usage(path).free / GIB
    except OSError:
        free = None
    return {"path": str(path), "writable": writable, "free_gib": free}
