"""Products of matrices by cuBLAS itself on the current stream, also while a CUDA graph records it.

CuPy refuses to call cuBLAS on a stream that is being recorded; cuBLAS allows it once its workspace is there.
"""

import ctypes
from typing import Any

# NVIDIA's own choice for Hopper, and more than it takes for older devices.
WORKSPACE = 32 * 2**20
_PLAIN, _TRANSPOSED = 0, 1
DEFAULT_MATH, TF32_MATH = 0, 3


class CublasError(RuntimeError):
    """A call of cuBLAS failed; the message has its name and status."""


class Cublas:
    """A handle of cuBLAS with a workspace of its own.

    Raises
    ------
    OSError
        When the library that CuPy uses cannot be opened.
    CublasError
        When it refuses.
    """

    def __init__(self, cupy: Any, tf32: bool = False) -> None:
        cupy.cuda.device.get_cublas_handle()  # CuPy loads the library, wherever it lies
        self.cupy = cupy
        self.lib = ctypes.CDLL(f"libcublas.so.{cupy.cuda.runtime.runtimeGetVersion() // 1000}")
        self.handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self.handle))
        self._call("cublasSetMathMode", self.handle, ctypes.c_int(TF32_MATH if tf32 else DEFAULT_MATH))
        self.workspace = cupy.empty(WORKSPACE, "uint8")
        self.stream: int | None = None

    def multiply(self, A: Any, B: Any, out: Any, add: bool = False) -> None:
        """out = A B, or out += A B.

        Parameters
        ----------
        A, B : arrays (n, p) and (p, q), contiguous by rows or by columns
        out : array (n, q), contiguous by rows
        """
        self._use_current_stream()
        # cuBLAS holds matrices by columns, so that rows of out are columns of out^T = B^T A^T.
        (left, left_step, left_op), (right, right_step, right_op) = _by_columns(B), _by_columns(A)
        double = out.dtype.char == "d"
        name, number = ("cublasDgemm_v2", ctypes.c_double) if double else ("cublasSgemm_v2", ctypes.c_float)
        (n, q), p = out.shape, A.shape[1]
        self._call(
            name, self.handle, left_op, right_op, ctypes.c_int(q), ctypes.c_int(n), ctypes.c_int(p),
            ctypes.byref(number(1.0)), left, left_step, right, right_step,
            ctypes.byref(number(1.0 if add else 0.0)), ctypes.c_void_p(out.data.ptr), ctypes.c_int(q),
        )  # fmt: skip

    def _use_current_stream(self) -> None:
        stream = int(self.cupy.cuda.get_current_stream().ptr)
        if stream == self.stream:
            return
        self._call("cublasSetStream_v2", self.handle, ctypes.c_void_p(stream))
        # A change of stream takes the workspace away.
        pointer, size = ctypes.c_void_p(self.workspace.data.ptr), ctypes.c_size_t(WORKSPACE)
        self._call("cublasSetWorkspace_v2", self.handle, pointer, size)
        self.stream = stream

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.lib, name)(*arguments)
        if status != 0:
            raise CublasError(f"{name}: status {status}")


def _by_columns(X: Any) -> tuple[ctypes.c_void_p, ctypes.c_int, ctypes.c_int]:
    """X^T as cuBLAS wants it: where it starts, the numbers from column to column, and whether it is transposed."""
    by_rows = X.flags.c_contiguous
    step = X.shape[1] if by_rows else X.shape[0]
    return ctypes.c_void_p(X.data.ptr), ctypes.c_int(step), ctypes.c_int(_PLAIN if by_rows else _TRANSPOSED)
