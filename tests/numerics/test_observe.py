"""Embeddings read off as strata: the simulation's own singular values, whatever the rows' order and labels' numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ufmflow.numerics.matrices import label_of_context
from ufmflow.numerics.observe import observe
from ufmflow.numerics.simulate import gaussian, simulate
from ufmflow.proofs.strategies import models, structures, tables
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .explicit import normal, projectors, seeds

CROSSED = Attributes("a[2] * b[3]")
WORDS = Attributes("(a[2] * b[3]) / word[2]")
# Energies are sums of at most 24 squares; loss and shares are ratios and logarithms of such.
ROUNDING = 1e-12


def same(first, second, variables=("w", "h", "z", "share_H", "share_W", "loss", "semantic_index")) -> bool:
    return all(
        np.abs(first.data[v].values - second.data[v].values).max() <= ROUNDING * max(1.0, np.abs(first.data[v]).max())
        for v in variables
    )


@settings(max_examples=10)
@given(model=models(losses=("cross_entropy",), one_hot=True), seed=seeds)
def test_a_simulated_run_is_observed_as_it_was_simulated(model, seed):
    model = type(model)(**(model.config() | {"width": 5, "reduction": "mean"}))
    found = simulate(model, [0, 1.0, 3.0], init=gaussian(1.0), full=True, seed=seed)
    H, W = found.data["H"].values, found.data["W"].values
    label = label_of_context(model.attributes, model.label_attributes)
    seen = observe(H, W, label, model.attributes, time=found.time)
    assert same(seen, found) and seen.labels == found.labels
    np.testing.assert_array_equal(seen.time, found.time)
    assert not same(seen, observe(H * 1.001, W, label, model.attributes))


@given(attributes=structures(), data=st.data(), seed=seeds)
def test_rows_and_labels_may_come_in_any_order(attributes, data, seed):
    """A table's rows are permuted with H's, and labels renumbered with W's rows: nothing changes."""
    table = data.draw(tables(attributes))
    structure = Attributes.from_table({name: table[name] for name in attributes.sizes})
    m = int(attributes.cardinality)
    kept = data.draw(st.sampled_from(attributes.ancestral_sets[1:]))
    words = list(zip(*(table[name] for name in attributes.named(kept)), strict=True))
    number = {word: i for i, word in enumerate(dict.fromkeys(words))}
    label = np.array([number[word] for word in words])
    H, W = normal(seed, m, 3), normal(seed + 1, len(number), 3)
    first = observe(H, W, label, structure)

    rows = np.array(data.draw(st.permutations(range(m))))
    renumbered = np.array(data.draw(st.permutations(range(len(number)))))
    again = Attributes.from_table({name: [table[name][row] for row in rows] for name in attributes.sizes})
    second = observe(H[rows], W[np.argsort(renumbered)], renumbered[label[rows]], again)
    assert same(first, second) and first.labels == second.labels


def test_rows_in_another_order_than_the_tables_are_noticed():
    table = {"a": [0, 0, 0, 1, 1, 1], "b": [0, 1, 2, 0, 1, 2]}
    rows = [0, 4, 2, 5, 1, 3]
    shuffled = Attributes.from_table({name: [values[row] for row in rows] for name, values in table.items()})
    H = normal(0, 6, 3)
    first = observe(H, None, None, CROSSED)
    assert same(first, observe(H[rows], None, None, shuffled), ("h", "share_H"))
    assert not same(first, observe(H, None, None, shuffled), ("h", "share_H"))


@given(attributes=structures(), seed=seeds)
def test_energies_are_those_of_the_gram_matrix(attributes, seed):
    H = normal(seed, int(attributes.cardinality), 3)
    found = observe(H, None, None, attributes).data
    expected = [np.sqrt(np.trace(P @ H @ H.T) / np.trace(P)) for P in projectors(attributes).values()]
    np.testing.assert_allclose(found["h"].values[0], expected, rtol=1e-7, atol=1e-10)  # a root of a sum that may vanish
    assert not found["w"].any() and not found["z"].any() and not found["loss"].any()


def test_labels_that_drop_attributes_are_recognised():
    label = np.repeat(np.arange(6), 2)
    H, W = normal(0, 12, 4), normal(1, 6, 4)
    seen = observe(H, W, label, WORDS)
    assert seen.labels == ("a", "b") and float(seen.data["w"].sel(stratum="a:b:word")[0]) == 0
    logits = H @ W.T
    expected = (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(12), label]).mean()
    assert float(seen.data["loss"][0]) == pytest.approx(expected, rel=1e-12)
    assert float(observe(H, W[::-1], label, WORDS).data["loss"][0]) != pytest.approx(expected, rel=1e-3)


def test_rows_of_w_that_label_nothing_stay_in_the_softmax():
    H, W = normal(0, 6, 4), normal(1, 9, 4)
    label = np.array([8, 0, 3, 4, 1, 6])
    seen = observe(H, W, label, CROSSED)
    logits = H @ W.T
    expected = (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), label]).mean()
    assert float(seen.data["loss"][0]) == pytest.approx(expected, rel=1e-12)
    assert seen.data.attrs["unused_labels"] == 3
    np.testing.assert_array_equal(seen.data["W"].values[0], W[label])


def test_a_recorded_loss_and_time_are_kept():
    seen = observe(normal(0, 3, 6, 2), normal(1, 3, 6, 2), None, CROSSED, time=[0, 2, 7], loss=[3, 2, 1])
    assert seen.time.tolist() == [0, 2, 7] and seen.data["loss"].values.tolist() == [3, 2, 1]


H, W = normal(0, 6, 2), normal(1, 6, 2)


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[3, 1] = value
    return array


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"H": H[:5]}, r"^H: it has 5 rows, but a\[2\] \* b\[3\] has 6 contexts"),
        ({"H": H[0]}, r"^H: shape \(2,\)"),
        ({"H": np.ones((6, 0))}, r"^H: shape \(6, 0\)"),
        ({"H": spoilt(H, np.nan)}, r"^H: NaN or infinity at index \[3, 1\]"),
        ({"W": spoilt(W, -np.inf)}, r"^W: NaN or infinity at index \[3, 1\]"),
        ({"H": [["x"]]}, "^H: it is no numeric array"),
        ({"W": W[:, :1]}, "^W: shape .* does not fit H"),
        ({"W": np.stack([W, W])}, "^W: shape .* does not fit H"),
        ({"W": W[:5]}, "^W: it has 5 rows, but label 5 occurs"),
        ({"labels": [0, 1, 2]}, r"^labels: shape \(3,\)"),
        ({"labels": [0.0, 1, 2, 3, 4, 5]}, "^labels: .* of float64"),
        ({"labels": [-1, 1, 2, 3, 4, 5]}, "^labels: "),
        ({"labels": list("abcdef")}, "^labels: "),
        ({"labels": [0, 1, 2, 3, 4, 4]}, "^labels: the 5 distinct labels do not correspond"),
        ({"labels": [0, 0, 1, 1, 2, 2]}, "^labels: the 3 distinct labels do not correspond"),
        ({"labels": [0] * 6}, "^labels: the 1 distinct labels do not correspond"),
        ({"time": [0, 1]}, "^time: shape"),
        ({"time": [np.nan]}, "^time: shape"),
        ({"loss": [1, 2]}, "^loss: shape"),
        ({"loss": [np.inf]}, "^loss: shape"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    right = {"H": H, "W": W, "labels": None, "attributes": CROSSED}
    observe(**right)
    with pytest.raises(InputError, match=message) as caught:
        observe(**(right | arguments))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
