"""Every counterexample is exact and breaks a stated hypothesis; every hypothesis has one, or is said to be open."""

from dataclasses import replace

import pytest

from ufmflow.proofs.certificates import (
    counterexample,
    counterexample_names,
    counterexamples_without,
    theorem,
    theorem_names,
)
from ufmflow.proofs.checker import Counterexample, Theorem, failure
from ufmflow.theory.errors import InputError


@pytest.mark.parametrize("name", counterexample_names())
def test_counterexample(name):
    found = counterexample(name)
    assert found.name == name and found.statement
    assert failure(found.proof) is None
    assert bool(found.without) != bool(found.against)
    assert found.breaks or found.against


@pytest.mark.parametrize("name", counterexample_names())
def test_counterexample_breaks_what_is_stated(name):
    assert unknown(counterexample(name)) == ()


@pytest.mark.parametrize("name", theorem_names())
def test_every_hypothesis_has_a_counterexample_or_is_open(name):
    assert unsettled(theorem(name), counterexamples_without(name)) == ()


def test_an_unknown_or_repeated_hypothesis_is_noticed():
    found = counterexample("ridge_breaks_conservation")
    assert unknown(replace(found, without="no rigde")) == ((found.theorem, "no rigde"),)
    pair = ("balanced_mse_is_logistic", "squared error")  # of the setting
    assert unknown(replace(found, also=(pair,))) == (pair,)
    pair = (found.theorem, found.without)
    assert unknown(replace(found, also=(pair,))) == (pair,)


def test_a_hypothesis_that_is_neither_needed_nor_open_is_noticed():
    stated = theorem("balanced_mse_is_logistic")
    kept = counterexamples_without(stated.name)
    added = replace(stated, hypotheses=(*stated.hypotheses, "an even number of strata"))
    assert unsettled(added, kept) == ("an even number of strata",)
    assert unsettled(replace(added, open_hypotheses=("an even number of strata",)), kept) == ()
    assert unsettled(replace(stated, open_hypotheses=("balanced start",)), kept) == ("balanced start",)
    assert unsettled(replace(stated, open_hypotheses=("no such",)), kept) == ("no such",)


def test_unknown_counterexample():
    with pytest.raises(InputError, match="'nothing' is unknown"):
        counterexample("nothing")


def unknown(found: Counterexample) -> tuple[tuple[str, str], ...]:
    """What a counterexample breaks that no theorem assumes, or names twice."""
    broken = found.breaks
    return tuple(p for i, p in enumerate(broken) if p[1] not in theorem(p[0]).hypotheses or p in broken[:i])


def unsettled(stated: Theorem, kept: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Hypotheses that are neither needed nor open, or both; and open ones that are not stated."""
    open_ones = stated.open_hypotheses
    both_or_neither = (h for h in stated.hypotheses if bool(kept.get(h)) == (h in open_ones))
    return (*both_or_neither, *(h for h in open_ones if h not in stated.hypotheses))
