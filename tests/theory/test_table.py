"""Structures read off tables: crossing and nesting inferred, relabelling and row order immaterial, bad tables named."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.proofs.strategies import structures, tables
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .scheme import relation_names

CROSSED = {"a": [0, 0, 0, 1, 1, 1], "b": [0, 1, 2, 0, 1, 2]}
NESTED = {"k": ["x", "x", "y", "y"], "g": ["p", "q", "r", "s"]}


def describes(attributes: Attributes, order: tuple[int, ...], table: dict[str, list]) -> bool:
    """Whether rows stand in the relation of their cells: they agree on exactly the columns that the relation names."""
    relations = relation_names(attributes)
    rows = range(len(order))
    return all(
        relations[order[i], order[j]] == attributes.term(name for name in table if table[name][i] == table[name][j])
        for i in rows
        for j in rows
    )


def same_poset(found: Attributes, expected: Attributes) -> bool:
    """Equal up to the order in which the factors are named, which the columns' order sets."""
    return found.sizes == expected.sizes and found.ancestors == expected.ancestors


@given(structures(), st.data())
def test_the_structure_of_a_table_is_found_again(attributes, data):
    table = data.draw(tables(attributes))
    found = Attributes.from_table(table)
    assert same_poset(found, attributes)
    assert sorted(found.order) == list(range(int(attributes.cardinality)))
    assert describes(found, found.order, table)


@given(structures(max_cardinality=12), st.data())
def test_in_the_formulas_order_the_tree_is_found_again(attributes, data):
    table = data.draw(tables(attributes))
    assert Attributes.from_table({name: table[name] for name in attributes.sizes}) == attributes
    assert Attributes.from_table(table, formula=str(attributes)) == attributes


def test_another_structure_or_order_is_noticed():
    found = Attributes.from_table(CROSSED)
    assert found == Attributes("a[2] * b[3]") and found.order == (0, 1, 2, 3, 4, 5)
    assert describes(found, found.order, CROSSED)
    assert not describes(found, (1, 0, 2, 3, 4, 5), CROSSED)
    assert not describes(Attributes("a[2] / b[3]"), found.order, CROSSED)
    assert not same_poset(Attributes("a[2] / b[3]"), found) and not same_poset(Attributes("a[3] * b[2]"), found)


@given(structures(max_cardinality=12), st.data())
def test_renaming_values_and_permuting_rows_change_nothing(attributes, data):
    table = data.draw(tables(attributes))
    found = Attributes.from_table(table)
    names = data.draw(st.permutations(range(40)))
    renamed = {}
    for name, values in table.items():
        distinct = dict.fromkeys(values)
        renamed[name] = [dict(zip(distinct, names, strict=False))[value] for value in values]
    assert Attributes.from_table(renamed) == found
    assert Attributes.from_table(renamed).order == found.order  # values are numbered as they appear

    rows = data.draw(st.permutations(range(len(found.order))))
    permuted = {name: [values[row] for row in rows] for name, values in table.items()}
    again = Attributes.from_table(permuted)
    assert again == found and describes(again, again.order, permuted)


@given(structures(max_cardinality=12), st.data())
def test_reused_names_of_nested_values_are_read_by_the_formula(attributes, data):
    table = data.draw(tables(attributes))
    last = list(attributes.sizes)[-1]
    table[last] = [value.rpartition(".")[2] for value in table[last]]  # its own number within what it is nested in
    found = Attributes.from_table(table, formula=str(attributes))
    assert found == attributes and sorted(found.order) == list(range(int(attributes.cardinality)))
    without_sizes = str(attributes).replace(f"[{attributes.sizes[last]}]", "")
    assert Attributes.from_table(table, formula=without_sizes) == attributes


def test_reused_names_look_crossed_without_the_formula():
    reused = {"kingdom": ["x", "x", "y", "y"], "genus": [1, 2, 1, 2]}
    assert str(Attributes.from_table(reused)) == "kingdom[2] * genus[2]"
    assert str(Attributes.from_table(reused, formula="kingdom / genus")) == "kingdom[2] / genus[2]"


@given(structures(max_cardinality=12), st.data())
def test_labels_keep_the_attributes_that_they_correspond_to(attributes, data):
    kept = data.draw(st.sampled_from(attributes.ancestral_sets[1:]))
    table = data.draw(tables(attributes))
    found = Attributes.from_table(table)
    labels = list(zip(*(table[name] for name in sorted(kept)), strict=True))
    everything = len(kept) == len(attributes.sizes)
    assert found.kept_by(labels) == (None if everything else found.named(kept))
    with pytest.raises(InputError, match="do not correspond to the combinations"):
        found.kept_by([0] * len(labels))


def test_files_and_frames_are_read_alike(tmp_path):
    frame = pd.DataFrame(NESTED | {"label": [3, 1, 2, 0]})
    path = tmp_path / "attributes.csv"
    frame.to_csv(path, index=False, encoding="utf-8-sig")  # spreadsheets put a byte-order mark first
    for table in (frame, path, str(path), NESTED):
        found = Attributes.from_table(table)
        assert found == Attributes("k[2] / g[2]") and found.order == (0, 1, 2, 3)
    with pytest.raises(InputError, match="determine each other"):
        Attributes.from_table(frame, ignore=())  # the label is then an attribute, and determines the genus


def removed(table: dict[str, list], row: int) -> dict[str, list]:
    return {name: values[:row] + values[row + 1 :] for name, values in table.items()}


N_SHAPED = {  # c within a and b, d within b alone: a < c > b < d
    "a": [0, 0, 0, 0, 1, 1, 1, 1],
    "b": [0, 0, 1, 1, 0, 0, 1, 1],
    "c": [0, 0, 1, 1, 2, 2, 3, 3],
    "d": [0, 1, 2, 3, 0, 1, 2, 3],
}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (removed(CROSSED, 4), "^table: incomplete: 5 of 6 combinations; missing for example a=1, b=1"),
        (removed({"k": list("xxxyyy"), "g": list("pqrstu")}, 5), "^table: unbalanced: g has 3 values.*k=x but 2.*k=y"),
        ({"a": [0, 0, 1, 1], "b": [0, 1, 0, 1], "c": [0, 0, 0, 0]}, "^table: column 'c' has one value only"),
        ({name: values + values[:1] for name, values in CROSSED.items()}, "^table: rows 1 and 7 have the same attr"),
        ({"a": [0, 1, 2], "b": ["x", "y", "z"]}, "^table: columns '[ab]' and '[ab]' determine each other"),
        (N_SHAPED, "^table: columns a, b, c, d are nested in a way that crossing and nesting cannot build"),
        ({"a": [0, 1], "b": [0, None]}, "^table: column 'b' has no value in row 2"),
        ({"a": [0, 1], "b": [0, float("nan")]}, "^table: column 'b' has no value in row 2"),
        ({"a": [0, 1], "b": [0, pd.NA]}, "^table: column 'b' has no value in row 2"),
        ({"a": ["", "x"]}, "^table: column 'a' has no value in row 1"),
        ({"a": [0, 1], "b": [0]}, "^table: columns of unequal length"),
        ({"a": [[0], [1]]}, r"^table: column 'a' has the value \[0\] in row 1"),
        ({"a_": [0, 1]}, "^table: column 'a_' is no attribute name"),
        ({}, "^table: no attribute columns"),
        ({"a": []}, "^table: no attribute columns"),
        ({"label": [0, 1]}, "^table: no attribute columns"),
        (5, "^table: int is neither"),
        ("/no/such/file.csv", "^table: cannot read"),
    ],
)
def test_bad_tables_are_named(table, message):
    with pytest.raises(InputError, match=message):
        Attributes.from_table(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows below its header"),
        ("a,b\n", "no rows below its header"),
        ("a,a\n1,2\n", "names a column twice"),
        ("a,b\n1,2\n1\n", "row 3 of .* has 1 cells, not 2"),
        ("a,b\n1,\n2,1\n", "column 'b' has no value in row 1"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "attributes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Attributes.from_table(path)


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "attributes.csv"
    path.write_bytes(b"\xff\xfe\x00a,b")
    with pytest.raises(InputError, match="no CSV text file"):
        Attributes.from_table(path)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("a * c", "^formula: attribute '[bc]' is in the"),
        ("a", "^formula: attribute 'b' is in the table but not in the formula"),
        ("a[3] * b", "^formula: a has size 3 there but 2 in the table"),
        ("a / b[4]", "^formula: b has size 4 there but 3 in the table"),
        ("a **", "position"),
        (5, "^formula: 5 is not text"),
    ],
)
def test_formulas_that_do_not_fit_the_table_are_named(formula, message):
    assert Attributes.from_table(CROSSED, formula="a * b") == Attributes("a[2] * b[3]")
    with pytest.raises(InputError, match=message):
        Attributes.from_table(CROSSED, formula=formula)
