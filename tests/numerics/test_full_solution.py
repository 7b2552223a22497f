"""Whole matrices integrated by every method against SciPy on the plain flow, and what is refused before anything runs."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ufmflow.numerics import full_solution
from ufmflow.numerics.column_chunks import Layout, check_memory, chunk_rows
from ufmflow.numerics.devices import Cpu
from ufmflow.numerics.full_flow import layout_of
from ufmflow.numerics.full_solution import chosen_method, integrate_full
from ufmflow.numerics.integrate import IntegrationError
from ufmflow.numerics.matrices import MatrixFlow, MeasuredKernel
from ufmflow.numerics.simulate import gaussian, simulate
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import CONSTRAINTS, UFM

from .explicit import normal

KERNEL = {"1": 3, "a": 2, "b": 1, "a:b": "1/2"}
MODEL = UFM("a[3] * b[4]", width=6, feature_kernel=KERNEL, ridge=(0.01, 0.02))
TIMES = np.array([0.0, 1.0, 10.0, 40.0])


def reference(flow: MatrixFlow, W: np.ndarray, F: np.ndarray, times: np.ndarray) -> np.ndarray:
    """States (T, n) by SciPy at tight tolerances, in the layout of a flat state."""
    V, d = W.shape

    def rhs(t, y):
        dW, dF = flow.rates(y[: V * d].reshape(V, d), y[V * d :].reshape(-1, d).T)
        return np.concatenate([dW.ravel(), dF.T.ravel()])

    y0 = np.concatenate([W.ravel(), F.T.ravel()])
    return solve_ivp(rhs, (0, times[-1]), y0, "DOP853", times, rtol=1e-12, atol=1e-13).y.T


def start(model: UFM) -> tuple[np.ndarray, np.ndarray]:
    return 0.3 * normal(1, int(model.label_count), 6), 0.3 * normal(2, 6, int(model.contexts))


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("method", [None, "dp5", "dop853", "stabilised", "auto"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_the_solution_is_within_the_tolerance_by_every_method(constraint, method):
    model = UFM(**(MODEL.config() | {"constraint": constraint}))
    flow, (W, F) = MatrixFlow.of(model), start(model)
    expected = reference(flow, W, F, TIMES)
    found = integrate_full(flow, W, F, TIMES, 1e-6, 1e-9, method=method)
    assert error(found.states, expected) <= 1e-6
    assert error(integrate_full(flow, W, 1.0001 * F, TIMES, 1e-6, 1e-9, method=method).states, expected) > 1e-6
    np.testing.assert_allclose(found.loss, [flow.loss(W, F.T) for W, F in zip(found.W, found.F)], rtol=1e-12)
    np.testing.assert_allclose(found.H, [flow.embed(F.T).T for F in found.F], rtol=1e-13)
    assert found.method == (method or "dop853") and found.evaluations > 0


def test_tolerances_between_are_met_too():
    flow, (W, F) = MatrixFlow.of(MODEL), start(MODEL)
    expected = reference(flow, W, F, TIMES)
    errors = [error(integrate_full(flow, W, F, TIMES, rtol, rtol).states, expected) for rtol in (1e-3, 1e-6, 1e-9)]
    assert all(e <= rtol for e, rtol in zip(errors, (1e-3, 1e-6, 1e-9), strict=True))


def test_float32_keeps_its_tolerance_and_type():
    flow, (W, F) = MatrixFlow.of(MODEL), start(MODEL)
    found = integrate_full(flow, W, F, TIMES, 1e-4, 1e-6, dtype="float32")
    assert found.states.dtype == np.float32
    assert 1e-9 < error(found.states, reference(flow, W, F, TIMES)) <= 1e-4


def test_a_ridge_held_for_long_takes_the_stabilised_method():
    """Stability holds an order-5 pair to 2 ridge t evaluations or more; the stabilised one needs a tenth."""
    model = UFM("a[3] * b[4]", width=6, ridge=0.02)
    flow, (W, F) = MatrixFlow.of(model), start(model)
    times = np.array([0.0, 2e5])
    assert chosen_method(flow, 2e5, 1e-6) == "auto" and chosen_method(flow, 10.0, 1e-6) == "dop853"
    found = integrate_full(flow, W, F, times, 1e-4, 1e-6)
    plain = integrate_full(flow, W, F, times / 20, 1e-4, 1e-6, method="dp5")
    assert found.evaluations < 2 * plain.evaluations  # in 20 times the time
    assert error(found.states[-1], plain.states[-1]) <= 2e-4  # both at rest
    assert chosen_method(MatrixFlow.of(UFM("a[3]", width=6)), 1e9, 1e-4) == "dp5"  # nothing holds it at rest


def test_a_measured_kernel_is_taken_as_it_is():
    A = normal(5, 12, 12)
    flow = MatrixFlow(MODEL, float(MODEL.scale), (0.01, 0.02), MeasuredKernel(A @ A.T / 12))
    W, F = start(MODEL)
    found = integrate_full(flow, W, F, TIMES, 1e-6, 1e-9)
    assert error(found.states, reference(flow, W, F, TIMES)) <= 1e-6


def test_a_flow_that_leaves_every_bound_says_when():
    W, F = start(MODEL)
    flow = MatrixFlow(MODEL, 1.0, (0.0, 0.0), lambda X, F: F * (F**2).sum())  # |F|^2 = 1 / (1 / |F(0)|^2 - 2 t)
    with pytest.raises(IntegrationError, match=r"^integration stopped at t = .* of 10") as caught:
        integrate_full(flow, W, F, np.array([0.0, 10.0]), 1e-4, 1e-6)
    assert float(str(caught.value).split(" ")[5]) == pytest.approx(0.5 / (F**2).sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float16"}, "^dtype: 'float16' is none of float64, float32, tf32"),
        ({"dtype": "tf32"}, "^dtype: 'tf32' on 'cpu', which has none"),
        ({"dtype": "float32"}, "^rtol: 1e-08 is below 1.2e-06, what float32 can hold"),
        ({"method": "rk4"}, "^method: 'rk4' is none of dp5, dop853, rkc, stabilised, auto"),
        ({"device": "gpu"}, "^device: 'gpu' is not available; give 'cpu' or 'cuda'"),
        ({"full": False, "dtype": "float32"}, "^dtype: 'float32' is for whole matrices; add full=True"),
        ({"full": False, "method": "dp5"}, "^method: 'dp5' is for whole matrices"),
        ({"full": False, "device": "cuda"}, "^device: 'cuda' is for whole matrices"),
        ({"full": False, "device": "tpu"}, "^device: 'tpu' is not available"),
    ],
)
def test_each_bad_choice_is_named_in_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        simulate(**({"model": MODEL, "t": 1.0, "init": gaussian(0.1), "full": True} | arguments))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_simulate_takes_precision_and_method():
    runs = [
        simulate(MODEL, TIMES, init=gaussian(0.1), full=True, rtol=1e-4, **extra)
        for extra in ({}, {"dtype": "float32", "method": "dop853"})
    ]
    assert runs[1].data["W"].dtype == np.float32 and runs[0].data["W"].dtype == np.float64
    assert 0 < np.abs(runs[0].data["z"] - runs[1].data["z"]).max() < 1e-3
    assert runs[1].data.attrs["dtype"] == "float32" and runs[1].data.attrs["method"] == "dop853"


def test_chunks_are_whole_below_the_threshold_and_even_above():
    assert chunk_rows(256, 256, 8, 2**25) == 256
    for V, m in ((4096, 4096), (131072, 1000), (10**6, 10**5), (70000, 513)):
        rows = chunk_rows(V, m, 8, 2**25)
        assert rows * V * 8 <= 2**25 or rows <= 512  # the size asked for, or the fewest rows that are worth it
        assert rows == m or -(-m // rows) * rows - m < -(-m // rows)  # the last chunk is no stump


def test_the_largest_flow_in_float32_fits_eight_gibibytes():
    model = UFM("a[512] * b[256]", width=256, feature_kernel={"1": 1, "a": 2, "b": 2, "a:b": "1/10"})
    flow = MatrixFlow.of(UFM("a[512] * b[256]", width=256))
    found = layout_of(flow, 256, 4, Cpu.chunk_bytes).memory(4, vectors=8, outputs=2)
    assert found.on_device + found.on_host < 8 * 2**30
    dense = Layout(131072, 131072, 256, rows=131072, by_gram=False, logits=1, scratch=0, averages=0.0)
    assert dense.memory(4, vectors=8, outputs=2).on_device > 64 * 2**30
    assert layout_of(MatrixFlow.of(model), 256, 4, Cpu.chunk_bytes).averages > 2  # kernels take arrays of their own


def test_too_much_memory_is_refused_before_anything_is_taken(monkeypatch):
    model = UFM("a[512] * b[256]", width=256)
    monkeypatch.setattr(Cpu, "free_memory", lambda self: 3.0 * 2**30)
    with pytest.raises(InputError, match=r"^device: 'cpu' needs about .* GiB for this flow in float64, and this process "
                                         r"has 3 GiB free; dtype='float32' halves it"):  # fmt: skip
        integrate_full(MatrixFlow.of(model), np.zeros((131072, 256)), np.zeros((256, 131072)), TIMES, 1e-3, 1e-3)


def test_what_fits_is_said():
    wide = Layout(1024, 1024, 256, rows=1024, by_gram=False, logits=1, scratch=0, averages=0.0)
    found = wide.memory(8, vectors=8, outputs=1000)
    free = 1.0 * 2**30
    with pytest.raises(InputError, match=r"; (\d+) output times fit\.$") as caught:
        check_memory(found, "cpu", free, free, 1000, "float64")
    fit = int(str(caught.value).split("; ")[1].split(" ")[0])
    check_memory(wide.memory(8, vectors=8, outputs=fit), "cpu", free, free, fit, "float64")
    with pytest.raises(InputError):
        check_memory(wide.memory(8, vectors=8, outputs=fit + 1), "cpu", free, free, fit + 1, "float64")
    with pytest.raises(InputError, match="^device: 'cuda' needs about .* and the GPU has 16 MiB free"):
        check_memory(found, "cuda", 2.0**24, 2.0**40, 1000, "float32")
    with pytest.raises(InputError, match="^t: 1000 saved times need about .* output times fit"):
        check_memory(found, "cuda", 2.0**40, free, 1000, "float64")


def test_no_state_is_built_where_nothing_fits(monkeypatch):
    """The estimate comes first: a flow that does not fit is refused within the memory that its start takes."""
    monkeypatch.setattr(Cpu, "free_memory", lambda self: 2.0**20)
    monkeypatch.setattr(full_solution, "FullFlow", lambda *a: pytest.fail("memory was taken"))
    with pytest.raises(InputError, match="^device: 'cpu' needs about"):
        integrate_full(MatrixFlow.of(UFM("a[32] * b[32]", width=64)), np.zeros((1024, 64)), np.zeros((64, 1024)),
                       TIMES, 1e-3, 1e-3)  # fmt: skip
