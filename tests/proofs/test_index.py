"""The index and the files hold each other: no claim, theorem or counterexample is missing from either."""

import pytest

from ufmflow.proofs.certificates import counterexample, counterexample_names, theorem, theorem_names
from ufmflow.proofs.claims import STATUSES, index

ROWS = index()


def test_all_fourteen_claims_have_rows():
    assert sorted({row.number for row in ROWS}) == list(range(1, 15))


def test_every_theorem_and_counterexample_is_in_the_index_and_back():
    assert sorted(name for row in ROWS for name in row.theorems) == list(theorem_names())
    assert sorted(name for row in ROWS for name in row.counterexamples) == list(counterexample_names())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}: {row.says}")
def test_rows_are_honest(row):
    assert row.status in STATUSES
    assert row.says
    if row.status == "open":
        assert row.note and not row.theorems
    else:
        assert row.theorems
    if row.status == "corrected":
        assert row.counterexamples and row.note
    for name in row.theorems:
        assert row.number in theorem(name).claims
    for name in row.counterexamples:
        assert counterexample(name).theorem in row.theorems
