"""Kernels of shared parameters and co-occurrence targets equal the explicit matrices that define them."""

import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.proofs.strategies import structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets, embedding_kernel, stratum_symbol, symbols_for

from .scheme import agreement, has_eigenvalues

MIXED = Attributes("(a[2] * b[3]) / c[2]")


def embedding_matrix(attributes: Attributes, weights: dict[str, int], residual: int) -> np.ndarray:
    """sum_k alpha_k E_k + delta I, with (E_k)_ij = 1 where i and j agree on k and on all that k is nested in."""
    shared = sum(alpha * agreement(attributes, attributes.closure(k)) for k, alpha in weights.items())
    return shared + residual * np.eye(int(attributes.cardinality), dtype=np.int64)


def cooccurrence_matrix(attributes: Attributes, eps: sp.Rational, weights: dict[str, sp.Rational]) -> tuple:
    """(integer matrix, denominator) of (1 - eps) I + eps sum_k w_k (averaging over those that share k)."""
    V = int(attributes.cardinality)
    q = math.lcm(int(eps.q), *(int(w.q) for w in weights.values())) ** 2 * V
    total = int((1 - eps) * q) * np.eye(V, dtype=np.int64)
    for k, w in weights.items():
        shared = agreement(attributes, attributes.closure(k))
        total = total + int(eps * w * q / int(shared[0].sum())) * shared
    return total, q


@st.composite
def mixtures(draw, attributes):
    """eps and weights that sum to one, for any selection of the attributes."""
    names = draw(st.lists(st.sampled_from(list(attributes.sizes)), min_size=1, unique=True))
    parts = [draw(st.integers(0, 4)) for _ in names[1:]] + [1]
    return sp.Rational(draw(st.integers(0, 4)), 4), {k: sp.Rational(p, sum(parts)) for k, p in zip(names, parts)}


@given(structures(), st.data())
def test_embedding_kernel_is_the_sum_over_attributes(attributes, data):
    weights = data.draw(st.dictionaries(st.sampled_from(list(attributes.sizes)), st.integers(0, 5)))
    residual = data.draw(st.integers(0, 3))
    matrix = embedding_matrix(attributes, weights, residual)
    assert has_eigenvalues(matrix, embedding_kernel(attributes, weights, residual), attributes)


@given(structures(), st.data())
def test_cooccurrence_targets_are_the_averaging(attributes, data):
    eps, weights = data.draw(mixtures(attributes))
    matrix, denominator = cooccurrence_matrix(attributes, eps, weights)
    tau = cooccurrence_targets(attributes, eps, weights)
    assert (matrix.sum(axis=0) == denominator).all() and tau["1"] == 1
    assert has_eigenvalues(matrix, {A: denominator * value for A, value in tau.items()}, attributes)


def test_wrong_kernels_and_targets_are_noticed():
    weights = {"a": 2, "b": 1, "c": 3}
    matrix, kernel = embedding_matrix(MIXED, weights, 1), embedding_kernel(MIXED, weights, 1)
    assert has_eigenvalues(matrix, kernel, MIXED)
    assert not has_eigenvalues(matrix, kernel | {"a": kernel["b"], "b": kernel["a"]}, MIXED)
    assert not has_eigenvalues(matrix, embedding_kernel(MIXED, weights, 0), MIXED)
    # Agreement on a nested factor's own value alone, without its ancestors, is another kernel, outside the algebra.
    loose = embedding_matrix(MIXED, {"a": 2, "b": 1}, 1) + 3 * agreement(MIXED, frozenset("c"))
    assert not has_eigenvalues(loose, kernel, MIXED)

    half = sp.Rational(1, 2)
    matrix, q = cooccurrence_matrix(MIXED, half, {"a": half, "b": half})
    tau = cooccurrence_targets(MIXED, half, {"a": half, "b": half})
    assert has_eigenvalues(matrix, {A: q * value for A, value in tau.items()}, MIXED)
    assert not has_eigenvalues(matrix, {A: q * value for A, value in (tau | {"a:b": half * half}).items()}, MIXED)


def test_symbolic_sizes_and_weights():
    p, alpha, delta = sp.Symbol("p", integer=True, positive=True), *sp.symbols("alpha delta", positive=True)
    attributes = Attributes("a[n] * b[p]")
    kernel = embedding_kernel(attributes, {"a": alpha}, delta)
    assert kernel == {"1": delta + alpha * p, "a": delta + alpha * p, "b": delta, "a:b": delta}
    assert symbols_for(attributes, "kappa")["a:b"] == stratum_symbol("kappa", "a:b", positive=True)
    assert all(symbol.is_positive and symbol.name.isidentifier() for symbol in symbols_for(attributes, "k").values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: embedding_kernel(MIXED, {"d": 1}), "^weights: 'd' is no attribute"),
        (lambda: embedding_kernel(MIXED, {"a": -1}), r"^weights\[a\]: -1 is negative"),
        (lambda: embedding_kernel(MIXED, {"a": 1}, residual=-0.5), "^residual: -0.5 is negative"),
        (lambda: embedding_kernel(MIXED, {"a": float("nan")}), r"^weights\[a\]: nan is not finite"),
        (lambda: embedding_kernel(MIXED, {"a": "much"}), r"^weights\[a\]: 'much' is no number"),
        (lambda: cooccurrence_targets(MIXED, 1.5, {"a": 1}), "^eps: 1.5 is above 1"),
        (lambda: cooccurrence_targets(MIXED, -1, {"a": 1}), "^eps: -1 is negative"),
        (lambda: cooccurrence_targets(MIXED, 0.5, {"a": 0.5}), "^weights: they sum to 1/2, not to 1"),
        (lambda: cooccurrence_targets(MIXED, 0.5, {}), "^weights: they sum to 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
