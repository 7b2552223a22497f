"""Contexts coded as tokens: what is shown, what is kept apart, and the way back from the attribute table."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics.settings import SETTINGS, code
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

FORMULAS = st.sampled_from(
    ["a[2]", "a[3] * b[2]", "a[2] / b[3]", "(a[2] / b[2]) * c[3]", "(a[2] * b[2]) / c[2]", "a[2] / (b[2] * c[2])"]
)


@given(FORMULAS, st.sampled_from(["all", "leaves"]))
def test_contexts_differ_in_their_tokens_and_positions_share_none(formula, shown):
    contexts = code(Attributes(formula), None, shown)
    columns = [set(column) for column in contexts.tokens.T.tolist()]
    assert len({tuple(row) for row in contexts.tokens.tolist()}) == len(contexts.tokens)
    assert sum(map(len, columns)) == len(set().union(*columns)) == contexts.vocabulary


@given(FORMULAS)
def test_the_structure_is_read_back_off_the_table(formula):
    attributes = Attributes(formula)
    assert Attributes.from_table(code(attributes).table) == attributes


def test_a_table_of_another_structure_is_not_read_back_as_this_one():
    assert Attributes.from_table(code(Attributes("a[2] / b[3]")).table) != Attributes("a[2] * b[3]")


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_labels_of_a_setting_keep_the_part_that_it_names(setting):
    attributes = Attributes(setting.formula)
    contexts = code(attributes, setting.labels, setting.shown)
    assert contexts.n_labels == attributes.keep(setting.labels).cardinality == len(set(contexts.label.tolist()))
    kept = attributes.kept_by(contexts.table["label"])
    assert kept == (None if setting.labels is None else tuple(setting.labels.split(" * ")))


def test_frames_show_words_and_never_classes():
    frames = SETTINGS["frames"]
    contexts = code(Attributes(frames.formula), frames.labels, frames.shown)
    assert contexts.tokens.shape == (36, 2)
    assert contexts.vocabulary == 2 * 3 + 3 * 2
    with_classes = code(Attributes(frames.formula), frames.labels, "all")
    assert with_classes.tokens.shape == (36, 4)


def test_collocations_have_a_label_each_and_words_of_a_class_go_together():
    setting = SETTINGS["collocations"]
    contexts = code(Attributes(setting.formula), setting.labels, setting.shown)
    assert contexts.tokens.shape == (36, 2) and contexts.vocabulary == 3 * 3 + 3 * 4
    assert contexts.label.tolist() == list(range(36))
    nouns_of = {}
    for verb, noun in contexts.tokens.tolist():
        nouns_of.setdefault(verb, set()).add(noun)
    # Verbs that share a noun share all: three sets of four nouns, for three verbs each.
    assert sorted(map(len, set(map(frozenset, nouns_of.values())))) == [4, 4, 4]
    assert len(set().union(*nouns_of.values())) == 12 and len(nouns_of) == 9
    crossed = code(Attributes("verb[9] * noun[12]")).tokens
    assert len(crossed) == 108  # control: were all allowed, no class would show


def test_nested_values_carry_their_ancestors():
    table = code(Attributes("kingdom[2] / genus[3]")).table
    assert table["genus"] == ["genus_0_0", "genus_0_1", "genus_0_2", "genus_1_0", "genus_1_1", "genus_1_2"]


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SETTINGS["objects"].formula = "a[2]"
    with pytest.raises(TypeError):
        SETTINGS["mine"] = SETTINGS["objects"]


@pytest.mark.parametrize(
    ("formula", "labels", "shown", "words"),
    [
        ("a[n] * b[2]", None, "all", "symbolic"),
        ("a[100] * b[100]", None, "all", "10000 contexts"),
        ("a[2] * b[2]", "c", "all", "labels"),
        ("a[2] * b[2]", None, "some", "shown"),
    ],
)
def test_bad_settings_are_refused_by_name(formula, labels, shown, words):
    with pytest.raises(InputError, match=words):
        code(Attributes(formula), labels, shown)
