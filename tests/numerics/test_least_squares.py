"""Least-squares strata: exact in complete balanced tables, and elsewhere what regression says, departure and all."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ufmflow.numerics.contexts import Contexts
from ufmflow.numerics.least_squares import WITHIN, observe_unbalanced
from ufmflow.numerics.observe import observe
from ufmflow.proofs.strategies import structures
from ufmflow.theory.errors import InputError

from .explicit import normal


def table_of(structure):
    table = Contexts.of(structure, None, np.arange(int(structure.cardinality))).table
    return {name: values for name, values in table.items() if name != "label"}


def crossed(*sizes, drop=()):
    cells = [cell for i, cell in enumerate(itertools.product(*map(range, sizes))) if i not in drop]
    return {f"a{k}": [cell[k] for cell in cells] for k in range(len(sizes))}


@given(structures(), st.integers(1, 3), st.randoms())
def test_complete_balanced_tables_have_the_exact_strata(structure, repeated, random):
    """Projections of at most 100 rows onto orthonormal bases: rounding is some 1e-14 of |x|^2; 1e-10 is far above."""
    m = int(structure.cardinality)
    H = normal(0, 2, m, 3)
    exact = observe(H, None, None, structure)
    order = [i for i in range(m) for _ in range(repeated)]
    random.shuffle(order)
    table = {name: [values[i] for i in order] for name, values in table_of(structure).items()}
    found = observe_unbalanced(H[:, order], table, str(structure))
    strata = list(structure.names)
    data = found.data.sel(stratum=strata)
    for name in ("energy", "energy_alone", "energy_adjusted"):
        # Repetitions repeat the rows of H: energies grow with them, shares do not.
        assert np.abs(data[name].values - repeated * exact.data["h"].values ** 2).max() < 1e-10 * repeated * m
    assert np.abs(data["share"].values - exact.data["share_H"].values).max() < 1e-10
    assert data["multiplicity"].values.tolist() == [int(s.multiplicity) for s in structure.strata]
    assert found.departure < 1e-10 and not found.confounded and found.replicates == (repeated, repeated)
    assert (WITHIN in found.data["stratum"]) == (repeated > 1)
    if repeated == 1:
        np.testing.assert_allclose(found.data["semantic_index"], exact.data["semantic_index"], atol=1e-10)


@given(st.integers(2, 4), st.integers(2, 4), st.data())
def test_incomplete_tables_agree_with_regression(p, q, data):
    """Sums of squares from residuals of least-squares fits, a route without bases."""
    drop = data.draw(st.sets(st.integers(0, p * q - 1), max_size=p * q - 3))
    table = crossed(p, q, drop=drop)
    if min(len(set(values)) for values in table.values()) < 2:
        return
    n = len(table["a0"])
    weights = np.array(data.draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=n, max_size=n)))
    x = normal(1, n, 2)
    found = observe_unbalanced(x, table, "a0 * a1", weights=weights)

    def left(*columns):
        design = np.column_stack([np.equal.outer(table[c], sorted(set(table[c]))) for c in columns] or [np.ones(n)])
        root = np.sqrt(weights)[:, None]
        fit = np.linalg.lstsq(design * root, x * root, rcond=1e-10)[0]
        return float((weights[:, None] * (x - design @ fit) ** 2).sum())

    def energies(variable):
        values = found.data[variable].isel(time=0)
        rank = found.data["multiplicity"]
        return {A: float(values.sel(stratum=A) * rank.sel(stratum=A)) for A in ("a0", "a1", "a0:a1")}

    total = left()
    # lstsq and projections differ by rounding times the condition of at most 16 rows: 1e-9 is generous.
    assert energies("energy") == pytest.approx(
        {"a0": total - left("a0"), "a1": left("a0") - left("a0", "a1"), "a0:a1": left("a0", "a1")}, abs=1e-9
    )
    ones = {c: np.equal.outer(table[c], sorted(set(table[c]))).astype(float) for c in table}
    for name, other in (("a0", "a1"), ("a1", "a0")):
        dim = np.linalg.matrix_rank(np.hstack([ones[name], ones[other]])) - np.linalg.matrix_rank(ones[other])
        adjusted = float(found.data["energy_adjusted"].isel(time=0).sel(stratum=name)) * max(dim, 1)
        assert adjusted == pytest.approx(left(other) - left("a0", "a1"), abs=1e-9)
        alone = float(found.data["energy_alone"].isel(time=0).sel(stratum=name)) * (len(set(table[name])) - 1)
        assert alone == pytest.approx(total - left(name), abs=1e-9)


def test_the_overlap_is_the_efficiency_of_two_attributes():
    """2 x 2 with cells of 1, 2, 2, 1 rows: the correlation of the attributes' columns is 1/3."""
    table = {"a": [0, 0, 0, 1, 1, 1], "b": [0, 1, 1, 0, 0, 1]}
    found = observe_unbalanced(normal(0, 6, 2), table, "a * b")
    assert float(found.data["overlap"].sel(stratum="a", other_stratum="b")) == pytest.approx(1 / 3, abs=1e-12)
    assert str(found) == "4 of 4 combinations, each 1 to 2 times; a and b overlap by 0.33"
    mended = observe_unbalanced(normal(0, 6, 2), table, "a * b", weights=[2, 1, 1, 1, 1, 2])
    assert mended.departure < 1e-12 and "the strata are orthogonal" in str(mended)


def test_energies_add_up_and_the_plain_projectors_do_not_apply():
    """Control: taking the rows for a complete design's gives other shares."""
    table, full = crossed(3, 4, drop=(2, 7)), crossed(3, 4)
    H = normal(5, 10, 3)
    found = observe_unbalanced(H, table, "a0 * a1")
    data = found.data.isel(time=0)
    assert float((data["energy"] * data["multiplicity"]).sum()) == pytest.approx(float((H**2).sum()), rel=1e-12)
    assert found.departure > 0.1 and found.cells == 10 and found.combinations == 12
    filled = np.insert(H, [2, 6], 0.0, axis=0)  # missing cells as zeros
    wrong = observe_unbalanced(filled, full, "a0 * a1").data["share"].values
    assert np.abs(wrong - data["share"].values).max() > 0.01


def test_effects_are_found_in_the_stratum_they_were_put_in():
    table = crossed(4, 5, drop=(0, 6, 13))
    a0 = np.array(table["a0"])
    H = np.eye(4)[a0]
    data = observe_unbalanced(H, table, "a0 * a1").data
    for name in ("energy", "energy_adjusted"):
        values = data[name].isel(time=0)
        assert float(values.sel(stratum="a1")) < 1e-20 * float(values.sel(stratum="a0"))
    # Control: alone, a1 is credited with what it shares with a0.
    assert float(data["energy_alone"].isel(time=0).sel(stratum="a1")) > 1e-3


def test_confounded_strata_and_nesting():
    found = observe_unbalanced(np.eye(3), {"a": [0, 0, 1], "b": [0, 1, 0]}, "a * b")
    assert found.confounded == ("a:b",) and found.departure == pytest.approx(0.5, abs=1e-12)
    unequal = {"k": list("xxxxx"[:3] + "yy"), "g": list("pqrst")}
    nested = observe_unbalanced(normal(0, 5, 2), unequal)
    assert nested.data["multiplicity"].values.tolist() == [1, 1, 3] and nested.departure < 1e-12


def test_partial_attributes_are_refused_or_left_out_and_reported():
    table = {"a": ["x", "x", "y", "y", ""], "b": ["p", "q", "p", "q", "p"]}
    H = normal(0, 5, 2)
    with pytest.raises(InputError, match="^table: column 'a' has no value in row 5"):
        observe_unbalanced(H, table)
    found = observe_unbalanced(H, table, missing="drop")
    assert found.left_out == 1 and "1 rows left out" in str(found)
    np.testing.assert_array_equal(
        found.data["share"], observe_unbalanced(H[:4], {k: v[:4] for k, v in table.items()}).data["share"]
    )


TABLE = {"a": [0, 0, 1], "b": [0, 1, 0]}
BAD = {
    "rows": (dict(H=np.eye(4)), "^H: shape"),
    "NaN": (dict(H=np.full((3, 1), np.nan)), "^H: NaN"),
    "text": (dict(H=[["x"]] * 3), "^H: it is no numeric"),
    "weights": (dict(weights=[1, 0, 1]), "^weights: "),
    "few weights": (dict(weights=[1, 1]), "^weights: "),
    "wild weights": (dict(weights=[1, 1e7, 1]), "^weights: "),
    "time": (dict(time=[0, 1]), "^time: "),
    "missing": (dict(missing="guess"), "^missing: 'guess'"),
    "one value": (dict(table={"a": [0, 0, 0], "b": [0, 1, 2]}), "^table: column 'a' has one value"),
    "formula": (dict(formula="a * c"), "^formula: attribute"),
    "all empty": (dict(table={"a": [None] * 3, "b": [0, 1, 2]}, missing="drop"), "^table: every row"),
    "large": (dict(table={"a": list(range(4097)), "b": [0, 1] * 2048 + [0]}, H=np.ones((4097, 1))), "^table: 4097"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_in_one_sentence(case):
    options, message = BAD[case]
    options = {"H": np.eye(3), "table": TABLE, "formula": "a * b"} | options
    with pytest.raises(InputError, match=message) as caught:
        observe_unbalanced(**options)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
