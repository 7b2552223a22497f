"""The stratum transform against exact projectors written out, in every array library, and at a million contexts."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics import strata
from ufmflow.proofs.strategies import elements, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .explicit import EPS, element, normal, projectors, seeds

MIXED = Attributes("(a[2] * b[3]) / c[2]")
# Sums of at most V = 24 terms over at most 16 strata, each with at most 2^4 signed averages, of numbers of order `size`
# (entries of x, which stay below 6, times the eigenvalues): 24 * 16 * eps = 1e-13 of it at the very worst.
ROUNDING = 24 * 16 * EPS


def to_numpy(array) -> np.ndarray:
    return array.get() if hasattr(array, "get") else np.asarray(array)


def close(found, expected, size=1.0) -> bool:
    """Same shape, and equal to rounding of numbers of the given size."""
    found = to_numpy(found)
    return found.shape == np.shape(expected) and np.abs(found - expected).max() <= ROUNDING * 6 * max(size, 1.0)


def acts_as(xp, eigenvalues, matrix, attributes, seed) -> bool:
    """Whether `apply` is multiplication by a V x V matrix along any axis, and keeps the type of array."""
    V = len(matrix)
    size = sum(abs(float(q)) for q in eigenvalues.values())
    for shape, axis, product in (((V,), 0, "ij,j->i"), ((V, 2), 0, "ij,jd->id"), ((2, V, 3), -2, "ij,tjd->tid"),
                                 ((2, V), 1, "ij,tj->ti")):  # fmt: skip
        x = normal(seed, *shape)
        found = strata.apply(xp.asarray(x), eigenvalues, attributes, axis=axis)
        assert type(found) is type(xp.asarray(x)) and found.dtype == xp.float64
        if not close(found, np.einsum(product, matrix, x), size):
            return False
    return True


@given(data=st.data(), attributes=structures(), seed=seeds)
def test_apply_multiplies_by_the_element(xp, data, attributes, seed):
    q = data.draw(elements(attributes))
    assert acts_as(xp, q, element(q, attributes), attributes, seed)


def test_another_element_is_noticed(xp):
    q = {"1": 1, "a": 2, "b": -1, "a:b": 3, "a:b:c": 0.5}
    right = element(q, MIXED)
    assert acts_as(xp, q, right, MIXED, 0)
    assert not acts_as(xp, q, element(q | {"a": q["b"], "b": q["a"]}, MIXED), MIXED, 0)
    turned = {"1": 1, "b": -1, "a": 2, "b:a": 3, "b:a:c": 0.5}  # the same structure, its factors in another order
    assert not acts_as(xp, q, element(turned, Attributes("(b[3] * a[2]) / c[2]")), MIXED, 0)
    assert not acts_as(xp, q, right + 1e-10 * np.eye(12), MIXED, 0)


def splits(parts, x, matrices, attributes) -> bool:
    """Whether parts are P_A x, with size 1 along the factors that are not in A."""
    whole = (*x.shape[:-2], *attributes.shape, x.shape[-1])
    fits = []
    for A, P in matrices.items():
        on = attributes.axes(A)[0]
        shape = tuple(n if i in on else 1 for i, n in enumerate(attributes.shape))
        assert parts[A].shape == (*x.shape[:-2], *shape, x.shape[-1])
        fits.append(close(np.broadcast_to(to_numpy(parts[A]), whole).reshape(x.shape), P @ x))
    return all(fits)


@given(attributes=structures(), seed=seeds)
def test_components_are_the_projections(xp, attributes, seed):
    x = normal(seed, 2, int(attributes.cardinality), 3)
    parts = strata.components(xp.asarray(x), attributes)
    assert all(type(part) is type(xp.asarray(x)) for part in parts.values())
    P = projectors(attributes)
    assert splits(parts, x, P, attributes)
    names = attributes.names
    assert not splits(parts, x, P | {names[0]: P[names[1]]}, attributes)


def inner_product_of(x, y, P) -> np.ndarray:
    """tr(x^T P_A y) / m_A, (..., strata)."""
    return np.stack([np.einsum("...id,ij,...jd->...", x, p, y) / np.trace(p) for p in P.values()], axis=-1)


@given(attributes=structures(), seed=seeds)
def test_energies_and_inner_products_are_traces(xp, attributes, seed):
    V = int(attributes.cardinality)
    x, y = normal(seed, 2, V, 3), normal(seed + 1, 2, V, 3)
    P = projectors(attributes)
    size = 3 * V * 6  # |x|^2 bounds each energy
    found = strata.inner_products(xp.asarray(x), xp.asarray(y), attributes)
    energies = strata.energies(xp.asarray(x), attributes)
    assert type(found) is type(energies) is type(xp.asarray(x))
    assert close(found, inner_product_of(x, y, P), size)
    assert close(energies, inner_product_of(x, x, P), size)
    assert not close(found, inner_product_of(x, -y, P), size)
    assert not close(energies, inner_product_of(x, x, {A: 2 * p for A, p in P.items()})[..., ::-1], size)


@given(data=st.data(), attributes=structures(), seed=seeds)
def test_eigenvalues_and_residual_of_a_matrix(xp, data, attributes, seed):
    V = int(attributes.cardinality)
    K, P = normal(seed, V, V), projectors(attributes)
    found = strata.matrix_eigenvalues(xp.asarray(K), attributes)
    expected = {A: np.trace(p @ K) / np.trace(p) for A, p in P.items()}
    size = V * 6  # row sums of K
    assert close([found[A] for A in P], list(expected.values()), size)
    outside = np.linalg.norm(K - sum(q * P[A] for A, q in expected.items())) / np.linalg.norm(K)
    assert close(strata.residual(xp.asarray(K), attributes), outside, V)

    q = data.draw(elements(attributes).filter(lambda q: any(q.values())))
    inside = element(q, attributes)
    again = strata.matrix_eigenvalues(xp.asarray(inside), attributes)
    assert close([again[A] for A in P], [float(q[A]) for A in P], 3)
    # Rounding of the entries, of size max |q|, beside the norm, which is at least the smallest |q|, 1/6.
    assert strata.residual(xp.asarray(inside), attributes) < 24 * V * EPS * 3 * 6
    spoilt = inside.copy()
    spoilt[0, -1] += 1.0  # not symmetric any more
    assert strata.residual(xp.asarray(spoilt), attributes) > 1e-3


def test_no_matrix_has_no_residual():
    assert strata.residual(np.zeros((12, 12)), MIXED) == 0


def column_is(found, entries, attributes, cells) -> bool:
    """Whether the image of the first unit vector has, at the given cells, the element's entries at their relations."""
    names = list(attributes.sizes)
    for cell in cells:
        agree = {name for name, value in zip(names, cell, strict=True) if value == 0}
        expected = float(entries[attributes.term(max((A for A in attributes.ancestral_sets if A <= agree), key=len))])
        # Entries are sums of eight fractions of order 1; the far ones are of order 1/V and cancel to that size.
        if abs(found[np.ravel_multi_index(cell, attributes.shape)] - expected) > 64 * EPS:
            return False
    return True


@pytest.mark.parametrize(
    "formula", ["a[100] * b[100] * c[100]", "a[100] / b[100] / c[100]", "(a[100] * b[100]) / c[100]"]
)
def test_a_million_contexts_need_no_matrix(formula):
    attributes = Attributes(formula)
    V = 10**6
    q = {A: i + 1 for i, A in enumerate(attributes.names)}
    x = np.zeros(V)
    x[0] = 1.0
    tracemalloc.start()
    found = strata.apply(x, q, attributes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * x.nbytes  # a V x V matrix would be a million
    cells = [(0, 0, 0), (0, 0, 7), (0, 3, 0), (5, 0, 0), (0, 9, 99), (5, 5, 5), (99, 99, 99)]
    entries = attributes.entries(q)
    assert column_is(found, entries, attributes, cells)
    wrong = attributes.entries(q | {attributes.names[1]: q[attributes.names[1]] + 1e-6})
    assert not column_is(found, wrong, attributes, cells)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: strata.apply(np.ones(11), dict.fromkeys(MIXED.names, 1), MIXED), "^x: it has 11 rows, .* 12 contexts"),
        (lambda: strata.energies(np.ones((5, 2)), MIXED), "^x: it has 5 rows"),
        (lambda: strata.matrix_eigenvalues(np.ones((12, 11)), MIXED), r"^kernel: its shape is \(12, 11\)"),
        (lambda: strata.apply(np.ones(4), {"1": 1, "a": 1}, Attributes("a[n]")), "symbolic size"),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
