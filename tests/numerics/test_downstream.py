"""Probes, analogies and transfer: closed forms against refits and enumeration, theory against numbers."""

from itertools import product

import matplotlib
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ufmflow.numerics.analogies import analogies_solved, class_means, parallelogram_errors
from ufmflow.numerics.downstream import agreement, downstream, series
from ufmflow.numerics.observe import observe
from ufmflow.numerics.one_shot import one_shot
from ufmflow.numerics.probes import decodable, decode, left_out, smoother, transversals, values_of
from ufmflow.numerics.runs import example_run
from ufmflow.numerics.transfer import additive_projector, class_folds, held_out_labels, transfer
from ufmflow.numerics.value_plots import value_figure
from ufmflow.proofs.strategies import structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.value import additive_transfer, decoding_margin

from .explicit import element, normal, projectors, seeds

CROSSED = Attributes("color[3] * shape[4]")
THREE = Attributes("color[2] * shape[3] * size[3]")
# Solves with matrices whose smallest eigenvalue is at least lam/(e + lam) > 1e-3: 1e3 * 30 * eps = 7e-12.
ACCURACY = 1e-9


def refit(H: np.ndarray, Y: np.ndarray, D: np.ndarray, lam: float) -> np.ndarray:
    """The probe fitted without D by normal equations with an unpenalised intercept, on D."""
    seen = np.setdiff1d(np.arange(len(H)), D)
    X = np.hstack([np.ones((len(H), 1)), H])
    penalty = lam * np.eye(X.shape[1])
    penalty[0, 0] = 0.0
    return X[D] @ np.linalg.solve(X[seen].T @ X[seen] + penalty, X[seen].T @ Y[seen])


@given(seeds, st.integers(2, 30), st.sampled_from([0.01, 0.1, 3.0]))
def test_left_out_predictions_are_those_of_explicit_refits(seed, d, ridge):
    H = normal(seed, 12, d)
    Y = np.eye(3)[values_of(CROSSED, "color")]
    X = H - H.mean(axis=0)
    lam = ridge * (X**2).sum() / 11
    folds = transversals(CROSSED, None, "color")
    found = left_out(smoother(H, ridge), Y, folds)
    for D in folds:
        assert np.abs(found[D] - refit(H, Y, D, lam)).max() < ACCURACY
        # The fit that has seen D is another one.
        assert np.abs((smoother(H, ridge) @ Y)[D] - refit(H, Y, D, lam)).max() > 1e-4


@given(structures(max_cardinality=24))
def test_transversals_partition_the_contexts_and_hold_each_value_equally_often(structure):
    for factor in decodable(structure, None):
        folds = transversals(structure, None, factor)
        assert sorted(np.concatenate(folds)) == list(range(int(structure.cardinality)))
        value = values_of(structure, factor)
        assert all(len(set(np.bincount(value[D], minlength=value.max() + 1))) == 1 for D in folds)


def test_contexts_that_share_all_of_a_combination_are_left_out_together():
    words = Attributes("(color[3] * shape[4]) / word[2]")
    for D in transversals(words, ("color", "shape"), "color"):
        assert set(D // 2 * 2) | set(D // 2 * 2 + 1) == set(D)


@given(st.tuples(*[st.floats(0.01, 3.0)] * 3), st.sampled_from([0.03, 0.5]))
def test_decoding_margins_are_those_of_the_theory(energy, ridge):
    """In the algebra each fold's margin is the closed form; the accuracy is 1 or 0 with its sign, by the same sum."""
    energies = dict(zip(CROSSED.names[1:], energy, strict=True))
    G = element({"1": 0.0} | energies, CROSSED)
    values, vectors = np.linalg.eigh(G)
    H = vectors * np.sqrt(np.clip(values, 0, None))
    m = CROSSED.multiplicities
    lam = ridge * sum(float(m[A]) * e for A, e in energies.items()) / 11
    accuracy, margin = decode(smoother(H, ridge), values_of(CROSSED, "color"), transversals(CROSSED, None, "color"))
    # The score of the true value less the mean of the others: (1 - 1/n + 1/n) times the theory's factor.
    expected = float(decoding_margin(CROSSED, "color", energies, lam))
    assert margin == pytest.approx(expected, abs=1e-9)
    if abs(expected) > 1e-6:
        assert accuracy == (1.0 if expected > 0 else 0.0)


def test_at_the_etf_probes_and_analogies_are_at_chance():
    H = np.eye(12)
    accuracy, margin = decode(smoother(H), values_of(CROSSED, "color"), transversals(CROSSED, None, "color"))
    assert accuracy == pytest.approx(1 / 3) and margin == pytest.approx(0, abs=1e-12)
    assert analogies_solved(H, CROSSED) == pytest.approx(1 / 9)
    # A single context left out makes its own value the rarer one: why folds are balanced.
    assert decode(smoother(H), values_of(CROSSED, "color"), [np.array([i]) for i in range(12)])[0] == 0.0


def enumerated(H: np.ndarray, structure: Attributes, j: str, k: str) -> float:
    """Mean |double difference|^2 over all changes of two crossed attributes, by the definition."""
    cells = H.reshape(*structure.shape, -1)
    names = list(structure.sizes)
    X = np.moveaxis(cells, (names.index(j), names.index(k)), (0, 1))
    squares = [
        ((X[a, b] - X[a_, b] - X[a, b_] + X[a_, b_]) ** 2).sum(axis=-1).mean()
        for a, a_, b, b_ in product(*[range(X.shape[0])] * 2, *[range(X.shape[1])] * 2)
        if a != a_ and b != b_
    ]
    return float(np.mean(squares))


@given(seeds, st.sampled_from([CROSSED, THREE]))
def test_parallelogram_errors_are_the_enumerated_ones_over_the_etfs(seed, structure):
    H = normal(seed, int(structure.cardinality), 5)
    X = H - H.mean(axis=0)
    etf = 4 * (X**2).sum() / (len(H) - 1)
    for pair, error in parallelogram_errors(H, structure).items():
        if pair != "all":
            assert error == pytest.approx(enumerated(H, structure, *pair.split(", ")) / etf, rel=1e-10)


@given(seeds, st.integers(2, 3), st.integers(2, 4))
def test_for_two_crossed_attributes_error_and_index_add_up_to_1(seed, n1, n2):
    structure = Attributes(f"a[{n1}] * b[{n2}]")
    H = normal(seed, n1 * n2, 6)
    index = float(observe(H, None, None, structure).data["semantic_index"][0])
    assert float(parallelogram_errors(H, structure)["all"]) + index == pytest.approx(1, abs=1e-12)
    singles = [np.array([i]) for i in range(n1 * n2)]
    assert transfer(H, structure, singles).r2 == pytest.approx(float(additive_transfer(structure, index)), abs=1e-10)


@given(seeds, structures(max_cardinality=18, max_factors=3))
def test_transfer_class_by_class_is_an_affine_function_of_the_index(seed, structure):
    assume(structure.semantic_strata())
    H = normal(seed, int(structure.cardinality), 4)
    index = float(observe(H, None, None, structure).data["semantic_index"][0])
    found = transfer(H, structure, [np.array([i]) for i in range(len(H))])
    assert found.r2 == pytest.approx(float(additive_transfer(structure, index)), abs=1e-9)


@given(seeds)
def test_transfer_is_that_of_explicit_least_squares(seed):
    H, D = normal(seed, 12, 5), np.array([0, 5, 10])
    a, b = (np.eye(n)[values_of(CROSSED, k)] for k, n in (("color", 3), ("shape", 4)))
    X = np.hstack([np.ones((12, 1)), a, b])
    seen = np.setdiff1d(np.arange(12), D)
    effects = np.linalg.lstsq(X[seen], H[seen], rcond=None)[0]
    prototypes = X @ effects
    wrong = ((H[D] - prototypes[D]) ** 2).sum()
    total = ((H[D] - H[seen].mean(axis=0)) ** 2).sum()
    nearest = [int(np.argmin(((prototypes - H[i]) ** 2).sum(axis=1))) for i in D]
    found = transfer(H, CROSSED, [D])
    assert found.r2 == pytest.approx(1 - wrong / total, abs=1e-10)
    assert found.accuracy == pytest.approx(np.mean(np.array(nearest) == D))


@given(seeds)
def test_a_geometry_of_attributes_alone_transfers_and_solves_analogies(seed):
    H = additive_projector(THREE) @ normal(seed, 18, 8)
    found = transfer(H, THREE, class_folds(THREE))
    assert found.r2 == pytest.approx(1) and found.accuracy == 1.0
    assert float(parallelogram_errors(H, THREE)["all"]) == pytest.approx(0, abs=1e-12)
    interaction = projectors(THREE)["color:shape:size"] @ normal(seed, 18, 8)
    assert (
        float(parallelogram_errors(interaction, THREE)["all"]) > 1
        and transfer(interaction, THREE, class_folds(THREE)).r2 < 0
    )


def test_species_of_one_genus_have_one_prediction():
    taxonomy = Attributes("kingdom[2] / genus[2] / species[3]")
    kingdom, genus = (np.eye(n)[values_of(taxonomy, k)] for k, n in (("kingdom", 2), ("genus", 4)))
    H = np.hstack([kingdom, genus, 0.1 * np.eye(12)])
    assert transfer(H, taxonomy, class_folds(taxonomy)).accuracy == 1.0
    shuffled = H[np.random.default_rng(1).permutation(12)]
    assert transfer(shuffled, taxonomy, class_folds(taxonomy)).accuracy < 0.8


def test_analogies_are_solved_when_shared_attributes_are_nearer_than_none():
    """In the algebra of two crossed attributes: exactly when g(j) > g(nothing) and g(k) > g(nothing)."""
    for entries, solved in (((0.0, 0.1, 0.1, 1.0), 1.0), ((0.1, 0.3, 0.05, 1.0), 0.0), ((0.2, 0.1, 0.3, 1.0), 0.0)):
        relation = {
            (False, False): entries[0],
            (True, False): entries[1],
            (False, True): entries[2],
            (True, True): entries[3],
        }
        cells = list(product(range(3), range(4)))
        G = np.array([[relation[x[0] == y[0], x[1] == y[1]] for y in cells] for x in cells])
        values, vectors = np.linalg.eigh(G)
        assert values[0] > 0
        assert analogies_solved(vectors * np.sqrt(values), CROSSED) == solved


def test_class_means():
    H = normal(1, 3, 24, 5)
    means = class_means(H, Attributes("(a[2] * b[2]) / word[6]"), ("a", "b"))
    assert np.allclose(means[:, 1], H[:, 6:12].mean(axis=1)) and means.shape == (3, 4, 5)
    dropped_first = class_means(H, Attributes("word[6] * a[4]"), ("a",))
    assert np.allclose(dropped_first[:, 2], H[:, 2::4].mean(axis=1))


def test_held_out_labels_are_spread_over_the_values():
    structure = Attributes("color[4] * shape[6]")
    chosen = np.array(held_out_labels(structure, 6, seed=3))
    assert np.bincount(chosen % 6, minlength=6).tolist() == [1] * 6
    assert sorted(np.bincount(chosen // 6, minlength=4)) == [1, 1, 2, 2]
    assert held_out_labels(structure, 6, seed=3) == tuple(chosen) != held_out_labels(structure, 6, seed=4)


@pytest.mark.parametrize(
    "hold_out, words",
    [(0, "from 1 to 11"), (12, "from 1 to 11"), ([1, 1], "each once"), ([12], "from 0 to 11"), ("ab", "each once"),
     ([0, 1, 2, 3], "do not determine"), ([], "each once")],
)  # fmt: skip
def test_bad_hold_outs(hold_out, words):
    with pytest.raises(InputError, match=words):
        held_out_labels(CROSSED, hold_out)


def test_value_along_a_recorded_run():
    run = example_run()
    value = downstream(run)
    curves = series(value)
    assert np.allclose(curves["parallelogram"], value["semantic_index"], atol=1e-6)  # float32 embeddings
    assert value["decoding"].values[:20].min() > 0.9 and value["chance"].values.tolist() == [1 / 4, 1 / 6]
    rows = {row.measure: row for row in agreement(value)}
    assert rows["parallelogram"].verdict == "follows" and rows["parallelogram"].lag == 1.0
    # Decoding outlasts the index: it depends on the order of energies.
    assert rows["decoding"].end == run.data["step"].values[-1] > rows["decoding"].index_end
    assert "held_out_decoding" not in value


def test_value_of_shuffled_contexts_is_at_chance():
    run = example_run()
    H = run.data["H"].values[5][np.random.default_rng(0).permutation(24)]
    value = downstream(H, run.attributes)
    assert abs(float(series(value)["decoding"][0])) < 0.35 and float(value["transfer_r2"][0]) < 0.1


def test_a_measure_that_does_not_move_is_called_constant():
    value = downstream(np.repeat(np.eye(12)[None], 4, axis=0), CROSSED)
    assert {row.verdict for row in agreement(value)} == {"constant"}


def test_the_figure_has_a_line_for_each_measure():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    value = downstream(example_run())
    fig, axes = value_figure(value)
    labels = [line.get_label() for ax in axes for line in ax.get_lines() if not line.get_label().startswith("_")]
    assert len(labels) == 2 + len(series(value)) and axes[0].get_xlabel() == "step"
    plt.close(fig)


def test_bad_input():
    with pytest.raises(InputError, match="needs the structure"):
        downstream(np.eye(12))
    with pytest.raises(InputError, match="share no attribute"):
        downstream(np.eye(4), Attributes("a[4]"))
    with pytest.raises(InputError, match="ridge: 0"):
        downstream(np.eye(12), CROSSED, ridge=0)
    with pytest.raises(InputError, match="no values that occur"):
        transversals(Attributes("a[2] / b[2]"), None, "b")
    with pytest.raises(InputError, match="1 times"):
        agreement(downstream(np.eye(12), CROSSED))


def drawn(H: np.ndarray, value: np.ndarray, D: np.ndarray) -> float:
    """Accuracy over every choice of one example of each value, by the definition."""
    seen = np.setdiff1d(np.arange(len(H)), D)
    points = []
    for examples in product(*[seen[value[seen] == v] for v in range(value.max() + 1)]):
        distance = ((H[D][:, None] - H[list(examples)]) ** 2).sum(axis=2)
        nearest = distance <= distance.min(axis=1, keepdims=True) + 1e-9
        points.append((nearest / nearest.sum(axis=1, keepdims=True))[np.arange(len(D)), value[D]])
    return float(np.mean(points))


@given(seeds, st.booleans())
def test_one_shot_accuracy_is_the_mean_over_all_choices_of_examples(seed, alike):
    H, value = normal(seed, 12, 4), values_of(CROSSED, "color")
    H = np.round(H) if alike else H  # with ties and without
    folds = transversals(CROSSED, None, "color")
    expected = np.mean([drawn(H, value, D) for D in folds])
    assert one_shot(H, value, folds) == pytest.approx(expected, abs=1e-12)
    # Examples that include the tested contexts themselves would flatter.
    assert one_shot(np.vstack([H, H]), np.tile(value, 2), [np.arange(12)]) > expected


def test_one_example_of_each_value_tells_the_stronger_attribute():
    """In the algebra, context by context: always where g(j) > g(k) > g(nothing), else ((R - 1)/R)^(n - 1)."""
    cells = list(product(range(3), range(4)))
    a, b = (np.eye(n)[[cell[i] for cell in cells]] for i, n in ((0, 3), (1, 4)))
    H = np.hstack([2 * a, b, 0.5 * np.eye(12)])
    singles = [np.array([i]) for i in range(12)]
    assert one_shot(H, values_of(CROSSED, "color"), singles) == 1.0
    # Of each other value of b one context in 3 shares a with the tested one, and is nearer.
    assert one_shot(H, values_of(CROSSED, "shape"), singles) == pytest.approx((2 / 3) ** 3)
    assert one_shot(np.eye(12), values_of(CROSSED, "shape"), singles) == pytest.approx(1 / 4)
