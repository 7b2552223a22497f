"""Where a flow of whole matrices runs: the array namespace, its products in place, and what the memory allows.

One code serves NumPy and CuPy; what differs between them is here: the in-place products and sums that BLAS and cuBLAS
have, the pass over the logits (`softmax_pass` in blocks, `softmax_kernel` as a CUDA kernel), launches recorded as CUDA
graphs, and errors of the machine.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InputError
from . import softmax_pass
from .cublas import DEFAULT_MATH, TF32_MATH, Cublas, CublasError
from .launch_graphs import Recorded
from .softmax_kernel import THREADS, cuda_source

Rate = Callable[[float, Any, Any], None]
DEVICES = ("cpu", "cuda")
DTYPES = ("float64", "float32", "tf32")


class Cpu:
    """NumPy and the BLAS that SciPy has."""

    name = "cpu"
    xp = np
    # Logits above this go through in chunks of contexts: measured on one core (benchmarks/loss_gradients.py), chunks
    # lose nothing from 32 MiB on, and below it the logits hardly count.
    chunk_bytes = 32 * 2**20

    def __init__(self) -> None:
        from scipy.linalg import blas

        # By type characters: the names of NumPy's types are made anew at each asking.
        self._gemm = {"d": blas.dgemm, "f": blas.sgemm}
        self._axpy = {"d": blas.daxpy, "f": blas.saxpy}

    def product(self, A: Any, B: Any, out: Any, add: bool = False) -> None:
        """out = A B, or out += A B without a temporary: A (n, p), B (p, q) of either order, out (n, q) by rows."""
        if not add:
            np.matmul(A, B, out=out)
            return
        # By columns, as BLAS has them: out^T = B^T A^T.
        (left, turned), (right, turned_too) = _by_columns(B.T), _by_columns(A.T)
        gemm = self._gemm[out.dtype.char]
        gemm(1.0, left, right, 1.0, out.T, trans_a=turned, trans_b=turned_too, overwrite_c=1)

    def row_dots(self, X: Any, Y: Any) -> Any:
        """sum_j X_ij Y_ij (n,)."""
        return np.einsum("ij,ij->i", X, Y)

    def recorded(self, rhs: Rate) -> Rate:
        """The rate itself: calls cost little here."""
        return rhs

    def axpy(self, a: float, x: Any, y: Any) -> None:
        """y += a x for contiguous arrays."""
        self._axpy[y.dtype.char](x.reshape(-1), y.reshape(-1), a=a)

    def residuals(self, logits: Any, Z: Any, labels: "Labels", scale: float, loss: Any = None) -> None:
        """Fill Z (n, V) by calling `logits(Z)` and turn it into the residuals of `softmax_pass`; losses if asked."""
        logits(Z)
        if not softmax_pass.residuals(Z, labels.positions, scale, loss):
            logits(Z)
            softmax_pass.shifted_residuals(Z, labels.positions, scale, loss)

    def to_host(self, x: Any) -> np.ndarray:
        """The array as NumPy has it."""
        return np.asarray(x)

    def free_memory(self) -> float:
        """Bytes that this process may still take."""
        try:
            lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
            free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        except (OSError, StopIteration):
            free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else 2**32
        try:
            limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
            used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
            return min(free, float(limit) - float(used)) if limit != "max" else free
        except (OSError, ValueError):
            return free

    @contextmanager
    def running(self, tf32: bool = False) -> Iterator[None]:
        """What surrounds an integration: numbers that leave every bound are the integrator's to report."""
        with np.errstate(over="ignore", invalid="ignore"):
            yield


class Cuda:
    """CuPy on the current device."""

    name = "cuda"
    chunk_bytes = 2**30

    def __init__(self, cupy: Any) -> None:
        self.xp = cupy
        self._tf32 = False
        self._recordable: Cublas | None = None

    def product(self, A: Any, B: Any, out: Any, add: bool = False) -> None:
        """out = A B, or out += A B without a temporary: A (n, p), B (p, q) of either order, out (n, q) by rows."""
        if self._recordable is not None:
            self._recordable.multiply(A, B, out, add)
        else:
            from cupy import cublas

            cublas.gemm("N", "N", A, B, out=out, alpha=1.0, beta=float(add))

    def row_dots(self, X: Any, Y: Any) -> Any:
        """sum_j X_ij Y_ij (n,)."""
        return _row_dots(self.xp)(X, Y, axis=1)

    def recorded(self, rhs: Rate) -> Rate:
        """The rate with its launches recorded as CUDA graphs; as it is where cuBLAS cannot be had apart from CuPy."""
        try:
            self._recordable = Cublas(self.xp, self._tf32)
        except (OSError, AttributeError, CublasError):
            return rhs
        return Recorded(rhs, self.xp)

    def axpy(self, a: float, x: Any, y: Any) -> None:
        """y += a x for contiguous arrays."""
        _scaled_sum(self.xp)(y.dtype.type(a), x, y, y)

    def residuals(self, logits: Any, Z: Any, labels: "Labels", scale: float, loss: Any = None) -> None:
        """Fill Z (n, V) by calling `logits(Z)` and turn it into the residuals of `softmax_pass`; losses if asked."""
        logits(Z)
        n, V = Z.shape
        where = np.uintp(0) if loss is None else loss
        kernel = _softmax(self.xp, Z.dtype.char)
        kernel((n,), (THREADS,), (Z, labels.of_rows, where, np.int64(V), Z.dtype.type(scale)))

    def to_host(self, x: Any) -> np.ndarray:
        """The array as NumPy has it."""
        return self.xp.asnumpy(x)

    def free_memory(self) -> float:
        """Bytes of the device's memory that are free, those that CuPy keeps for itself among them."""
        pool = self.xp.get_default_memory_pool()
        return float(self.xp.cuda.runtime.memGetInfo()[0] + pool.free_bytes())

    @contextmanager
    def running(self, tf32: bool = False) -> Iterator[None]:
        """A stream of its own, on which launches can be captured, and TF32 products only where they were asked for."""
        from cupy_backends.cuda.libs import cublas

        handle = self.xp.cuda.device.get_cublas_handle()
        before, self._tf32 = cublas.getMathMode(handle), tf32
        cublas.setMathMode(handle, TF32_MATH if tf32 else DEFAULT_MATH)
        stream = self.xp.cuda.Stream(non_blocking=True)
        try:
            self.xp.cuda.get_current_stream().synchronize()  # what was made before is there
            with stream:
                yield
                stream.synchronize()
        except self.xp.cuda.memory.OutOfMemoryError as error:
            raise InputError(
                f"device: the GPU ran out of memory ({_sentence(error)}); give fewer output times, a smaller width, or "
                "device='cpu'."
            ) from error
        finally:
            cublas.setMathMode(handle, before)
            self._recordable = None


def _by_columns(X: Any) -> tuple[Any, int]:
    """X contiguous by columns, transposed and told so if it lies by rows."""
    return (X, 0) if X.flags.f_contiguous else (X.T, 1)


class Labels:
    """Labels of the rows of one chunk: as `softmax_pass` and as the CUDA kernel want them.

    Attributes
    ----------
    of_rows : int64 array (n,), -1 for soft labels
    positions : int64 array (n,), each row's label in the raveled chunk (n, V); None for soft labels
    """

    def __init__(self, xp: Any, labels: Any, V: int) -> None:
        self.of_rows = xp.ascontiguousarray(labels)
        soft = len(labels) == 0 or int(labels[0]) < 0
        self.positions = None if soft else xp.arange(len(labels)) * V + self.of_rows


def open_device(name: str) -> Cpu | Cuda:
    """The device of a name, or the reason why it cannot be had.

    Parameters
    ----------
    name : "cpu" or "cuda"

    Raises
    ------
    InputError
        For other names; for "cuda" without CuPy, without a GPU, or with a driver too old for CuPy's CUDA.

    Examples
    --------
    >>> open_device("cpu").xp.__name__
    'numpy'
    """
    if name not in DEVICES:
        raise InputError(f"device: {name!r} is not available; give 'cpu' or 'cuda'.")
    if name == "cpu":
        return Cpu()
    try:
        import cupy
    except ImportError as error:
        raise InputError(
            f"device: 'cuda' needs CuPy ({_sentence(error)}); pip install 'ufmflow[gpu]', or give device='cpu'."
        ) from error
    return _checked(cupy)


def _checked(cupy: Any) -> Cuda:
    """CuPy's device once the driver and a GPU have answered."""
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        driver, needed = _driver_version(runtime), _version(runtime.runtimeGetVersion())
        if driver == "0.0":
            why = "this machine has no NVIDIA driver"
        elif "InsufficientDriver" in str(error):
            why = f"the driver serves CUDA {driver} and this CuPy needs {needed}; update the driver"
        else:
            why = _sentence(error)
        raise InputError(f"device: 'cuda' finds no GPU to run on: {why}, or give device='cpu'.") from error
    if count == 0:
        raise InputError("device: 'cuda' finds no GPU to run on: CUDA sees none (CUDA_VISIBLE_DEVICES may hide it), "
                         "or give device='cpu'.")  # fmt: skip
    return Cuda(cupy)


def _driver_version(runtime: Any) -> str:
    try:
        return _version(runtime.driverGetVersion())
    except runtime.CUDARuntimeError:
        return "0.0"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _sentence(error: BaseException) -> str:
    """The first line of a library's message, without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def check_dtype(dtype: str, device: str) -> None:
    """Refuse precisions that are not offered, and TF32 where there is none."""
    if dtype not in DTYPES:
        raise InputError(f"dtype: {dtype!r} is none of {', '.join(DTYPES)}; choose one of them.")
    if dtype == "tf32" and device != "cuda":
        raise InputError(f"dtype: 'tf32' on {device!r}, which has none; give device='cuda', or dtype='float32'.")


@lru_cache(maxsize=1)
def _scaled_sum(cupy: Any) -> Any:
    return cupy.ElementwiseKernel("T a, T x, T y", "T z", "z = y + a * x", "scaled_sum")


@lru_cache(maxsize=1)
def _row_dots(cupy: Any) -> Any:
    return cupy.ReductionKernel("T x, T y", "T z", "x * y", "a + b", "z = a", "0", "row_dots")


@lru_cache(maxsize=2)
def _softmax(cupy: Any, dtype: str) -> Any:
    source = cuda_source("double" if dtype == "d" else "float")
    return cupy.RawModule(code=source, options=("--std=c++14",)).get_function("residuals")
