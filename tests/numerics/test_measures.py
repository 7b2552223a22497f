"""Gram analysis against direct implementations of the definitions, and at the geometries whose values are known."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ufmflow.numerics.matrices import label_of_context
from ufmflow.numerics.measures import analyse
from ufmflow.proofs.strategies import structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .explicit import element, normal, projectors, seeds

CROSSED = Attributes("color[3] * shape[4]")
WORDS = Attributes("(color[3] * shape[4]) / word[5]")
LABEL = np.repeat(np.arange(12), 5)
# The measures are sums of at most some thousand products; NC1 divides by squares of singular values, whose ratio in the
# matrices below stays under 1e2: 1e3 * 1e4 * eps = 2e-9 at the very worst, and in fact far less.
ACCURACY = 1e-10


def papyan(H: np.ndarray, W: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """NC1 to NC4 class by class, from the definitions of Papyan, Han and Donoho 2020."""
    C, d = label.max() + 1, H.shape[1]
    mean = [H[label == c].mean(axis=0) for c in range(C)]
    overall = sum(mean) / C
    within = sum(np.outer(h - mean[c], h - mean[c]) for h, c in zip(H, label, strict=True)) / len(H)
    between = sum(np.outer(mu - overall, mu - overall) for mu in mean) / C
    values, vectors = np.linalg.eigh(between)
    rank = min(C - 1, d)
    inverse = sum(np.outer(v, v) / value for value, v in zip(values[-rank:], vectors.T[-rank:], strict=True))
    centred = np.array([mu - overall for mu in mean])
    norms = np.sqrt((centred**2).sum(axis=1))
    cosines = [centred[i] @ centred[j] / (norms[i] * norms[j]) for i in range(C) for j in range(C) if i != j]
    by_head = [max(range(C), key=lambda c: W[c] @ h) for h in H]
    by_mean = [min(range(C), key=lambda c: ((h - mean[c]) ** 2).sum()) for h in H]
    return {
        "nc1": np.trace(within @ inverse) / C,
        "nc2": sum(abs(cosine + 1 / (C - 1)) for cosine in cosines) / len(cosines),
        "nc2_equinorm": np.sqrt(((norms - norms.mean()) ** 2).mean()) / norms.mean(),
        "nc3": np.sqrt(((W / np.sqrt((W**2).sum()) - centred / np.sqrt((centred**2).sum())) ** 2).sum()),
        "nc4": sum(a != b for a, b in zip(by_head, by_mean, strict=True)) / len(H),
    }


def published(H: np.ndarray, W: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """What the package neural-collapse (rhubarbwu) defines, from its formulas, by its names; sums written out."""
    C, d = label.max() + 1, H.shape[1]
    mean = np.array([H[label == c].mean(axis=0) for c in range(C)])
    M = mean - mean.mean(axis=0)
    within = np.cov((H - mean[label]).T, bias=True)
    between = np.einsum("ci,cj->ij", M, M) / d
    variance = [np.mean([((h - mean[c]) ** 2).sum() for h in H[label == c]]) for c in range(C)]
    cdnv = [
        (variance[i] + variance[j]) / 2 / ((mean[i] - mean[j]) ** 2).sum() for i in range(C) for j in range(C) if i != j
    ]
    ideal = np.full((C, C), -1 / C)
    ideal[np.diag_indices(C)] += 1
    ideal /= np.sqrt(C - 1)

    def structure_error(A, B):
        product = np.array([[a @ b for a in A] for b in B])
        return np.sqrt((abs(product / np.sqrt((product**2).sum()) - ideal) ** 2).sum())

    values, vectors = np.linalg.eigh(between)
    rank = min(C - 1, d)
    # The Moore-Penrose inverse, by the rank that centred means have: a cut-off for rounding finds the same.
    inverse = vectors[:, -rank:] @ np.diag(1 / values[-rank:]) @ vectors[:, -rank:].T
    return {
        "variability_pinv": np.trace(inverse @ within) / C,
        "variability_ratio": np.trace(within) / np.trace(between),
        "variability_cdnv": np.mean(cdnv),
        "simplex_etf_error": structure_error(M, M),
        "self_duality_error": structure_error(M, W),
        "clf_ncc_agreement": np.mean([np.argmax(W @ h) == np.argmin(((mean - h) ** 2).sum(axis=1)) for h in H]),
    }


def agrees(found, expected: dict[str, float]) -> bool:
    return all(getattr(found, name) == pytest.approx(value, rel=ACCURACY) for name, value in expected.items())


@given(
    seed=seeds, d=st.sampled_from([3, 40]), spread=st.sampled_from([1e-3, 0.3, 3.0]), offset=st.sampled_from([0.0, 5.0])
)
def test_neural_collapse_is_measured_as_defined(seed, d, spread, offset):
    H = normal(seed, 12, d)[LABEL] + spread * normal(seed + 1, 60, d) + offset
    W = normal(seed + 2, 12, d)
    found, expected = analyse(H, WORDS, LABEL, W), papyan(H, W, LABEL)
    assert agrees(found, expected)
    for name in expected:
        assert not agrees(found, expected | {name: expected[name] * (1 + 1e-8) + 1e-8})
    assert not agrees(found, papyan(H, W[::-1], LABEL))


DESIGNS = {
    "a[4] / word[3]": ("a",),
    "(a[3] * b[4]) / word[5]": ("a", "b"),
    "(a[2] / b[3]) * c[2] / word[2]": ("a", "b", "c"),
    "(a[2] / b[3]) * (c[3] / d[2])": ("a", "c"),
}


def labelled(formula: str) -> tuple[Attributes, np.ndarray]:
    structure = Attributes(formula)
    return structure, label_of_context(structure, structure.keep(DESIGNS[formula]))


@given(
    formula=st.sampled_from(list(DESIGNS)),
    seed=seeds,
    d=st.sampled_from([2, 7, 50]),
    spread=st.sampled_from([0.1, 2.0]),
)
def test_the_published_definitions_differ_by_known_factors_only(formula, seed, d, spread):
    """Relative 1e-10 as above; NC1's inverse has the square of the means' condition number, which is bounded here."""
    structure, label = labelled(formula)
    C = label.max() + 1
    H = normal(seed, C, d)[label] + spread * normal(seed + 1, len(label), d) / np.sqrt(d)
    realised = np.array([H[label == c].mean(axis=0) for c in range(C)])
    singular = np.linalg.svd(realised - realised.mean(axis=0), compute_uv=False)[: min(C - 1, d)]
    assume(singular[0] < 100 * singular[-1])
    W = normal(seed + 2, C, d)
    found, expected = analyse(H, structure, label, W), published(H, W, label)
    ours = {
        "variability_pinv": found.nc1 * d / C,
        "variability_ratio": found.nc1_ratio * d / C,
        "variability_cdnv": found.nc1_cdnv,
        "simplex_etf_error": found.nc2_etf_error,
        "self_duality_error": found.nc3_etf_error,
        "clf_ncc_agreement": 1 - found.nc4,
    }
    assert ours == pytest.approx(expected, rel=ACCURACY, abs=ACCURACY)
    other = published(H + 1e-4 * normal(seed + 3, *H.shape), W, label)
    for name in list(expected)[:-1]:  # the check tells inputs apart that differ in the fourth digit
        assert ours[name] != pytest.approx(other[name], rel=ACCURACY, abs=ACCURACY)


def test_class_means_that_coincide_have_no_cdnv():
    H = normal(0, 60, 7)
    H[5:10] = H[:5]
    found = analyse(H, WORDS, LABEL)
    assert found.nc1_cdnv is None and found.nc1 > 0 and found.nc1_ratio > 0


def test_a_constant_feature_changes_nothing_but_the_mean():
    H = normal(0, 60, 7)
    wider = np.concatenate([H, np.full((60, 2), 3.0)], axis=1)
    first, second = analyse(H, WORDS, LABEL), analyse(wider, WORDS, LABEL)
    for name in ("semantic_index", "etf_distance", "attribute_distance", "nc1", "nc1_cdnv", "nc2", "nc2_etf_error"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-9)
    assert first.effective_rank != pytest.approx(second.effective_rank, rel=1e-3)  # of the Gram, mean included


@pytest.mark.parametrize(("rank", "offset"), [(256, 10.0), (256, 1e5), (1, 0.0), (5, 0.0)])
def test_variability_is_never_divided_by_rounding(rank, offset):
    """Centred means span at most C - 1 of d directions, and fewer when they lie in a subspace.

    A pseudo-inverse that keeps one more, which is rounding, is off by 1e12.
    """
    for seed in range(40):
        means = normal(seed, 12, rank) @ normal(seed + 1, rank, 256) / np.sqrt(rank)
        noise = 0.1 * normal(seed + 2, 12, 5, 256)
        noise -= noise.mean(axis=1, keepdims=True)  # the means keep their rank
        H = means[LABEL] + noise.reshape(60, 256) + offset
        assert 0 < analyse(H, WORDS, LABEL).nc1 < 10


def test_collapsed_embeddings_are_the_etf():
    W = 3 * (np.eye(12) - 1 / 12)
    found = analyse(W[LABEL], WORDS, LABEL, W)
    zero = 1e-12  # differences of unit matrices with a hundred entries, each good to some eps
    assert found.etf_distance < zero and abs(found.semantic_index) < zero and found.gram_residual < zero
    assert found.nc1 < zero and found.nc2 < zero and found.nc2_equinorm < zero and found.nc3 < zero and found.nc4 == 0
    assert found.attribute_distance > 0.5 and found.effective_rank == pytest.approx(11, rel=1e-12)
    less = analyse(W[LABEL] + 0.1 * normal(0, 60, 12), WORDS, LABEL, W)
    assert min(less.etf_distance, less.nc1, less.nc2, less.nc2_equinorm, less.nc3, less.gram_residual) > 1e-3


def test_attributes_alone_have_index_one():
    H = element({"1": 2, "color": 1, "shape": 1, "color:shape": 0}, CROSSED)
    found = analyse(H, CROSSED)
    assert found.semantic_index == pytest.approx(1, abs=1e-12) and found.attribute_distance < 1e-12
    assert found.etf_distance > 0.5 and found.gram_residual < 1e-12
    interaction = projectors(CROSSED)["color:shape"]
    assert analyse(H + 0.3 * interaction, CROSSED).semantic_index < 0.9


@given(attributes=structures(), seed=seeds)
def test_strata_are_those_of_the_gram_matrix(attributes, seed):
    H = normal(seed, int(attributes.cardinality), 5)
    found = analyse(H, attributes)
    for row, (A, P) in zip(found.strata, projectors(attributes).items(), strict=True):
        assert row["name"] == A and row["multiplicity"] == attributes.multiplicities[A]
        assert row["energy"] == pytest.approx(np.trace(P @ H @ H.T) / np.trace(P), rel=1e-9, abs=1e-12)
    assert sum(row["share"] for row in found.strata) == pytest.approx(1, rel=1e-12)
    assert found.nc1 is found.nc3 is found.nc4 is None  # one context per label, no head


@given(seed=seeds, rank=st.integers(1, 12))
def test_the_effective_rank_lies_between_one_and_the_rank(seed, rank):
    H = normal(seed, 12, rank) @ normal(seed + 1, rank, 20)
    effective = analyse(H, CROSSED).effective_rank
    # Eigenvalues that are rounding, of relative size eps, weigh eps ln(1/eps).
    assert 1 - 1e-9 <= effective <= rank * (1 + 1e-9)
    equal = np.linalg.qr(normal(seed, 12, 12))[0][:, :rank]
    assert analyse(equal, CROSSED).effective_rank == pytest.approx(rank, rel=1e-9)
    p = np.linalg.eigvalsh(H @ H.T)[-rank:] / np.trace(H @ H.T)
    assert effective == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)


@given(seed=seeds)
def test_scale_and_rotation_change_nothing(seed):
    H, W = normal(seed, 60, 7), normal(seed + 1, 12, 7)
    turn = np.linalg.qr(normal(seed + 2, 7, 7))[0]
    first, second = analyse(H, WORDS, LABEL, W), analyse(3 * H @ turn, WORDS, LABEL, 5 * W @ turn)
    for name in ("semantic_index", "etf_distance", "attribute_distance", "effective_rank", "nc1", "nc2", "nc3", "nc4"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-9)  # NC1 as above
    assert second.strata[1]["energy"] == pytest.approx(9 * first.strata[1]["energy"], rel=1e-9)


def test_embeddings_that_are_all_alike_are_named():
    for H in (np.ones((12, 3)), np.zeros((12, 3))):
        with pytest.raises(InputError, match="^H: the mean of label 0 is the mean of all"):
            analyse(H, CROSSED)
