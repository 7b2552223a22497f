"""The exact relations between downstream value and strata, against brute force on explicit matrices."""

from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given

from ufmflow.proofs.strategies import structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.value import (
    additive_transfer, decoding_margin, decoding_weights, index_weight, independent_pairs, parallelogram_strata,
    parallelogram_weights,
)  # fmt: skip


def test_two_crossed_attributes_of_any_sizes_have_the_error_1_less_the_index():
    structure = Attributes("a[n1] * b[n2]")
    weights = parallelogram_weights(structure)
    assert list(weights) == ["a:b"]
    assert sp.cancel(weights["a:b"] - index_weight(structure)) == 0
    # Three attributes: pairs see the interaction of all three thrice, the index once.
    three = Attributes("a[n1] * b[n2] * c[n3]")
    assert sp.cancel(parallelogram_weights(three)["a:b"] - index_weight(three)) != 0


@given(structures(max_cardinality=24))
def test_the_etf_has_parallelogram_error_1(structure):
    m = structure.multiplicities
    etf = {A: m[A] / (structure.cardinality - 1) for A in structure.names}
    for pair in (*independent_pairs(structure), None):
        weights = parallelogram_weights(structure, pair)
        if weights:
            assert sum(weight * etf[A] for A, weight in weights.items()) == 1
            assert not set(weights) & {"1", *structure.semantic_strata()}  # an additive geometry has 0
        else:
            assert pair is None and not independent_pairs(structure)


@given(structures(max_cardinality=12, max_factors=3))
def test_the_double_difference_sees_the_stated_strata_with_equal_weight(structure):
    """sum over changes of v v^T, v = e(a,b) - e(a',b) - e(a,b') + e(a',b'), is a multiple of the sum of projectors."""
    names = list(structure.sizes)
    V = int(structure.cardinality)
    for j, k in independent_pairs(structure):
        seen = parallelogram_strata(structure, j, k)
        expected = sum((structure.projector(A) for A in seen), sp.zeros(V, V))
        total = sp.zeros(V, V)
        below = [i for i in names if {j, k} & structure.ancestors[i]]
        cells = list(product(*(range(n) for n in structure.shape)))
        position = {cell: i for i, cell in enumerate(cells)}
        spread = int(np.prod([structure.shape[names.index(i)] for i in below], dtype=int))
        fixed = [range(1) if i in below else range(n) for i, n in zip(names, structure.shape, strict=True)]
        for cell in product(*fixed):
            for a, b in product(range(structure.shape[names.index(j)]), range(structure.shape[names.index(k)])):
                if a == cell[names.index(j)] or b == cell[names.index(k)]:
                    continue
                v = sp.zeros(V, 1)
                for (x, y), sign in zip(product((0, 1), (0, 1)), (1, -1, -1, 1), strict=True):
                    corner = list(cell)
                    corner[names.index(j)] = a if x else corner[names.index(j)]
                    corner[names.index(k)] = b if y else corner[names.index(k)]
                    for place, i in position.items():
                        if all(place[q] == corner[q] for q, name in enumerate(names) if name not in below):
                            v[i] += sp.Rational(sign, spread)
                total += v * v.T
        scale = total.trace() / expected.trace()
        assert (total - scale * expected) == sp.zeros(V, V)


@given(structures(max_cardinality=24))
def test_decoding_weights_are_a_distribution(structure):
    for relation in structure.names[:-1]:
        weights = decoding_weights(structure, relation)
        assert sum(weights.values()) == 1 and min(weights.values()) >= 0 and weights["1"] == 0
    assert sum(decoding_weights(structure, structure.names[-1]).values()) == 0  # a context does not leave out itself


def test_margins_and_transfer_at_the_ends():
    structure = Attributes("a[3] * b[4]")
    assert decoding_margin(structure, "a", {"a": 2, "b": 2, "a:b": 2}, 1) == 0
    assert decoding_margin(structure, "a", {"a": 2, "b": 2, "a:b": 0}, 1) > 0
    # Index 0.5 and yet one attribute cannot be decoded: it is below the interaction.
    assert decoding_margin(structure, "a", {"a": "1/4", "b": 20, "a:b": 1}, 1) < 0
    assert additive_transfer(structure, 1) == 1 and additive_transfer(structure, 0) < 0


def test_bad_input():
    with pytest.raises(InputError, match="do not change independently"):
        parallelogram_strata(Attributes("a[2] / b[2]"), "a", "b")
    with pytest.raises(InputError, match="nested in no other"):
        decoding_margin(Attributes("a[2] / b[2]"), "b", {"a": 1, "a:b": 1}, 1)
