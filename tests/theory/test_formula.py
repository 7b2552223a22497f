"""The grammar of formulas: what is read is written back, and what cannot be read is refused at a position."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ufmflow.proofs.strategies import formulas, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.formula import MAX_FACTORS, Crossing, Factor, Nesting, factors_of, parse


@given(structures(), st.data())
def test_the_written_formula_is_read_back(attributes, data):
    assert parse(str(attributes.tree)) == attributes.tree
    assert Attributes(str(attributes)) == attributes and hash(Attributes(str(attributes))) == hash(attributes)
    assert eval(repr(attributes), {"Attributes": Attributes}) == attributes


@given(formulas())
def test_blanks_and_superfluous_parentheses_change_nothing(text):
    assert parse(re.sub(r"\s", "", text)) == parse(text) == parse(f"( {text} )")


@given(structures().filter(lambda attributes: len(attributes.sizes) > 1))
def test_another_operator_is_another_structure(attributes):
    text = str(attributes)
    swapped = text.translate(str.maketrans("*/", "/*"))
    assert parse(swapped) != parse(text)


def test_nesting_binds_tighter_than_crossing_and_both_associate():
    assert parse("a[2] * b[2] / c[2]") == parse("a[2] * (b[2] / c[2])") != parse("(a[2] * b[2]) / c[2]")
    assert parse("a[2] / b[2] / c[2]") == parse("a[2] / (b[2] / c[2])") == parse("(a[2] / b[2]) / c[2]")
    assert parse("a[2] * (b[2] * c[2])") == parse("(a[2] * b[2]) * c[2]")


def poset(node) -> dict[str, frozenset[str]]:
    """What each factor is nested in, read off the tree by pairs: their lowest common node is a nesting, in order."""
    factors = [factor.name for factor in factors_of(node)]

    def below(node, a: str, b: str) -> bool:
        if isinstance(node, Factor):
            return False
        at = {factor.name: i for i, part in enumerate(node.parts) for factor in factors_of(part)}
        if at[a] == at[b]:
            return below(node.parts[at[a]], a, b)
        return isinstance(node, Nesting) and at[a] < at[b]

    return {b: frozenset(a for a in factors if below(node, a, b)) for b in factors}


@given(structures(max_cardinality=40, max_factors=5))
def test_crossing_is_the_disjoint_union_and_nesting_the_ordinal_sum(attributes):
    assert attributes.ancestors == poset(attributes.tree)


def test_a_wrong_poset_is_noticed():
    assert Attributes("(a[2] * b[2]) / c[2]").ancestors != poset(Crossing(parse("a[2] * b[2] * c[2]").parts))
    assert Attributes("a[2] / b[2]").ancestors != poset(parse("b[2] / a[2]"))


MALFORMED = [
    ("", 1, "expected an attribute name"),
    ("   ", 4, "found the end"),
    ("a", 2, "has no size"),
    ("a[4] *", 7, "found the end"),
    ("* a[4]", 1, r"found '\*'"),
    ("a[4] b[2]", 6, "expected . or / before 'b'"),
    ("a[4] [3]", 6, "before"),
    ("(a[4]", 6, "closing parenthesis"),
    ("a[4])", 5, "before"),
    ("()", 2, "expected an attribute name"),
    ("a[1]", 2, "at least 2"),
    ("a[0]", 2, "at least 2"),
    ("a[-3]", 2, "at least 2"),
    ("a[]", 2, "neither"),
    ("a[2.5]", 2, "neither"),
    ("a[n+1]", 2, "neither"),
    ("a[10000000000000000000]", 2, "neither"),
    ("a[4", 2, "unexpected"),
    ("a[4] + b[2]", 6, r"unexpected '\+'"),
    ("a[4] * a[2]", 8, "named twice"),
    ("a[4] * _b[2]", 8, "unexpected '_b'"),
    ("a__b[2]", 1, "unexpected 'a__b'"),
    ("2a[2]", 1, "unexpected '2a'"),
    ("a[2] ** b[2]", 7, "found"),
    (" * ".join(f"f{i}[2]" for i in range(MAX_FACTORS + 1)), 10 * 8 + 2 * 9 + 1, "at most 12"),
]


@pytest.mark.parametrize(("text", "position", "reason"), MALFORMED)
def test_malformed_formulas_are_refused_at_a_position(text, position, reason):
    with pytest.raises(InputError, match=rf"position {position}: .*({reason})"):
        Attributes(text)


@given(st.text(alphabet="ab2[]()*/ n_1é-", max_size=20) | st.text(max_size=12))
@example("(" * 2000)
@example("a[٣]")
@example("a[x" + "1" * 5000 + "]")
def test_any_text_is_a_formula_or_an_input_error(text):
    try:
        read = Attributes(text)
    except InputError as error:
        assert str(error).startswith("formula")
    else:
        assert Attributes(str(read)) == read and len(read.names) >= 2
