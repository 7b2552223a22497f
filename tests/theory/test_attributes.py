"""The association scheme of a formula: projectors, characters and valencies against the definitions, exactly."""

from itertools import chain, combinations

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.proofs.strategies import elements, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .scheme import cells, has_eigenvalues, relation_names, scaled_projectors

MIXED = Attributes("(a[2] * b[3]) / c[2]")
SYMBOLIC = Attributes("(a[p] * b[q]) / c[r]")


def resolve_the_identity(scaled: dict[str, np.ndarray], ranks: dict[str, int], V: int) -> bool:
    """V P_A are symmetric, P_A P_B = [A = B] P_A, tr P_A = rank, sum P_A = I; all in integers."""
    products = all(
        np.array_equal(P @ Q, V * P if A == B else 0 * P) for A, P in scaled.items() for B, Q in scaled.items()
    )
    symmetric = all(np.array_equal(P, P.T) for P in scaled.values())
    rank = all(np.trace(P) == V * ranks[A] for A, P in scaled.items())
    return products and symmetric and rank and np.array_equal(sum(scaled.values()), V * np.eye(V, dtype=np.int64))


@given(structures(max_cardinality=40))
def test_projectors_are_orthogonal_idempotents_with_the_stated_ranks(attributes):
    scaled = scaled_projectors(attributes)
    assert resolve_the_identity(scaled, attributes.multiplicities, int(attributes.cardinality))


def test_a_wrong_projector_or_rank_is_noticed():
    scaled, ranks = scaled_projectors(MIXED), MIXED.multiplicities
    assert resolve_the_identity(scaled, ranks, 12)
    assert not resolve_the_identity(scaled | {"a": -scaled["a"]}, ranks, 12)
    assert not resolve_the_identity(scaled | {"a": scaled["b"], "b": scaled["a"]}, ranks, 12)
    assert not resolve_the_identity(scaled, ranks | {"a": 2, "b": 1}, 12)
    assert not resolve_the_identity({A: P for A, P in scaled.items() if A != "a:b"}, ranks, 12)


def agree_with_projectors(attributes: Attributes, table: sp.ImmutableMatrix) -> bool:
    """The entry of P_A at two contexts in relation T is chi_A(T) m_A / V: in integers, V P_A has chi_A(T) m_A."""
    relations, m = relation_names(attributes), attributes.multiplicities
    column = {T: i for i, T in enumerate(attributes.names)}
    return all(
        np.array_equal(P, np.vectorize({T: int(table[row, i] * m[A]) for T, i in column.items()}.get)(relations))
        for row, (A, P) in enumerate(scaled_projectors(attributes).items())
    )


@given(structures())
def test_characters_are_the_entries_of_the_projectors(attributes):
    assert agree_with_projectors(attributes, attributes.character_table())


def test_a_wrong_character_is_noticed():
    table = MIXED.character_table().as_mutable()
    assert agree_with_projectors(MIXED, table)
    for i, j in ((1, 0), (3, 2), (4, 3)):
        wrong = table.copy()
        wrong[i, j] = wrong[i, j] + 1
        assert not agree_with_projectors(MIXED, wrong)
    assert not agree_with_projectors(MIXED, table.T)


def count_relations(attributes: Attributes, valencies: dict[str, sp.Expr]) -> bool:
    """Every context has v_T contexts in relation T to it."""
    relations = relation_names(attributes)
    return all(((relations == T).sum(axis=1) == int(v)).all() for T, v in valencies.items())


@given(structures())
def test_valencies_count(attributes):
    assert count_relations(attributes, {T.name: T.valency for T in attributes.relations})


def test_a_wrong_valency_is_noticed():
    valencies = {T.name: T.valency for T in MIXED.relations}
    assert count_relations(MIXED, valencies)
    # The multiplicities are the valencies of the dual poset; with nesting they differ.
    assert not count_relations(MIXED, MIXED.multiplicities)


@given(structures())
def test_strata_are_the_ancestral_sets(attributes):
    names = list(attributes.sizes)
    subsets = chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))
    ancestral = {frozenset(s) for s in subsets if all(attributes.ancestors[k] <= set(s) for k in s)}
    assert ancestral == set(attributes.ancestral_sets) == {frozenset(s.factors) for s in attributes.strata}
    assert len(set(attributes.names)) == len(ancestral)
    assert attributes.names[0] == "1" and set(attributes.relations[-1].factors) == set(names)


@given(structures(), st.data())
def test_the_algebra_is_closed_under_products_and_entrywise_functions(attributes, data):
    whole = {T: sp.Integer(value) for T, value in data.draw(elements(attributes, max_denominator=1)).items()}
    other = {T: sp.Integer(value) for T, value in data.draw(elements(attributes, max_denominator=1)).items()}
    relations = relation_names(attributes)
    X, Y = (np.vectorize({T: int(q) for T, q in e.items()}.get)(relations) for e in (whole, other))
    x, y = attributes.eigenvalues(whole), attributes.eigenvalues(other)
    assert has_eigenvalues(X, x, attributes)
    assert has_eigenvalues(X * X, attributes.eigenvalues({T: q**2 for T, q in whole.items()}), attributes)
    # A product is in the span when it is constant on each relation, and then has the products as eigenvalues.
    assert all(len(set((X @ Y)[relations == T])) == 1 for T in attributes.names)
    assert has_eigenvalues(X @ Y, {A: x[A] * y[A] for A in x}, attributes)


def test_what_is_outside_the_algebra_is_noticed():
    entries = {T: sp.Integer(i * i) for i, T in enumerate(MIXED.names)}
    relations, eigenvalues = relation_names(MIXED), MIXED.eigenvalues(entries)
    X = np.vectorize({T: int(q) for T, q in entries.items()}.get)(relations)
    assert has_eigenvalues(X, eigenvalues, MIXED)
    outside = X.copy()
    outside[0, 1] = outside[1, 0] = X[0, 1] + 1
    assert not has_eigenvalues(outside, eigenvalues, MIXED)
    assert not has_eigenvalues(X * X, {A: q**2 for A, q in eigenvalues.items()}, MIXED)  # entrywise is not spectral
    assert not has_eigenvalues(X, eigenvalues | {"a": eigenvalues["a"] + 1}, MIXED)


@given(structures(), st.data())
def test_entries_and_eigenvalues_are_inverse(attributes, data):
    element = data.draw(elements(attributes))
    assert attributes.eigenvalues(attributes.entries(element)) == element
    assert attributes.entries(attributes.eigenvalues(element)) == element


@pytest.mark.parametrize(
    "formula", ["a[p] * b[q]", "a[p] / b[q] / c[r]", "(a[p] * b[q]) / c[r]", "a[p] * (b[q] / c[3])"]
)
def test_entries_and_eigenvalues_are_inverse_for_symbolic_sizes(formula):
    attributes = Attributes(formula)
    element = {A: sp.Symbol(f"q_{i}") for i, A in enumerate(attributes.names)}

    def inverse(there, back):
        return all(sp.cancel(value - element[A]) == 0 for A, value in back(there(element)).items())

    assert inverse(attributes.entries, attributes.eigenvalues)
    assert inverse(attributes.eigenvalues, attributes.entries)
    assert not inverse(attributes.eigenvalues, attributes.eigenvalues)
    assert sp.expand(sum(attributes.multiplicities.values()) - attributes.cardinality) == 0
    assert sp.expand(sum(T.valency for T in attributes.relations) - attributes.cardinality) == 0


@given(structures())
def test_symbolic_sizes_specialise_to_numbers(attributes):
    symbols = {k: sp.Symbol(f"n{i}", integer=True, positive=True) for i, k in enumerate(attributes.sizes)}
    text = str(attributes)
    for k, symbol in symbols.items():
        text = text.replace(f"{k}[{attributes.sizes[k]}]", f"{k}[{symbol}]")
    symbolic = Attributes(text)
    values = {symbol: attributes.sizes[k] for k, symbol in symbols.items()}
    assert symbolic.character_table().subs(values) == attributes.character_table()
    assert {A: m.subs(values) for A, m in symbolic.multiplicities.items()} == attributes.multiplicities
    assert [T.valency.subs(values) for T in symbolic.relations] == [T.valency for T in attributes.relations]


def unchanged_under(scaled: dict[str, np.ndarray], permutation: list[int]) -> bool:
    return all(np.array_equal(P[np.ix_(permutation, permutation)], P) for P in scaled.values())


@given(structures(), st.data())
def test_relabelling_the_values_of_an_attribute_changes_nothing(attributes, data):
    # Within each combination of what the factor is nested in, its values are renamed by a permutation of their own.
    name = data.draw(st.sampled_from(list(attributes.sizes)))
    above = attributes.named(attributes.ancestors[name])
    contexts = cells(attributes)
    renamings: dict[tuple, list[int]] = {}
    for cell in contexts:
        key = tuple(cell[k] for k in above)
        if key not in renamings:
            renamings[key] = data.draw(st.permutations(range(int(attributes.sizes[name]))))
    image = [cell | {name: renamings[tuple(cell[k] for k in above)][cell[name]]} for cell in contexts]
    assert unchanged_under(scaled_projectors(attributes), [contexts.index(cell) for cell in image])


def test_an_arbitrary_permutation_of_contexts_changes_projectors():
    scaled = scaled_projectors(MIXED)
    assert unchanged_under(scaled, list(range(12)))
    assert not unchanged_under(scaled, [2, 1, 0, *range(3, 12)])


@given(structures(), st.data())
def test_the_label_keeps_ancestral_sets(attributes, data):
    names = data.draw(st.sets(st.sampled_from(list(attributes.sizes)), min_size=1))
    if all(attributes.ancestors[k] <= names for k in names):
        kept = attributes.keep(names)
        assert kept.sizes == {k: n for k, n in attributes.sizes.items() if k in names}
        assert kept.ancestors == {k: attributes.ancestors[k] for k in kept.sizes}
        assert set(kept.names) <= set(attributes.names)
        assert attributes.keep(str(kept)) == kept
    else:
        with pytest.raises(InputError, match="^labels: .* is nested in .*, which the label drops"):
            attributes.keep(names)


def test_semantic_strata_are_what_labels_share():
    assert Attributes("a[2] * b[3]").semantic_strata() == ("a", "b")
    assert Attributes("a[2] / b[3] / c[2]").semantic_strata() == ("a", "a:b")
    assert Attributes("(a[2] * b[3]) / c[2]").semantic_strata() == ("a", "b")
    assert Attributes("(a[2] * b[3]) / c[2]").semantic_strata("a * b") == ("a", "b")
    assert Attributes("a[2]").semantic_strata() == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MIXED.projector("c"), "^stratum: 'c' is unknown; .* has 1, a, b, a:b, a:b:c"),
        (lambda: MIXED.character("a", "a:c"), "^relation: 'a:c' is unknown"),
        (lambda: MIXED.keep("d"), "^labels: 'd' is no attribute"),
        (lambda: MIXED.keep(""), "^labels: '' names no attributes"),
        (lambda: MIXED.keep(5), "^labels: 5 names no attributes"),
        (lambda: MIXED.keep([1]), r"^labels: \[1\] names no attributes"),
        (lambda: SYMBOLIC.projector("a"), r"a\[p\] has a symbolic size"),
        (lambda: Attributes("a[600]").projector("a"), "^projector: 600 contexts"),
        (lambda: Attributes(["a"]), "^formula: .* is not text"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
