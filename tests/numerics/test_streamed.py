"""Embeddings read by blocks give what the explicit Gram matrices give, within the memory that was granted."""

import tracemalloc
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics import streamed
from ufmflow.numerics.matrices import label_of_context
from ufmflow.numerics.measures import analyse
from ufmflow.numerics.tiles import Tiles
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .explicit import normal, seeds

# Formula, labels, and whether contexts are replicated within labels.
CASES = {
    "color[3] * shape[4]": None,
    "kingdom[2] / genus[3] / species[2]": None,
    "(color[3] * shape[4]) / word[3]": ("color", "shape"),
    "(size[2] / verb[3]) * (rigidity[3] / noun[2])": ("size", "rigidity"),
}
# Gram matrices and their sums of some thousand products are good to 1e-13; the effective rank has n eps ln(1/eps).
ACCURACY = 1e-10


def flat(analysis) -> dict[str, float]:
    found = {name: value for name, value in asdict(analysis).items() if value is not None}
    rows = found.pop("strata")
    return found | {f"{key} {row['name']}": row[key] for row in rows for key in ("multiplicity", "energy", "share")}


def smallest(d: int) -> int:
    """The least memory in which d features are analysed: tiles of a row or two."""
    return int(streamed.SQUARES * 8 * d * d / 0.9) + 8


@given(
    formula=st.sampled_from(list(CASES)), seed=seeds, d=st.sampled_from([2, 5, 40]), offset=st.sampled_from([0.0, 3.0]),
    more=st.sampled_from([0, 20_000, 10**7]), head=st.booleans(), shuffled=st.booleans(),
)  # fmt: skip
def test_blocks_give_what_whole_matrices_give(formula, seed, d, offset, more, head, shuffled):
    structure = Attributes(formula)
    labels = label_of_context(structure, structure.keep(CASES[formula]))
    C, m = labels.max() + 1, len(labels)
    if shuffled:
        order = np.random.default_rng(seed).permutation(m)
        structure, labels = Attributes._of(structure.tree, tuple(order.tolist())), labels[order]
    H = normal(seed, m, d) + 2 * normal(seed + 1, C, d)[labels] + offset
    W = normal(seed + 2, C + 1, d)[:, :d] if head else None
    explicit = flat(analyse(H, structure, labels, W))
    found = flat(streamed.analyse(H, structure, labels, W, smallest(d) + more))
    assert found == pytest.approx(explicit, rel=ACCURACY, abs=ACCURACY)
    other = flat(streamed.analyse(H + 1e-4 * normal(seed + 3, m, d), structure, labels, W, smallest(d) + more))
    for name, value in found.items():
        if name not in ("nc4", "share 1") and "multiplicity" not in name and d > 2:
            assert other[name] != pytest.approx(value, rel=1e-13, abs=1e-13)


def test_single_precision_and_files_are_read_in_double(tmp_path):
    structure = Attributes("a[6] * b[7]")
    H = normal(0, 42, 11).astype(np.float32)
    np.save(tmp_path / "H.npy", H)
    mapped = np.load(tmp_path / "H.npy", mmap_mode="r")
    explicit = flat(analyse(H.astype(float), structure))
    assert flat(streamed.analyse(mapped, structure, None, None, smallest(11))) == pytest.approx(explicit, rel=ACCURACY)


def test_the_floor_of_distances_is_that_of_a_root_of_rounding():
    """sqrt(2 - 2c) of a cosine c with an error of some eps * 10 is below 1e-7, and 0 in the explicit analysis."""
    structure = Attributes("(color[3] * shape[4]) / word[5]")
    label = np.repeat(np.arange(12), 5)
    W = 3 * (np.eye(12) - 1 / 12)
    found = streamed.analyse(W[label], structure, label, W, 10**6)
    assert max(found.etf_distance, found.nc2_etf_error, found.nc3_etf_error, found.gram_residual) < 1e-7
    assert max(found.nc1, found.nc2, found.nc2_equinorm, found.nc3, abs(found.semantic_index)) < 1e-12
    assert found.nc4 == 0 and found.attribute_distance > 0.5
    less = streamed.analyse(W[label] + 0.1 * normal(0, 60, 12), structure, label, W, 10**6)
    assert min(less.etf_distance, less.nc2_etf_error, less.gram_residual, less.nc1) > 1e-3


@pytest.mark.parametrize(("formula", "labels"), [("a[30] * b[40]", None), ("(a[20] * b[20]) / word[3]", ("a", "b"))])
def test_memory_is_bounded_and_the_gram_is_never_formed(tmp_path, formula, labels):
    structure = Attributes(formula)
    label = label_of_context(structure, structure.keep(labels))
    np.save(tmp_path / "H.npy", normal(0, 1200, 128))
    mapped, W = np.load(tmp_path / "H.npy", mmap_mode="r"), normal(1, label.max() + 1, 128)
    memory = 2**21  # H has 1.2 MiB, its Gram matrix 11 MiB
    label_list = label if labels else None
    analyse(mapped, structure, label_list, W, memory)  # caches of the structure
    tracemalloc.start()
    try:
        found = analyse(mapped, structure, label_list, W, memory)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        explicit = analyse(mapped, structure, label_list, W)
        whole = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    rows = W.nbytes + 40 * 1200 * 8  # the head in the formula's order; a few numbers for each context
    assert peak < memory + rows < 8 * 1200**2 < whole
    assert flat(found) == pytest.approx(flat(explicit), rel=ACCURACY)


def test_blocks_hold_every_number_once():
    structure = Attributes("(a[3] * b[2]) / word[2]")
    H = normal(0, 12, 10)
    tiles = Tiles(H, structure, structure.keep("a * b"), memory=8 * 12 * 6 * 3)
    parts = list(tiles.columns())
    assert [part.shape[1] for _, part in parts] == [3, 3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts], axis=1), H)
    parts = list(tiles.labels(4))
    assert [part.shape for _, part in parts] == [(4, 2, 10), (2, 2, 10)]
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]).reshape(12, 10), H)
    assert [chosen.start for chosen, _ in tiles.labels(4, 4)] == [4]
    one = replace(tiles, memory=1)
    assert one.side(2) == one.pair_side() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda H: H[:-1], "^H: it has 11 rows, but"),
        (
            lambda H: H * np.where(np.arange(60).reshape(12, 5) == 33, np.nan, 1),
            r"^H: NaN or infinity at index \[6, 3\]",
        ),
        (lambda H: H + 1j, "^H: shape .* of complex128; give a real array"),
        (lambda H: np.ones((12, 5)), "^H: the mean of label 0 is the mean of all"),
        (lambda H: normal(0, 12, 500), "^memory: .* GiB; the Gram matrix of 500 features takes"),
    ],
)
def test_bad_embeddings_are_named(change, message):
    with pytest.raises(InputError, match=message) as caught:
        analyse(change(normal(0, 12, 5)), Attributes("a[3] * b[4]"), memory=smallest(5))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("W", "message"),
    [
        (normal(0, 12, 4), r"^W: shape \(12, 4\) does not fit"),
        (normal(0, 11, 5), "^W: it has 11 rows, but label 11 occurs"),
        (np.full((12, 5), np.inf), r"^W: NaN or infinity at index \[0, 0\]"),
    ],
)
def test_bad_heads_are_named(W, message):
    with pytest.raises(InputError, match=message):
        analyse(normal(1, 12, 5), Attributes("a[3] * b[4]"), W=W, memory=smallest(5))


def test_labels_that_keep_no_part_of_the_formula_are_named():
    with pytest.raises(InputError, match="^labels"):
        analyse(normal(1, 12, 5), Attributes("a[3] * b[4]"), np.repeat([0, 1, 2, 3, 4], [4, 2, 2, 2, 2]), memory=2000)
