"""Targets and kernels from counts: exact on matrices of the algebra, within their standard errors on samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ufmflow.numerics.cooccurrence import kernel_from_counts, targets_from_counts
from ufmflow.numerics.matrices import label_of_context
from ufmflow.numerics.settings import code
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets, embedding_kernel
from ufmflow.theory.model import UFM

from .explicit import element, seeds

CROSSED = Attributes("color[3] * shape[4]")


def table_of(structure: Attributes) -> dict[str, list]:
    columns = code(structure).table
    return {name: columns[name] for name in structure.sizes}


TABLE = table_of(CROSSED)
TAU = {A: float(t) for A, t in cooccurrence_targets(CROSSED, "1/2", {"color": "1/4", "shape": "3/4"}).items()}
T = element(TAU, CROSSED)


def test_targets_of_the_family_come_back_exactly_with_their_softness_and_weights():
    found = targets_from_counts(1000 * T, TABLE, tokens=TABLE)
    assert found.targets == pytest.approx(TAU, abs=1e-12) and found.residual < 1e-12
    eps, weights, misfit = found.family()
    assert eps == pytest.approx(0.5) and weights == pytest.approx({"color": 0.25, "shape": 0.75}) and misfit < 1e-12
    assert UFM(CROSSED, targets=found.targets).targets["1"] == 1
    assert targets_from_counts(np.eye(12), TABLE, tokens=TABLE).family()[0] == 0.0


def test_smoothing_is_the_explicit_mixture_with_the_uniform():
    """s added to 12 counts of a total n leaves n/(n + 12 s) of each target but the mean's."""
    found = targets_from_counts(100 * T, TABLE, tokens=TABLE, smoothing=2.0)
    assert {A: t for A, t in found.targets.items() if A != "1"} == pytest.approx(
        {A: t * 100 / 124 for A, t in TAU.items() if A != "1"}
    )


@given(seeds)
def test_shuffled_tables_and_sparse_counts_give_the_same(seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(12), rng.permutation(12)
    contexts = {k: [values[i] for i in rows] for k, values in TABLE.items()}
    tokens = {k: [values[i] for i in columns] for k, values in reversed(TABLE.items())}
    noisy = T * 100 + rng.random((12, 12))
    counts = sparse.csr_matrix(noisy[np.ix_(rows, columns)])
    direct = targets_from_counts(noisy, TABLE, tokens=TABLE)
    found = targets_from_counts(counts, contexts, tokens=tokens, formula="color * shape")
    assert found.targets == pytest.approx(direct.targets) and found.residual == pytest.approx(direct.residual)
    # Without the table's names rows and columns would not fit.
    assert targets_from_counts(counts, TABLE, tokens=TABLE).residual > 2 * found.residual


def test_labels_that_drop_an_attribute():
    words = Attributes("(color[3] * shape[4]) / word[2]")
    kept = words.keep(("color", "shape"))
    P = T[:, label_of_context(words, kept)].T
    found = targets_from_counts(500 * P, table_of(words), tokens=TABLE)
    assert found.labels == ("color", "shape") and found.targets == pytest.approx(TAU, abs=1e-12)


@given(seeds, st.sampled_from([50, 1000]))
def test_samples_lie_within_their_standard_errors(seed, n):
    counts = np.random.default_rng(seed).multinomial(n, T.T)
    found = targets_from_counts(counts, TABLE, tokens=TABLE)
    for A in CROSSED.names[1:]:
        # 25 examples, 3 strata each: five standard errors are passed once in a hundred thousand such tests.
        assert abs(found.targets[A] - TAU[A]) < 5 * found.standard_error[A]
        assert found.standard_error[A] < 3 / np.sqrt(n)
    assert 0.6 < found.residual / found.noise < 1.4  # sampling is all that is outside
    # A truth outside the algebra is told: one context alone prefers another token.
    counts[0] = np.roll(counts[0], 5)
    assert targets_from_counts(counts, TABLE, tokens=TABLE).residual > 1.5 * found.noise


def test_standard_errors_are_the_spread_of_repeated_samples():
    rng = np.random.default_rng(0)
    many = [targets_from_counts(rng.multinomial(200, T.T), TABLE, tokens=TABLE) for _ in range(400)]
    for A in CROSSED.names[1:]:
        spread = np.std([found.targets[A] for found in many])
        # A standard deviation of 400 samples is known to 1 / sqrt(800) = 3.5%.
        assert np.mean([found.standard_error[A] for found in many]) == pytest.approx(spread, rel=0.15)


def test_without_token_attributes_the_singular_values_stand_for_the_targets():
    rotation = np.random.default_rng(1).permutation(12)
    found = targets_from_counts(10**9 * T[:, rotation], TABLE)
    assert found.targets == pytest.approx(TAU, abs=1e-6) and found.standard_error is None
    rng = np.random.default_rng(2)
    squares = np.mean([
        targets_from_counts(rng.multinomial(100, T.T), TABLE).targets["color"] ** 2 for _ in range(300)
    ])  # fmt: skip
    plain = np.mean([
        np.trace(element({A: float(A == "color") for A in CROSSED.names}, CROSSED) @ (P := c / 100) @ P.T) / 2
        for c in (rng.multinomial(100, T.T) for _ in range(300))
    ])  # fmt: skip
    # Noise is taken off without bias; left in, it shows.
    assert abs(squares - TAU["color"] ** 2) < abs(plain - TAU["color"] ** 2) / 2


def test_long_csv(tmp_path):
    contexts = tmp_path / "contexts.csv"
    names = [f"c{i}" for i in range(12)]
    lines = ["context,color,shape"] + [f"{n},{a},{b}" for n, a, b in zip(names, *TABLE.values(), strict=True)]
    contexts.write_text("\n".join(lines))
    tokens = tmp_path / "tokens.csv"
    tokens.write_text("\n".join(lines).replace("context", "token").replace("c", "c"))
    counts = np.round(1000 * T)
    long = ["context,token,count"] + [
        f"c{i},c{j},{counts[i, j]:g}" for i in range(12) for j in range(12) if counts[i, j]
    ]
    path = tmp_path / "counts.csv"
    path.write_text("\n".join([*long, "c0,elsewhere,100"]))
    found = targets_from_counts(path, contexts, tokens)
    assert found.targets == pytest.approx(targets_from_counts(counts, TABLE, tokens=TABLE).targets, abs=1e-12)
    assert found.counted == pytest.approx(1 - 100 / (counts.sum() + 100))
    path.write_text("context,token,count\nc0,c1,many")
    with pytest.raises(InputError, match="line 2 is no count"):
        targets_from_counts(path, contexts, tokens)
    path.write_text("context,token,count\nc99,c1,1")
    with pytest.raises(InputError, match="'c99' in line 2"):
        targets_from_counts(path, contexts, tokens)


def test_the_kernel_of_one_token_for_each_value_is_the_embedding_kernel():
    contexts = code(CROSSED)
    counts = np.zeros((12, contexts.vocabulary))
    for column in contexts.tokens.T:
        counts[np.arange(12), column] += 1
    found, outside = kernel_from_counts(counts, TABLE, residual=0.5)
    expected = {A: float(k) for A, k in embedding_kernel(CROSSED, {"color": 1, "shape": 1}, "1/2").items()}
    assert found == pytest.approx(expected, abs=1e-12) and outside < 1e-12
    counts[0] *= 3
    assert kernel_from_counts(counts, TABLE)[1] > 0.1


@pytest.mark.parametrize(
    "counts, tokens, words",
    [
        (-np.eye(12), TABLE, ">= 0"), (np.eye(11), TABLE, "11 rows"), (np.zeros((12, 12)), TABLE, "has none"),
        (np.full((12, 12), np.nan), TABLE, "finite"), (np.eye(12), None, "rather than probabilities"),
        (np.eye(12), {"color": ["red"] * 12}, "no combination"), (np.eye(12), {"size": ["s"] * 12}, "no attribute"),
        (np.eye(12), {k: [v[0]] * 12 for k, v in TABLE.items()}, "occurs twice"),
        (np.eye(12), {k: v[:6] for k, v in TABLE.items()}, "12 columns"), ("no.csv", TABLE, "cannot read"),
    ],
)  # fmt: skip
def test_bad_input(counts, tokens, words):
    with pytest.raises(InputError, match=words):
        targets_from_counts(counts, TABLE, tokens)


def test_matrices_on_disk(tmp_path):
    counts = np.round(1000 * T)
    expected = targets_from_counts(counts, TABLE, tokens=TABLE).targets
    np.save(tmp_path / "dense.npy", counts)
    np.savez(tmp_path / "dense.npz", counts=counts)
    sparse.save_npz(tmp_path / "sparse.npz", sparse.csr_matrix(counts))
    for name in ("dense.npy", "dense.npz", "sparse.npz"):
        assert targets_from_counts(tmp_path / name, TABLE, tokens=TABLE).targets == expected
    (tmp_path / "broken.npz").write_text("no zip")
    for name in ("broken.npz", "missing.npy"):
        with pytest.raises(InputError, match="cannot read"):
            targets_from_counts(tmp_path / name, TABLE, tokens=TABLE)
