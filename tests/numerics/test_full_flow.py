"""The flow on flat vectors against the plain matrix flow, whatever the chunks; exact softmax at any margin; precision."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics import softmax_pass
from ufmflow.numerics.full_flow import FullFlow
from ufmflow.numerics.matrices import MatrixFlow, MeasuredKernel
from ufmflow.proofs.strategies import models
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM

from .explicit import normal, seeds

D = 5  # width of the matrices below


def start(model: UFM, seed: int, width: int = D) -> tuple[np.ndarray, np.ndarray]:
    F = normal(seed + 1, width, int(model.contexts))
    return normal(seed, int(model.label_count), width), F * np.maximum(1.0, 0.5 / np.linalg.norm(F, axis=0))


def agrees(full: FullFlow, flow: MatrixFlow, W: np.ndarray, F: np.ndarray, tolerance: float) -> bool:
    """Whether rates and loss are the plain flow's, relative to the largest rate or logit of order one."""
    y = full.state(W, F)
    out, again = np.full_like(y, np.nan), np.full_like(y, np.nan)
    full.rhs(0.0, y, out)
    loss = full.loss_and_rates(y, again)
    expected = flow.rates(W, F)
    found = full.split(out)[0], full.split(out)[1].T
    size = max(1.0, *(np.abs(x).max() for x in expected))
    assert np.array_equal(y, full.state(W, F)), "the state was written to"
    return (
        all(np.abs(a - b).max() <= tolerance * size for a, b in zip(found, expected, strict=True))
        and np.abs(again - out).max() <= tolerance * size
        and abs(loss - flow.loss(W, F)) <= tolerance * max(1.0, loss)
        and abs(full.loss(y) - loss) <= tolerance * max(1.0, loss)
    )


# Logits are at most some 50: exp is off by 50 eps, sums of at most 12 products of order 10 by some 100 eps.
SAME = 1e-12


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@given(data=st.data(), seed=seeds)
def test_rates_and_loss_are_the_plain_flows_for_any_chunks(loss, constraint, data, seed):
    model = data.draw(models(losses=(loss,), constraints=(constraint,)))
    rows = data.draw(st.integers(1, int(model.contexts)))
    width = data.draw(st.sampled_from((D, 30)))  # the wide one forms logits for squared error too
    flow = MatrixFlow.of(UFM(**(model.config() | {"width": width})))
    assert agrees(FullFlow(flow, width, rows=rows), flow, *start(model, seed, width), SAME)


WORDS = UFM("(a[2] * b[3]) / c[2]", labels="a * b", width=D, ridge=(1, 2), label_kernel={"a": 2, "b": 1, "a:b": 3},
            feature_kernel={"1": 3, "a": 2, "b": 1, "a:b": "1/2", "a:b:c": "1/3"})  # fmt: skip


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_another_model_is_noticed(loss, constraint):
    model = UFM(**(WORDS.config() | {"loss": loss, "constraint": constraint}))
    W, F = start(model, 0)
    flow = MatrixFlow.of(model)
    assert agrees(FullFlow(flow, D, rows=5), flow, W, F, SAME)
    for wrong in ({"feature_kernel": 1}, {"label_kernel": 1}, {"ridge": 1.5}, {"reduction": "sum"},
                  {"targets": {"a": "1/2", "b": 1, "a:b": 1}, "loss": "mse"}):  # fmt: skip
        other = FullFlow(MatrixFlow.of(UFM(**(model.config() | wrong))), D, rows=5)
        assert not agrees(other, flow, W, F, SAME), wrong


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_measured_and_other_kernels_and_decay(constraint):
    model = UFM(**(WORDS.config() | {"constraint": constraint}))
    W, F = start(model, 0)
    A = normal(7, 12, 12)
    measured = MeasuredKernel(A @ A.T)
    moving = lambda X, F: (X @ A @ A.T) * (F**2).sum(axis=0)
    for kernel in (measured, moving):
        flow = MatrixFlow(model, float(model.scale), (0.1, 0.2), kernel, decay=0.3)
        assert agrees(FullFlow(flow, D, rows=7), flow, W, F, 1e-11)  # kernels of size 50
        assert not agrees(FullFlow(flow, D), MatrixFlow(model, float(model.scale), (0.1, 0.2), kernel), W, F, 1e-11)
    with pytest.raises(InputError, match=r"^kernel: its shape is \(3, 3\); give one of \(12, 12\)\.$"):
        FullFlow(MatrixFlow.of(model, MeasuredKernel(np.eye(3))), D)


def test_float32_is_as_good_as_its_digits():
    model = UFM(**(WORDS.config() | {"label_kernel": 1}))
    W, F = start(model, 0)
    flow = MatrixFlow.of(model)
    full = FullFlow(flow, D, dtype="float32", rows=5)
    out = np.empty_like(full.state(W, F))
    full.rhs(0.0, full.state(W, F), out)
    assert out.dtype == np.float32 and full.Z.dtype == np.float32
    error = np.abs(full.split(out)[0] - flow.rates(W, F)[0]).max()
    assert 1e-9 < error < 1e-5  # some eps, 6e-8, of numbers of order 10; not float64's


def exact_row(z: list[float], label: int | None) -> tuple[list, mpmath.mpf]:
    """1_label - softmax (or -softmax), and the cross-entropy (or log sum exp), to 60 digits and more."""
    with mpmath.workdps(60):
        top = max(range(len(z)), key=z.__getitem__)
        e = [mpmath.exp(mpmath.mpf(x) - mpmath.mpf(z[top])) for x in z]
        if label is None:
            total = mpmath.fsum(e)
            return [-x / total for x in e], mpmath.log(total) + mpmath.mpf(z[top])
        shifted = [mpmath.exp(mpmath.mpf(x) - mpmath.mpf(z[label])) for x in z]
        others = mpmath.fsum(x for i, x in enumerate(shifted) if i != label)
        gradient = [others / (1 + others) if i == label else -x / (1 + others) for i, x in enumerate(shifted)]
        return gradient, mpmath.log1p(others)


def close(found: float, expected, relative: float, absolute: float) -> bool:
    return abs(mpmath.mpf(float(found)) - expected) <= relative * abs(expected) + absolute


def passed_over(z: list[float], label: int | None) -> tuple[np.ndarray, float]:
    """Minus the gradient by logits and the loss, as `Cpu.residuals` has them."""
    loss, Z = np.empty(1), np.array([z])
    at = None if label is None else np.array([label])
    if not softmax_pass.residuals(Z, at, 1.0, loss):
        Z = np.array([z])
        softmax_pass.shifted_residuals(Z, at, 1.0, loss)
    return Z[0], float(loss[0])


# Numbers are shifted by at most 230 or lie within 1e100 of one: exp of z is off by |z| eps, at most 745 eps = 1.7e-13.
# Exponentials below 1e-308 lose digits, beside totals of at least 1e-100.
ACCURACY = {"relative": 1e-12, "absolute": 1e-207}


@given(z=st.lists(st.floats(-5000, 5000) | st.floats(-40, 40), min_size=2, max_size=8), data=st.data())
def test_the_pass_is_accurate_at_any_margin(z, data):
    label = data.draw(st.none() | st.integers(0, len(z) - 1))
    gradient, loss = exact_row(z, label)
    found, value = passed_over(z, label)
    assert all(close(f, e, **ACCURACY) for f, e in zip(found, gradient, strict=True))
    assert close(value, loss, **ACCURACY) or (label is None and close(value, loss, 1e-12, 1e-12))  # log of near one


def test_a_plain_softmax_fails_the_same_check():
    for z in ([50.0, 0.0, 1.0], [800.0, 0.0, 3.0]):  # lost below rounding; overflow
        gradient, loss = exact_row(z, 0)
        found, value = passed_over(z, 0)
        assert all(close(f, e, **ACCURACY) for f, e in zip(found, gradient, strict=True)) and close(
            value, loss, **ACCURACY
        )
        with np.errstate(all="ignore"):
            plain = np.array([1.0, 0, 0]) - np.exp(z) / np.exp(z).sum()
        assert not all(np.isfinite(f) and close(f, e, **ACCURACY) for f, e in zip(plain, gradient, strict=True))


def test_rows_of_one_chunk_may_have_any_sizes():
    """One row out of range sends the whole chunk through the shifted pass, which changes the others by rounding alone."""
    rows = [[800.0, 0.0, 3.0], [1.0, 2.0, 3.0], [-900.0, -901.0, -950.0]]
    Z, at, loss = np.array(rows), np.array([0, 4, 8]), np.empty(3)
    assert not softmax_pass.residuals(Z, at, 2.0, loss)
    Z = np.array(rows)
    softmax_pass.shifted_residuals(Z, at, 2.0, loss)
    for i, row in enumerate(rows):
        gradient, value = exact_row(row, i)
        assert all(close(f, 2 * e, **ACCURACY) for f, e in zip(Z[i], gradient, strict=True))
        assert close(loss[i], value, **ACCURACY)


def test_blocks_of_rows_are_independent(monkeypatch):
    logits, at = 3 * normal(0, 7, 5), np.arange(7) * 5 + [0, 4, 2, 2, 1, 0, 3]
    found = []
    for block in (softmax_pass.BLOCK, 11):
        monkeypatch.setattr(softmax_pass, "BLOCK", block)
        for labels in (at, None):
            Z, loss = logits.copy(), np.empty(7)
            assert softmax_pass.residuals(Z, labels, 0.5, loss)
            found.append((Z, loss))
    for whole, apart in zip(found[:2], found[2:], strict=True):
        assert np.array_equal(whole[0], apart[0]) and np.array_equal(whole[1], apart[1])


def test_what_is_not_finite_stays_so():
    model = UFM("a[3]", width=2)
    full = FullFlow(MatrixFlow.of(model), 2)
    for wrong in (np.nan, np.inf):
        y = full.state(np.array([[wrong, 0], [0, 1], [1, 0]]), np.ones((2, 3)))
        out = np.zeros_like(y)
        with np.errstate(invalid="ignore"):
            full.rhs(0.0, y, out)
        assert not np.isfinite(out).all()


def test_logits_are_held_a_chunk_at_a_time():
    """V = m = 4096 and 64 directions: the state is 4 MiB, all logits would be 128 MiB, a chunk is at most 32 MiB."""
    import tracemalloc

    model = UFM("a[64] * b[64]", width=64)
    tracemalloc.start()
    full = FullFlow(MatrixFlow.of(model), 64)
    y = full.state(normal(0, 4096, 64), normal(1, 64, 4096))
    out = np.empty_like(y)
    full.rhs(0.0, y, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    layout = full.layout.memory(8, vectors=0, outputs=0)
    assert full.layout.rows == 1024 and peak < 60 * 2**20  # a chunk, the state, its rate and what makes them
    # The estimate (with a state and its start, vectors=1) covers what was taken and is no more than half above it.
    estimate = layout.on_device + y.nbytes
    assert 0.6 * estimate < peak < 1.1 * estimate + 8 * 2**20
