"""The device's code run on the CPU: its kernels compiled from their CUDA source, its products through cuBLAS's own names.

The compiled kernels run threads with barriers (`cuda_on_host`); a GPU itself is for `tests/gpu`.
"""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from ufmflow.numerics import cublas, devices, vectors
from ufmflow.numerics.cublas import Cublas, CublasError
from ufmflow.numerics.devices import Cpu, Cuda, open_device
from ufmflow.numerics.full_flow import FullFlow
from ufmflow.numerics.full_solution import integrate_full
from ufmflow.numerics.launch_graphs import Recorded
from ufmflow.numerics.matrices import MatrixFlow
from ufmflow.numerics.softmax_kernel import cuda_source
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

from . import cuda_on_host
from .cuda_on_host import DeviceArray, HostCublas, HostModule, host_cupy
from .explicit import normal
from .test_full_flow import ACCURACY, close, exact_row

compiled = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cuda")


@pytest.fixture
def cupy(folder, monkeypatch):
    """CuPy on the CPU, in the place of the real one."""
    for cached in (devices._softmax, devices._scaled_sum, devices._row_dots, vectors._compiled):
        cached.cache_clear()
    xp, modules = host_cupy(folder)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    products, real = HostCublas(folder), cublas.ctypes.CDLL
    monkeypatch.setattr(cublas.ctypes, "CDLL", lambda name: products if name == "libcublas.so.13" else real(name))
    yield xp
    for cached in (devices._softmax, devices._scaled_sum, devices._row_dots, vectors._compiled):
        cached.cache_clear()


ROWS = np.array([[1.0, 2.0, 3.0, 0.5, -1.0], [5000.0, -5000.0, 4999.0, 0.0, 1.0], [-30.0, 40.0, 3.0, 2.0, 1.0],
                 [-800.0, -801.0, -900.0, -802.0, -803.0]])  # fmt: skip


def kernel_is_accurate(source: str, folder) -> bool:
    """The CUDA pass on rows of all sizes, with hard labels and soft, against 60 digits."""
    kernel = HostModule(source, folder).get_function("residuals")
    for labels in ([0, 1, 2, 3], [4, 0, 1, 0], [-1] * 4):
        Z, loss = ROWS.copy(), np.empty(4)
        kernel((4,), (256,), (Z, np.array(labels, dtype=np.int64), loss, 5, 0.5))
        for i, label in enumerate(labels):
            gradient, value = exact_row(ROWS[i].tolist(), None if label < 0 else label)
            if not np.isfinite(Z[i]).all():
                return False
            if not all(close(f, 0.5 * e, **ACCURACY) for f, e in zip(Z[i], gradient, strict=True)):
                return False
            if not close(loss[i], value, 1e-12, 1e-12 if label < 0 else 1e-300):
                return False
    return True


@compiled
def test_the_cuda_pass_is_accurate_at_any_margin(folder):
    source = cuda_source("double")
    assert kernel_is_accurate(source, folder)
    for right, wrong in ((" - top", ""), ("log1p(others / chosen)", "log(total) - gap")):
        assert right in source and not kernel_is_accurate(source.replace(right, wrong), folder), wrong


@compiled
def test_products_by_cublas_in_every_order(cupy):
    products = Cublas(cupy)
    for n, p, q in ((3, 4, 5), (1, 4, 1), (7, 1, 2)):
        A, B, start = normal(0, n, p), normal(1, p, q), normal(2, n, q)
        for left in (A, np.asfortranarray(A)):
            for right in (B, np.asfortranarray(B)):
                for add in (False, True):
                    out = start.copy().view(DeviceArray)
                    products.multiply(left.view(DeviceArray), right.view(DeviceArray), out, add)
                    np.testing.assert_allclose(out, A @ B + add * start, atol=1e-14)  # sums of 4 products
    single = np.zeros((3, 5), np.float32).view(DeviceArray)
    products.multiply(
        *(normal(i, *s).astype(np.float32).view(DeviceArray) for i, s in enumerate(((3, 4), (4, 5)))), single
    )
    np.testing.assert_allclose(single, normal(0, 3, 4) @ normal(1, 4, 5), atol=1e-5)
    assert products.lib.math_mode() == 0 and Cublas(cupy, tf32=True).lib.math_mode() == 3


@compiled
def test_a_status_of_cublas_is_told(cupy, monkeypatch):
    products = Cublas(cupy)
    products.stream = 1  # as if the stream had its workspace; the library knows better
    A = normal(0, 2, 2).view(DeviceArray)
    products.lib.cublasSetStream_v2(products.handle, None)
    with pytest.raises(CublasError, match="^cublasDgemm_v2: status 14$"):
        products.multiply(A, A, A.copy())


def test_products_on_the_cpu_in_every_order():
    A, B, start = normal(0, 3, 4), normal(1, 4, 5), normal(2, 3, 5)
    for left in (A, np.asfortranarray(A)):
        for right in (B, np.asfortranarray(B)):
            for add in (False, True):
                out = start.copy()
                Cpu().product(left, right, out, add)
                np.testing.assert_allclose(out, A @ B + add * start, atol=1e-14)


MODELS = {
    "plain": {"ridge": 0.01},
    "words": {"attributes": "(a[3] * b[2]) / c[2]", "labels": "a * b", "ridge": (0.01, 0.02), "constraint": "normalized",
              "feature_kernel": {"1": 3, "a": 2, "b": 1, "a:b": "1/2", "a:b:c": "1/3"}},
    "soft": {"targets": {"a": "3/4", "b": "1/2", "a:b": "1/2"}, "constraint": "sphere", "label_kernel": {"a": 2, "b": 1, "a:b": 1}},
    "squares": {"loss": "mse", "width": 3},
}  # fmt: skip


def start_of(case: str) -> tuple[MatrixFlow, np.ndarray, np.ndarray]:
    model = UFM(**({"attributes": "a[3] * b[4]", "width": 5} | MODELS[case]))
    d = int(model.width)
    return MatrixFlow.of(model), normal(1, int(model.label_count), d), normal(2, d, int(model.contexts))


@compiled
@pytest.mark.parametrize("case", MODELS)
def test_the_devices_rates_are_the_cpus(cupy, case):
    flow, W, F = start_of(case)
    results = []
    for device in (Cpu(), Cuda(cupy)):
        full = FullFlow(flow, W.shape[1], device, rows=5)
        y = full.state(W, F)
        out = y * np.nan
        results.append((full.loss_and_rates(y, out), np.array(out)))
    assert type(out) is DeviceArray
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-12)
    np.testing.assert_allclose(results[1][1], results[0][1], atol=1e-13 * np.abs(results[0][1]).max())


@compiled
@pytest.mark.parametrize("case", ["plain", "words"])
def test_recorded_rates_are_replayed(cupy, case):
    """The same rate, from states that change; each pair of buffers is run plainly, recorded, then replayed."""
    flow, W, F = start_of(case)
    device = Cuda(cupy)
    full = FullFlow(flow, W.shape[1], device, rows=5)
    plain = FullFlow(flow, W.shape[1], rows=5)
    recorded = device.recorded(full.rhs)
    pairs = [(full.state(W, F), full.state(W, F)) for _ in range(2)]
    for turn in range(4):
        for i, (y, out) in enumerate(pairs):
            y *= 1.1 + 0.1 * i
            recorded(0.0, y, out)
            expected = np.empty(y.size)
            plain.rhs(0.0, np.array(y), expected)
            np.testing.assert_allclose(np.array(out), expected, atol=1e-13 * np.abs(expected).max())
    assert recorded.recording and recorded.replays == 6 and len(recorded.graphs) == 2


@compiled
def test_a_rate_that_cannot_be_recorded_is_run_plainly(cupy):
    """CuPy's own products refuse to be recorded."""
    flow, W, F = start_of("plain")
    full = FullFlow(flow, W.shape[1], Cuda(cupy), rows=5)
    recorded = Recorded(full.rhs, cupy)
    y, out = full.state(W, F), full.state(W, F)
    expected = np.empty(y.size)
    FullFlow(flow, W.shape[1]).rhs(0.0, np.array(y), expected)
    for _ in range(3):
        out[...] = 0.0
        recorded(0.0, y, out)
        np.testing.assert_allclose(np.array(out), expected, atol=1e-13)
    assert not recorded.recording and recorded.replays == 0


@compiled
def test_a_whole_integration_on_the_device_is_the_cpus(cupy):
    flow, W, F = start_of("plain")
    times = np.array([0.0, 0.3, 1.0])
    found = [integrate_full(flow, W, F, times, 1e-4, 1e-6, device=device, method="dp5") for device in ("cpu", "cuda")]
    # The same steps, but for rounding in sums taken in another order.
    assert found[0].evaluations == found[1].evaluations
    np.testing.assert_allclose(found[1].states, found[0].states, atol=1e-10)
    np.testing.assert_allclose(found[1].loss, found[0].loss, atol=1e-10)
    assert type(found[1].states) is np.ndarray


@compiled
def test_tf32_is_used_where_it_is_asked_for_alone(cupy):
    handle = cupy.cuda.device.get_cublas_handle()
    for asked, left in ((True, 0), (False, 3)):
        handle.mode = left
        device = Cuda(cupy)
        with device.running(tf32=asked):
            recorded = device.recorded(lambda t, y, out: None)
            assert handle.mode == (3 if asked else 0) == cublas.ctypes.CDLL("libcublas.so.13").math_mode()
            assert isinstance(recorded, Recorded)
        assert handle.mode == left


@compiled
def test_a_gpu_without_room_is_a_sentence(cupy):
    flow, W, F = start_of("plain")
    cupy.cuda.runtime.memGetInfo = lambda: (1000, 2**34)
    with pytest.raises(
        InputError, match=r"^device: 'cuda' needs about .* MiB for this flow in float64, and the GPU has "
    ):
        integrate_full(flow, W, F, np.array([0.0, 1.0]), 1e-6, 1e-9, device="cuda")
    with pytest.raises(InputError, match=r"^device: the GPU ran out of memory \(no room\); give fewer output times"):
        with Cuda(cupy).running():
            raise cupy.cuda.memory.OutOfMemoryError("no room.")


def refusing(error: type[Exception] | None, message: str = "", count: int = 0, driver: int = 0):
    """CuPy's runtime as it answers without a usable GPU."""
    import types

    class CUDARuntimeError(RuntimeError):
        pass

    def getDeviceCount():
        if error is None:
            return count
        raise CUDARuntimeError(message)

    runtime = types.SimpleNamespace(
        getDeviceCount=getDeviceCount, CUDARuntimeError=CUDARuntimeError, driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13000,
    )  # fmt: skip
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))


INSUFFICIENT = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (None, r"^device: 'cuda' needs CuPy \(.*\); pip install 'ufmflow\[gpu\]', or give device='cpu'\.$"),
        (refusing(RuntimeError, INSUFFICIENT), "no GPU to run on: this machine has no NVIDIA driver, or give device='cpu'"),
        (refusing(RuntimeError, INSUFFICIENT, driver=11080),
         "the driver serves CUDA 11.8 and this CuPy needs 13.0; update the driver, or give device='cpu'"),
        (refusing(RuntimeError, "cudaErrorNoDevice: no CUDA-capable device is detected", driver=13000),
         "no GPU to run on: cudaErrorNoDevice: no CUDA-capable device is detected, or give device='cpu'"),
        (refusing(None, count=0), "CUDA sees none"),
    ],
)  # fmt: skip
def test_a_machine_without_a_gpu_is_told_why(monkeypatch, fake, message):
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with pytest.raises(InputError, match=message) as caught:
        open_device("cuda")
    assert str(caught.value).startswith("device: 'cuda' ") and str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("real", ["double", "float"])
def test_the_pass_compiles_for_a_gpu(tmp_path, real, architecture):
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on this machine")
    command = ["nvcc", "--ptx", f"-arch={architecture}", "--std=c++14", "-o", "pass.ptx", "pass.cu"]
    (tmp_path / "pass.cu").write_text(cuda_source(real))
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert "residuals" in (tmp_path / "pass.ptx").read_text()
    (tmp_path / "pass.cu").write_text(cuda_source(real).replace("blockIdx", "blockIndex"))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode != 0


def test_the_host_records_nothing_when_all_is_done():
    assert cuda_on_host.ON_HOST.calls is None
