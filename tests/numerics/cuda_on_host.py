"""CUDA C compiled for the CPU, and what this package uses of CuPy on top of it, so that the device's code runs in tests.

A block of threads is as many threads of the CPU, `__syncthreads` is a barrier between them, shared memory is static.
Blocks run one after another and with at most 4 threads: kernels must not depend on the number, as they don't on a GPU.
cuBLAS is three loops on matrices by columns, behind the names and arguments of cuBLAS itself.
On a recording stream calls are put down and not made, as on a GPU.
"""

import ctypes
import re
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

THREADS = 4

_HEADER = """
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>
using std::exp; using std::log; using std::log1p;
struct Index { int x; };
static thread_local Index threadIdx, blockIdx;
static Index blockDim, gridDim;
static std::barrier<>* gate;
#define __global__
#define __device__ static
#define __shared__ static
static void __syncthreads() { gate->arrive_and_wait(); }
template <class Kernel> void run(int grid, int block, Kernel kernel) {
    std::barrier<> all(block);
    gate = &all; gridDim.x = grid; blockDim.x = block;
    for (int b = 0; b < grid; ++b) {
        std::vector<std::thread> threads;
        for (int t = 0; t < block; ++t)
            threads.emplace_back([=] { threadIdx.x = t; blockIdx.x = b; kernel(); gate->arrive_and_drop(); });
        for (auto& thread : threads) thread.join();
        if (b + 1 < grid) { all.~barrier(); new (&all) std::barrier<>(block); }
    }
}
"""

_CUBLAS = """
#include <cstddef>
static size_t workspace; static int mode;
extern "C" int cublasCreate_v2(void** handle) { *handle = &mode; return 0; }
extern "C" int cublasSetMathMode(void*, int m) { mode = m; return 0; }
extern "C" int math_mode() { return mode; }
extern "C" int cublasSetStream_v2(void*, void*) { workspace = 0; return 0; }
extern "C" int cublasSetWorkspace_v2(void*, void* at, size_t n) { workspace = at ? n : 0; return 0; }
template <class T> int gemm(int ta, int tb, int m, int n, int k, T alpha, const T* A, int lda, const T* B, int ldb,
                            T beta, T* C, int ldc) {
    if (!workspace) return 14;
    if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return 7;
    for (int j = 0; j < n; ++j) for (int i = 0; i < m; ++i) {
        T sum = 0;
        for (int l = 0; l < k; ++l) sum += (ta ? A[l + i * lda] : A[i + l * lda]) * (tb ? B[j + l * ldb] : B[l + j * ldb]);
        C[i + j * ldc] = alpha * sum + (beta == 0 ? 0 : beta * C[i + j * ldc]);
    }
    return 0;
}
#define GEMM(name, T) extern "C" int name(void*, int ta, int tb, int m, int n, int k, const T* alpha, const T* A, \\
    int lda, const T* B, int ldb, const T* beta, T* C, int ldc) \\
    { return gemm<T>(ta, tb, m, n, k, *alpha, A, lda, B, ldb, *beta, C, ldc); }
GEMM(cublasDgemm_v2, double) GEMM(cublasSgemm_v2, float)
"""

_TYPES = {"long long": ctypes.c_longlong, "int": ctypes.c_int, "double": ctypes.c_double, "float": ctypes.c_float}


@lru_cache(maxsize=16)
def library(source: str, folder: Path) -> ctypes.CDLL:
    """Compile C++ to a shared library, once for each source."""
    name = f"kernels{len(list(folder.iterdir()))}"
    (folder / f"{name}.cpp").write_text(source)
    subprocess.run(
        ["g++", "-std=c++20", "-O0", "-shared", "-fPIC", "-pthread", "-o", f"{name}.so", f"{name}.cpp"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return ctypes.CDLL(str(folder / f"{name}.so"))


class HostCublas:
    """The stand-in for cuBLAS, whose products a stream can record."""

    def __init__(self, folder: Path) -> None:
        self.loaded = library(_CUBLAS, folder)

    def __getattr__(self, name: str) -> Callable:
        function = getattr(self.loaded, name)
        if not name.endswith("gemm_v2") or ON_HOST.calls is None:
            return function
        return lambda *arguments: ON_HOST.record(lambda: function(*arguments)) or 0


class HostModule:
    """A CUDA source's kernels as Python callables `kernel(grid, block, arguments)`."""

    def __init__(self, code: str, folder: Path, record: Callable[[Callable[[], None]], None] | None = None) -> None:
        self.real = ctypes.c_double if "typedef double real" in code else ctypes.c_float
        found = re.findall(r'extern "C" __global__ void\s+(\w+)\(([^)]*)\)', code)
        self.types = {name: [self._type(part) for part in text.split(",")] for name, text in found}
        launchers = [
            f'extern "C" void launch_{name}(int grid, int block, {text}) '
            f"{{ run(grid, block, [=] {{ {name}({', '.join(re.split(r'[ *]', p.strip())[-1] for p in text.split(','))}); }}); }}"
            for name, text in found
        ]
        self.loaded = library(_HEADER + code + "\n".join(launchers), folder)
        self.record = record or (lambda call: call())

    def _type(self, declaration: str) -> Any:
        kind = declaration.strip().removeprefix("const ").rsplit(" ", 1)[0]
        return ctypes.c_void_p if "*" in declaration else self.real if kind == "real" else _TYPES[kind]

    def get_function(self, name: str) -> Callable:
        """One kernel."""

        def kernel(grid: tuple[int], block: tuple[int], arguments: tuple) -> None:
            types = self.types[name]
            assert len(types) == len(arguments), f"{name} takes {len(types)} arguments"
            values = [t(_value(a, t)) for a, t in zip(arguments, types, strict=True)]
            launch = getattr(self.loaded, f"launch_{name}")
            self.record(lambda: launch(ctypes.c_int(grid[0]), ctypes.c_int(min(block[0], THREADS)), *values))

        return kernel


def _value(argument: Any, kind: Any) -> Any:
    if isinstance(argument, np.ndarray):
        assert kind is ctypes.c_void_p and argument.flags.c_contiguous
        return argument.ctypes.data
    return int(argument) if kind in (ctypes.c_void_p, ctypes.c_longlong, ctypes.c_int) else float(argument)


class DeviceArray(np.ndarray):
    """An array that says where it lies as CuPy's do, and whose operations a stream can record."""

    data = property(lambda self: SimpleNamespace(ptr=self.ctypes.data))

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [x.view(np.ndarray) if isinstance(x, np.ndarray) else x for x in inputs]
        if out is None:
            with np.errstate(all="ignore"):  # what a recording stream has not computed yet
                found = getattr(ufunc, method)(*plain, **kwargs)
            if not isinstance(found, np.ndarray):
                return found
            target = (found,)
        else:
            target = tuple(x.view(np.ndarray) for x in out)
        ON_HOST.record(lambda: getattr(ufunc, method)(*plain, out=target, **kwargs))
        return target[0].view(DeviceArray)

    def __setitem__(self, where, value):
        plain = value.view(np.ndarray) if isinstance(value, np.ndarray) else value
        ON_HOST.record(lambda: self.view(np.ndarray).__setitem__(where, plain))


DeviceArray.__module__ = "cupy"


class Host:
    """The one stream, and what it records."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] | None = None
        self.launches = 0

    def record(self, call: Callable[[], None]) -> None:
        """Make a call, or put it down while recording."""
        if self.calls is None:
            call()
        else:
            self.calls.append(call)


ON_HOST = Host()


class Stream:
    """A stream that can record."""

    ptr = 1

    def __init__(self, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def synchronize(self):
        assert ON_HOST.calls is None, "a recording stream cannot be waited for"

    def begin_capture(self):
        ON_HOST.calls = []

    def end_capture(self):
        calls, ON_HOST.calls = ON_HOST.calls, None
        return SimpleNamespace(launch=lambda: [call() for call in calls])


class RefusingCublas:
    """cuBLAS as CuPy offers it."""

    def gemm(self, transa, transb, a, b, out, alpha, beta):
        if ON_HOST.calls is not None:
            raise NotImplementedError("no cuBLAS while a stream records")
        assert transa == transb == "N"
        a, b, out = (x.view(np.ndarray) for x in (a, b, out))
        out[...] = alpha * (a @ b) + (beta * out if beta else 0.0)


def host_cupy(folder: Path) -> tuple[ModuleType, dict[str, ModuleType]]:
    """A module with what this package uses of CuPy, and the modules to put beside it."""

    def device(function):
        def call(*args, **kwargs):
            found = function(*args, **kwargs)
            return found.view(DeviceArray) if isinstance(found, np.ndarray) else found

        return call

    xp = ModuleType("cupy")
    for name in ("empty", "full", "zeros", "arange", "asarray", "ascontiguousarray", "isfinite", "vdot"):
        setattr(xp, name, device(getattr(np, name)))
    xp.multiply, xp.sqrt, xp.float32 = np.multiply, np.sqrt, np.float32
    xp.asnumpy = lambda x: np.array(x)
    xp.RawModule = lambda code, options: HostModule(code, folder, ON_HOST.record)
    xp.ElementwiseKernel = lambda inputs, outputs, operation, name: _elementwise(operation)
    xp.ReductionKernel = _row_dots
    handle = SimpleNamespace(mode=0)
    runtime = SimpleNamespace(memGetInfo=lambda: (2**33, 2**34), runtimeGetVersion=lambda: 13000,
                              getDeviceCount=lambda: 1, CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {}))  # fmt: skip

    @contextmanager
    def using_allocator(malloc):
        yield

    xp.cuda = SimpleNamespace(
        runtime=runtime, Stream=Stream, get_current_stream=Stream, using_allocator=using_allocator,
        MemoryPool=lambda: SimpleNamespace(malloc=None), device=SimpleNamespace(get_cublas_handle=lambda: handle),
        memory=SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {})),
    )  # fmt: skip
    xp.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 0)
    xp.cublas = RefusingCublas()
    libs = ModuleType("cupy_backends.cuda.libs")
    libs.cublas = SimpleNamespace(getMathMode=lambda h: h.mode, setMathMode=lambda h, mode: setattr(h, "mode", mode))
    backends, cuda = ModuleType("cupy_backends"), ModuleType("cupy_backends.cuda")
    beside = {"cupy_backends": backends, "cupy_backends.cuda": cuda, "cupy_backends.cuda.libs": libs}
    return xp, {"cupy": xp, **beside}


def _elementwise(operation: str) -> Callable:
    assert operation == "z = y + a * x"

    def kernel(a, x, y, z):
        x, y, z = (v.view(np.ndarray) for v in (x, y, z))
        ON_HOST.record(lambda: np.add(y, a * x, out=z))

    return kernel


def _row_dots(inputs, output, mapping, reduction, after, identity, name) -> Callable:
    assert (mapping, reduction, after, identity) == ("x * y", "a + b", "z = a", "0")

    def kernel(x, y, axis):
        x, y = x.view(np.ndarray), y.view(np.ndarray)
        out = np.empty(x.shape[0], x.dtype)
        ON_HOST.record(lambda: np.sum(x * y, axis=axis, out=out))
        return out.view(DeviceArray)

    return kernel
