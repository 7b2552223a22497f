"""The flow of whole matrices on the GPU against the CPU: to 1e-10 in float64, recorded or not, chunked or not.

Plain functions without pytest, so that `run.py` runs them on a machine that has none.
"""

import numpy as np

from ufmflow.numerics.column_chunks import gib
from ufmflow.numerics.cublas import Cublas
from ufmflow.numerics.devices import Cpu, open_device
from ufmflow.numerics.full_flow import FullFlow
from ufmflow.numerics.full_solution import integrate_full
from ufmflow.numerics.launch_graphs import Recorded
from ufmflow.numerics.matrices import MatrixFlow, MeasuredKernel
from ufmflow.numerics.vectors import vectors_like
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM

SAME = 1e-10


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def model_of(loss="cross_entropy", constraint="free", **fields):
    plain = {"attributes": "(a[5] * b[4]) / c[3]", "labels": "a * b", "width": 16, "ridge": (0.01, 0.02),
             "feature_kernel": {"1": 3, "a": 2, "b": 1, "a:b": "1/2", "a:b:c": "1/3"},
             "label_kernel": {"a": 2, "b": 1, "a:b": 3}}  # fmt: skip
    return UFM(**(plain | {"loss": loss, "constraint": constraint} | fields))


def start(model, size=1.0):
    d = int(model.width)
    return size * normal(1, int(model.label_count), d), size * normal(2, d, int(model.contexts))


def apart(found, expected):
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def rates_apart(flow, W, F, rows=None, dtype="float64"):
    """The largest difference between the device's and the CPU's rates, and between their losses."""
    device, results = open_device("cuda"), []
    for place in (Cpu(), device):
        full = FullFlow(flow, W.shape[1], place, dtype, rows=rows)
        y = full.state(W, F)
        out = y * 0.0
        results.append((full.loss_and_rates(y, out), place.to_host(out)))
    return max(apart(results[1][1], results[0][1]), abs(results[1][0] / results[0][0] - 1))


def test_rates_of_every_family_are_the_cpus():
    for loss in LOSSES:
        for constraint in CONSTRAINTS:
            model = model_of(loss, constraint)
            flow, (W, F) = MatrixFlow.of(model), start(model)
            for rows in (None, 7):
                assert rates_apart(flow, W, F, rows) <= SAME, (loss, constraint, rows)
    other = MatrixFlow.of(model_of(ridge=0.5))
    full, device = FullFlow(MatrixFlow.of(model_of()), 16, open_device("cuda")), FullFlow(other, 16)
    W, F = start(model_of())
    out = full.state(W, F)
    full.rhs(0.0, full.state(W, F), out)
    wrong = device.state(W, F)
    device.rhs(0.0, device.state(W, F), wrong)
    assert apart(full.device.to_host(out), wrong) > 1e-3  # another ridge is noticed


def test_soft_targets_and_measured_kernels():
    soft = model_of(targets={"a": "3/4", "b": "1/2", "a:b": "1/2"})
    assert rates_apart(MatrixFlow.of(soft), *start(soft), rows=7) <= SAME
    A = normal(3, 60, 60)
    measured = MatrixFlow(model_of(), 1 / 60, (0.0, 0.0), MeasuredKernel(A @ A.T / 60))
    assert rates_apart(measured, *start(model_of())) <= SAME


def test_logits_of_any_size():
    model = UFM("a[30]", width=16)
    for size in (1e-3, 1.0, 30.0):  # logits up to some thousands
        assert rates_apart(MatrixFlow.of(model), *start(model, size)) <= SAME


def test_products_of_cublas_in_every_order():
    cupy = open_device("cuda").xp
    for tf32, largest in ((False, 1e-5), (True, 1e-2)):
        products = Cublas(cupy, tf32=tf32)
        A, B, old = (cupy.asarray(normal(i, *s)) for i, s in enumerate(((70, 90), (90, 110), (70, 110))))
        for dtype, allowed in (("float64", 1e-13), ("float32", largest)):
            a, b, c = (x.astype(dtype) for x in (A, B, old))
            for left in (a, cupy.asfortranarray(a)):
                for right in (b, cupy.asfortranarray(b)):
                    for add in (False, True):
                        out = c.copy()
                        products.multiply(left, right, out, add)
                        exact = A @ B + (old if add else 0)
                        assert apart(cupy.asnumpy(out), cupy.asnumpy(exact)) <= allowed


def test_tf32_is_coarser_than_float32():
    model = UFM("a[16] * b[16]", width=128)
    flow, (W, F) = MatrixFlow.of(model), start(model, 0.1)
    device, found = open_device("cuda"), {}
    for tf32 in (False, True):
        with device.running(tf32=tf32):
            full = FullFlow(flow, 128, device, "float32")
            out = full.state(W, F)
            full.rhs(0.0, full.state(W, F), out)
            found[tf32] = device.to_host(out)
    exact = FullFlow(flow, 128)
    expected = exact.state(W, F)
    exact.rhs(0.0, exact.state(W, F), expected)
    assert apart(found[False], expected) < 1e-5 < apart(found[True], expected) < 1e-1


def test_a_recorded_rate_is_replayed():
    for model in (UFM("a[8] * b[8]", width=16, ridge=0.01), model_of(constraint="normalized")):
        flow, (W, F) = MatrixFlow.of(model), start(model)
        device, plain = open_device("cuda"), FullFlow(flow, 16)
        with device.running():
            full = FullFlow(flow, 16, device)
            recorded = device.recorded(full.rhs)
            assert isinstance(recorded, Recorded)
            y, out = full.state(W, F), full.state(W, F)
            for _ in range(6):
                y *= 1.05
                recorded(0.0, y, out)
                expected = plain.state(W, F)
                plain.rhs(0.0, device.to_host(y), expected)
                assert apart(device.to_host(out), expected) <= SAME
        assert recorded.recording and recorded.replays == 5, "CUDA graphs are not used"


def test_solutions_are_the_cpus():
    times = np.array([0.0, 1.0, 10.0, 30.0])
    for model, size in ((UFM("a[8] * b[8]", width=16, ridge=0.01), 0.3), (model_of(constraint="sphere"), 1.0)):
        flow, (W, F) = MatrixFlow.of(model), start(model, size)
        for method in ("dp5", "dop853", "auto"):
            found = [integrate_full(flow, W, F, times, 1e-10, 1e-12, device=d, method=method) for d in ("cpu", "cuda")]
            assert apart(found[1].states, found[0].states) <= SAME, method
            assert apart(found[1].loss, found[0].loss) <= SAME
    single = integrate_full(flow, W, F, times, 1e-4, 1e-6, device="cuda", dtype="float32")
    assert apart(single.states, found[0].states) <= 1e-4


def test_sums_and_norms_of_vectors():
    cupy = open_device("cuda").xp
    host = [normal(i, 100_003) for i in range(9)]
    device = [cupy.asarray(x) for x in host]
    results = []
    for xs in (host, device):
        ops = vectors_like(xs[0])
        terms = [(0.1 * j, x) for j, x in enumerate(xs[:7])]
        ops.combine(out := ops.empty(), terms)
        results.append([float(out.sum()), float(abs(out).max()), ops.norm(terms),
                        ops.weighted_rms(terms, xs[7], xs[8], 1e-6, 1e-9)])  # fmt: skip
    assert np.allclose(results[0], results[1], rtol=1e-11)


def test_more_than_the_device_has_is_refused():
    device = open_device("cuda")
    model = UFM("a[1024] * b[1024]", width=16)
    flow = MatrixFlow.of(model)
    free, device_class = device.free_memory(), type(device)
    keep = device_class.free_memory
    device_class.free_memory = lambda self: 2.0**26
    try:
        integrate_full(flow, np.zeros((2**20, 16)), np.zeros((16, 2**20)), np.array([0.0, 1.0]), 1e-6, 1e-9, device="cuda")
    except InputError as error:
        assert f"the GPU has {gib(2.0**26)} free" in str(error)
    else:
        raise AssertionError("memory was not estimated")
    finally:
        device_class.free_memory = keep
    assert free > 2.0**26
