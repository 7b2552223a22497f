"""Sums of scaled vectors and their norms in one pass over memory, on NumPy and CuPy.

    out = sum_j c_j x_j                                        `combine`
    sqrt(mean_i (e_i / (atol + rtol max(|y_i|, |z_i|)))^2)     `weighted_rms`, e = sum_j c_j x_j

A step of an explicit integrator is made of these two.  On NumPy they run through blocks that stay in cache, by BLAS
axpy; on CuPy through kernels generated for each number of terms.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .vector_kernels import BLOCK_THREADS, cuda_source, kernel_name

Terms = Sequence[tuple[float, Any]]
# OpenBLAS shares sums of more than 10,000 terms out to threads, which takes longer than so short a sum and, where cores
# are contended, 60 times as long.  Blocks of four times the size are 3% faster on one thread.
BLOCK = 8192
MOST_TERMS = 17  # the state and 16 stages of an order-8 pair with dense output


def vectors_like(start: Any) -> "NumpyVectors | CupyVectors":
    """The operations for a start's namespace, length and precision.

    Parameters
    ----------
    start : array (n,), numpy or cupy, float64 or float32

    Raises
    ------
    InputError
        For another type, shape or precision, or numbers that are not finite.
    """
    kind = type(start).__module__.split(".")[0]
    if kind not in ("numpy", "cupy") or not hasattr(start, "dtype"):
        raise InputError(f"start: {type(start).__name__} is no array; give one of numpy or cupy.")
    if start.ndim != 1 or start.size == 0 or str(start.dtype) not in ("float64", "float32"):
        raise InputError(
            f"start: shape {start.shape} of {start.dtype}; give float64 or float32 numbers in one dimension."
        )
    vectors = (NumpyVectors if kind == "numpy" else CupyVectors)(start.size, start.dtype)
    if not bool(vectors.xp.isfinite(vectors.xp.vdot(start, start))):
        raise InputError("start: not all of its numbers are finite (or their squares are not); give finite ones.")
    return vectors


class NumpyVectors:
    """Blockwise operations on NumPy vectors of one length and precision.

    Examples
    --------
    >>> import numpy as np
    >>> ops, x = NumpyVectors(3, np.dtype("float64")), np.array([1.0, 2.0, 3.0])
    >>> ops.combine(out := ops.empty(), [(1.0, x), (0.5, x)]); out.tolist()
    [1.5, 3.0, 4.5]
    >>> round(ops.weighted_rms([(2.0, x)], x, x, rtol=1.0, atol=0.0), 12)
    2.0
    """

    xp = np

    def __init__(self, size: int, dtype: Any) -> None:
        from scipy.linalg import blas

        self.size, self.dtype = size, np.dtype(dtype)
        self.axpy = blas.daxpy if self.dtype == np.float64 else blas.saxpy
        self.scratch = np.empty((3, min(BLOCK, size)), self.dtype)
        self.blocks = [slice(i, min(i + BLOCK, size)) for i in range(0, size, BLOCK)]

    def empty(self) -> np.ndarray:
        """A vector (n,) of any content."""
        return np.empty(self.size, self.dtype)

    def fill_normal(self, out: np.ndarray) -> None:
        """Independent standard normal numbers, the same in every call."""
        out[:] = np.random.default_rng(0).standard_normal(self.size, self.dtype)

    def combine(self, out: np.ndarray, terms: Terms) -> None:
        """out = sum_j c_j x_j; `out` may be the first x, and no other."""
        for block in self.blocks:
            self._sum(out[block], terms, block)

    def combine_measured(self, out: np.ndarray, terms: Terms) -> float:
        """The same, returning the Euclidean norm of the change of `out`, which is none of the x."""
        total = 0.0
        for block in self.blocks:
            before = self.scratch[0, : block.stop - block.start]
            before[:] = out[block]
            self._sum(out[block], terms, block)
            before -= out[block]
            total += float(np.dot(before, before))
        return total**0.5

    def weighted_rms(self, terms: Terms, y: np.ndarray, z: np.ndarray, rtol: float, atol: float) -> float:
        """Root mean square of sum_j c_j x_j in units of atol + rtol max(|y|, |z|)."""
        total, tiny = 0.0, np.finfo(self.dtype).tiny
        for block in self.blocks:
            error, scale, other = (row[: block.stop - block.start] for row in self.scratch)
            self._sum(error, terms, block)
            np.abs(y[block], out=scale)
            if z is not y:
                np.maximum(scale, np.abs(z[block], out=other), out=scale)
            scale *= rtol
            scale += max(atol, float(tiny))
            error /= scale
            with np.errstate(over="ignore"):  # infinite is far too large, and says so
                total += float(np.dot(error, error))
        return (total / self.size) ** 0.5

    def norm(self, terms: Terms) -> float:
        """Euclidean norm of sum_j c_j x_j."""
        total = 0.0
        for block in self.blocks:
            value = self.scratch[0, : block.stop - block.start]
            self._sum(value, terms, block)
            total += float(np.dot(value, value))
        return total**0.5

    def _sum(self, out: np.ndarray, terms: Terms, block: slice) -> None:
        (c, x), *others = terms
        np.multiply(x[block], self.dtype.type(c), out=out)
        for c, x in others:
            self.axpy(x[block], out, a=c)


class CupyVectors:
    """The same on CuPy, one generated kernel for each number of terms; norms come back as Python floats."""

    def __init__(self, size: int, dtype: Any) -> None:
        import cupy

        self.xp, self.size, self.dtype = cupy, size, np.dtype(dtype)
        self.grid = min(1024, -(-size // BLOCK_THREADS))
        self.partial = cupy.empty(self.grid, "float64")

    def empty(self) -> Any:
        """A vector (n,) of any content."""
        return self.xp.empty(self.size, self.dtype)

    def fill_normal(self, out: Any) -> None:
        """Independent standard normal numbers, the same in every call."""
        out[:] = self.xp.random.default_rng(0).standard_normal(self.size, self.dtype)

    def combine(self, out: Any, terms: Terms) -> None:
        """out = sum_j c_j x_j; `out` may be any x."""
        self._launch("combine", terms, out)

    def combine_measured(self, out: Any, terms: Terms) -> float:
        """The same, returning the Euclidean norm of the change of `out`."""
        self._launch("measured", terms, out, self.partial)
        return float(self.partial.sum()) ** 0.5

    def weighted_rms(self, terms: Terms, y: Any, z: Any, rtol: float, atol: float) -> float:
        """Root mean square of sum_j c_j x_j in units of atol + rtol max(|y|, |z|)."""
        floor = max(atol, float(np.finfo(self.dtype).tiny))
        self._launch("weighted", terms, y, z, self.dtype.type(rtol), self.dtype.type(floor), self.partial)
        return (float(self.partial.sum()) / self.size) ** 0.5

    def norm(self, terms: Terms) -> float:
        """Euclidean norm of sum_j c_j x_j."""
        self._launch("norm", terms, self.partial)
        return float(self.partial.sum()) ** 0.5

    def _launch(self, name: str, terms: Terms, *rest: Any) -> None:
        module = _compiled(self.dtype.name)
        kernel = module.get_function(kernel_name(name, len(terms)))
        pairs = [value for c, x in terms for value in (self.dtype.type(c), x)]
        kernel((self.grid,), (BLOCK_THREADS,), (np.int64(self.size), *pairs, *rest))


@lru_cache(maxsize=2)
def _compiled(dtype: str) -> Any:
    import cupy

    source = cuda_source("double" if dtype == "float64" else "float", MOST_TERMS)
    return cupy.RawModule(code=source, options=("--std=c++14",))
