"""Every counterexample is exact, breaks a hypothesis that its theorem states, and cannot be had by accident."""

import pytest

from ufmflow.proofs.certificates import counterexample, counterexample_names, theorem
from ufmflow.proofs.checker import failure
from ufmflow.theory.errors import InputError


@pytest.mark.parametrize("name", counterexample_names())
def test_counterexample(name):
    found = counterexample(name)
    assert found.name == name and found.statement
    assert failure(found.proof) is None
    assert bool(found.without) != bool(found.against)
    if found.without:
        assert found.without in theorem(found.theorem).hypotheses


def test_unknown_counterexample():
    with pytest.raises(InputError, match="'nothing' is unknown"):
        counterexample("nothing")
