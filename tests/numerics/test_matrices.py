"""The flow of whole matrices against differences of its loss, explicit kernels, and exact softmax at huge margins."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics import matrices
from ufmflow.numerics.matrices import MatrixFlow, cross_entropy, label_of_context, softmax_residual, symmetric_start
from ufmflow.proofs.strategies import elements, models
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM

from .explicit import EPS, element, normal, seeds

STEP = 1e-3
D = 7  # width of the matrices below


def wide(model: UFM) -> UFM:
    return UFM(**(model.config() | {"width": D}))


def gradients(flow: MatrixFlow, W: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dL/dW and dL/dF by five-point differences of the loss, with its ridge; a held norm has none."""

    def loss(W, F):
        lam_W, lam_H = flow.ridge
        ridge_H = lam_H if flow.model.constraint == "free" else 0.0
        return flow.loss(W, F) + lam_W * (W**2).sum() / 2 + ridge_H * (F**2).sum() / 2

    def differences(f, X):
        found = np.empty(X.shape)
        for i in np.ndindex(X.shape):
            e = np.zeros(X.shape)
            e[i] = STEP
            found[i] = (8 * (f(X + e) - f(X - e)) - (f(X + 2 * e) - f(X - 2 * e))) / (12 * STEP)
        return found

    return differences(lambda X: loss(X, F), W), differences(lambda X: loss(W, X), F)


def tangent(X: np.ndarray, F: np.ndarray) -> np.ndarray:
    return X - F * ((F * X).sum(axis=0) / (F**2).sum(axis=0))


def descends(flow: MatrixFlow, W: np.ndarray, F: np.ndarray, rates=None, first_projection: bool = True) -> bool:
    """Whether the rates are minus the gradient, preconditioned by explicit kernels, and tangent on the sphere."""
    model = flow.model
    KW, KH = element(model.label_kernel, model.label_attributes), element(model.feature_kernel, model.attributes)
    down_W, down_F = (-g for g in gradients(flow, W, F))
    if model.constraint == "sphere":
        q = (tangent(down_F, F) if first_projection else down_F) @ KH
        moved = KW @ down_W, tangent(q, F)
    else:
        moved = KW @ down_W, down_F @ KH
    # Five-point differences: rounding eps L / STEP = 2e-13 L with L up to 1e3 (12 contexts, logits up to 20, summed
    # squares), and STEP^4 / 30 = 3e-14 of fifth derivatives, which features at least 0.5 long keep below 1e5.
    tolerance = 1e-8 * 4  # kernels are at most 4
    found = (rates or flow.rates)(W, F)
    return all(np.abs(a - b).max() <= tolerance for a, b in zip(found, moved, strict=True))


def start(model: UFM, seed: int) -> tuple[np.ndarray, np.ndarray]:
    F = normal(seed + 1, D, int(model.contexts))
    return normal(seed, int(model.label_count), D), F * np.maximum(1.0, 0.5 / np.linalg.norm(F, axis=0))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@given(data=st.data(), seed=seeds)
def test_rates_are_the_preconditioned_gradient(loss, constraint, data, seed):
    model = wide(data.draw(models(losses=(loss,), constraints=(constraint,))))
    assert descends(MatrixFlow.of(model), *start(model, seed))


WORDS = UFM("(a[2] * b[3]) / c[2]", labels="a * b", width=D, ridge=(1, 2), label_kernel={"a": 2, "b": 1, "a:b": 3},
            feature_kernel={"1": 3, "a": 2, "b": 1, "a:b": "1/2", "a:b:c": "1/3"})  # fmt: skip


def example(**fields) -> UFM:
    return UFM(**(WORDS.config() | fields))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_wrong_kernels_targets_and_ridges_are_noticed(loss, constraint):
    model = example(loss=loss, constraint=constraint)
    W, F = start(model, 0)
    flow = MatrixFlow.of(model)
    assert descends(flow, W, F)
    for wrong in ({"feature_kernel": 1}, {"label_kernel": 1}, {"ridge": 1.5}, {"reduction": "sum"},
                  {"targets": {"a": "1/2", "b": 1, "a:b": 1}, "loss": "mse"}):  # fmt: skip
        other = MatrixFlow.of(example(**({"loss": loss, "constraint": constraint} | wrong)))
        assert not descends(flow, W, F, rates=other.rates), wrong


def test_the_sphere_needs_the_projection_before_the_kernel(monkeypatch):
    model = example(constraint="sphere")
    W, F = start(model, 0)
    assert descends(MatrixFlow.of(model), W, F)
    assert not descends(MatrixFlow.of(model), W, F, first_projection=False)
    monkeypatch.setattr(matrices, "tangent", lambda X, H: X)
    for constraint in ("sphere", "normalized"):
        assert not descends(MatrixFlow.of(example(constraint=constraint)), W, F)


@given(data=st.data(), seed=seeds)
def test_norms_are_held_on_the_sphere(data, seed):
    model = wide(data.draw(models(constraints=("sphere",))))
    W, F = start(model, seed)
    change = MatrixFlow.of(model).rates(W, F)[1]
    # Tangent up to rounding of the projection, eps per product.
    assert np.abs((F * change).sum(axis=0)).max() <= 64 * EPS * np.abs(F).max() * max(np.abs(change).max(), 1.0)


@given(data=st.data(), seed=seeds)
def test_another_kernel_may_take_the_models_place(data, seed):
    model = wide(data.draw(models(constraints=("normalized",))))
    m = int(model.contexts)
    K = normal(seed, m, m)
    plain = MatrixFlow.of(UFM(**(model.config() | {"feature_kernel": 1})))
    measured = MatrixFlow.of(model, lambda X, F: X @ K)
    W, F = start(model, seed)
    np.testing.assert_allclose(measured.rates(W, F)[1], plain.rates(W, F)[1] @ K, atol=1e-12)  # 12 products of order 1


def labels_by_hand(model: UFM) -> list[int]:
    kept = [i for i, k in enumerate(model.attributes.sizes) if k in model.label_attributes.sizes]
    numbers: dict = {}
    words = [tuple(cell[i] for i in kept) for cell in np.ndindex(*model.attributes.shape)]
    return [numbers.setdefault(word, len(numbers)) for word in words]


@given(model=models())
def test_targets_are_those_of_each_contexts_label(model):
    label = label_of_context(model.attributes, model.label_attributes)
    assert label.tolist() == labels_by_hand(model)
    T = MatrixFlow.of(model).targets
    # Averages of at most 12 fractions of order 2.
    np.testing.assert_allclose(T, element(model.targets, model.label_attributes)[:, label], atol=64 * EPS)
    np.testing.assert_allclose(T.sum(axis=0), 1, atol=64 * EPS)


@given(data=st.data(), seed=seeds)
def test_a_symmetric_start_has_the_given_singular_values(data, seed):
    model = data.draw(models())
    w, h = data.draw(elements(model.label_attributes)), data.draw(elements(model.attributes))
    m = int(model.contexts)
    W, H = symmetric_start(model, w, h, m + 1, seed)
    label = label_of_context(model.attributes, model.label_attributes)
    by_context = W[label] / np.sqrt(float(model.replication))
    all_w = {A: w.get(A, 0) for A in model.attributes.names}
    for found, squares in (
        (H.T @ H, {A: h[A] ** 2 for A in h}),
        (by_context @ by_context.T, {A: x**2 for A, x in all_w.items()}),
        (by_context @ H, {A: x * h[A] for A, x in all_w.items()}),
    ):
        # Singular values are at most 3, m at most 12, and a QR frame is orthonormal to some eps.
        np.testing.assert_allclose(found, element(squares, model.attributes), atol=1e-12)
    assert not np.allclose(H.T @ H, element({A: h[A] ** 2 + int(A == "1") for A in h}, model.attributes), atol=1e-12)


def exact_column(Z: list[float], T: list[float]) -> tuple[list, mpmath.mpf]:
    """softmax(Z) - T and the cross-entropy of one column, with enough digits for margins of thousands."""
    with mpmath.workdps(60):
        top = max(range(len(Z)), key=Z.__getitem__)
        others = mpmath.fsum(mpmath.exp(mpmath.mpf(z) - Z[top]) for i, z in enumerate(Z) if i != top)
        S = [mpmath.exp(mpmath.mpf(z) - Z[top]) / (1 + others) - t for z, t in zip(Z, T, strict=True)]
        S[top] = (1 - T[top]) - others / (1 + others)  # nothing is lost below the 60 digits
        loss = mpmath.log1p(others) - mpmath.fsum(t * (mpmath.mpf(z) - Z[top]) for z, t in zip(Z, T, strict=True))
    return S, loss


def accurate(found, expected, relative: float, absolute: float = 1e-300) -> bool:
    return all(
        abs(mpmath.mpf(float(f)) - e) <= relative * abs(e) + absolute
        for f, e in zip(np.atleast_1d(found), expected, strict=True)
    )


def naive(Z: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(all="ignore"):
        S = np.exp(Z) / np.exp(Z).sum(axis=0)
        return S - T, -(T * np.log(S)).sum(axis=0)


# exp of a difference of logits is off, relatively, by eps times the difference: 745 eps = 1.7e-13 where it does not
# underflow; sums of at most 8 such and a division add some eps.
ACCURACY = 1e-12


@given(Z=st.lists(st.floats(-5000, 5000) | st.floats(-40, 40), min_size=2, max_size=8), data=st.data())
def test_softmax_and_loss_are_accurate_for_one_hot_labels_at_any_margin(Z, data):
    T = np.zeros(len(Z))
    T[data.draw(st.integers(0, len(Z) - 1))] = 1.0
    column = np.array(Z)[:, None]
    residual, loss = exact_column(Z, T.tolist())
    assert accurate(softmax_residual(column, T[:, None])[:, 0], residual, ACCURACY)
    assert accurate(cross_entropy(column, T[:, None]), [loss], ACCURACY)


@given(Z=st.lists(st.floats(-5000, 5000) | st.floats(-40, 40), min_size=2, max_size=8), data=st.data())
def test_soft_labels_lose_no_more_than_rounding_of_their_targets(Z, data):
    weights = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(Z), max_size=len(Z))), dtype=float)
    T = weights / weights.sum()
    column = np.array(Z)[:, None]
    residual, loss = exact_column(Z, T.tolist())
    found = softmax_residual(column, T[:, None])[:, 0]
    assert accurate(found, residual, ACCURACY, absolute=1e-14)  # T sums to one to some eps
    assert abs(found.sum()) <= 16 * EPS
    assert accurate(cross_entropy(column, T[:, None]), [loss], ACCURACY, absolute=1e-14)


def test_naive_formulas_fail_the_same_checks():
    T = np.array([1.0, 0.0, 0.0])
    for Z in ([50.0, 0.0, 1.0], [5000.0, 0.0, 3.0]):  # lost below rounding; overflow
        residual, loss = exact_column(Z, T.tolist())
        column = np.array(Z)[:, None]
        assert accurate(softmax_residual(column, T[:, None])[:, 0], residual, ACCURACY)
        S, value = naive(column, T[:, None])
        assert not accurate(S[:, 0], residual, ACCURACY)
        assert Z[0] == 5000 or not accurate(value, [loss], ACCURACY)
