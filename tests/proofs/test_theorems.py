"""Every theorem is proved, and each of its wrong variants is refuted; `prove` says what fails and why."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sympy as sp

from ufmflow.proofs import certificates
from ufmflow.proofs.certificates import prove, theorem, theorem_names
from ufmflow.proofs.pages import index_page
from ufmflow.proofs.steps import Identity
from ufmflow.theory.errors import InputError

BUDGET = 300  # seconds for all theorems on 2 cores


@pytest.fixture(scope="module")
def proved():
    """The certificates of all theorems, made in one run so that shared ones are checked once."""
    return {certificate.name: certificate for certificate in prove()}


@pytest.mark.parametrize("name", theorem_names())
def test_theorem_is_proved_and_its_mutations_are_refuted(name, proved):
    certificate = proved[name]
    assert certificate.reason == ""
    assert certificate.status == "proved"
    assert certificate.steps
    assert certificate.mutations_rejected == certificate.mutations >= 2


@pytest.mark.parametrize("name", theorem_names())
def test_theorem_is_stated(name):
    stated = theorem(name)
    assert stated.name == name
    assert stated.statement and stated.scope and stated.claims
    assert stated.setting or stated.hypotheses
    assert not set(stated.setting) & set(stated.hypotheses)
    assert stated.statement.count("$") % 2 == 0
    assert set(stated.uses) <= set(theorem_names())


def test_the_page_of_the_docs_is_the_index():
    written = (Path(__file__).resolve().parents[2] / "docs" / "theorems.md").read_text(encoding="utf-8")
    assert written == index_page(), "write it again: ufmflow prove --index docs/theorems.md"


def test_all_within_the_budget(proved):
    assert sum(certificate.seconds for certificate in proved.values()) < BUDGET


def test_progress_and_json():
    seen = []
    name = "balanced_mse_is_logistic"
    (certificate,) = prove([name], progress=lambda c, done, total: seen.append((c.name, done, total)))
    assert seen == [(name, 1, 1)]
    written = json.loads(json.dumps(certificate.to_dict()))
    assert written["status"] == "proved" and written["steps"][0].keys() == {"kind", "says"}
    assert {"name", "status", "scope", "steps", "seconds"} <= written.keys()


def test_unknown_name():
    with pytest.raises(InputError, match="theorem: 'no_such' is unknown"):
        prove(["no_such"])


def altered(monkeypatch, **changes):
    """`prove` on the logistic theorem with parts of it replaced."""
    name = "balanced_mse_is_logistic"
    changed = replace(theorem(name), **changes)
    monkeypatch.setattr(certificates, "theorem", lambda _: changed)
    (certificate,) = prove(name)
    return certificate


def test_a_false_step_fails_the_theorem(monkeypatch):
    x = sp.Symbol("x")
    certificate = altered(monkeypatch, proof=(Identity("wrong", x, x + 1),))
    assert certificate.status == "failed" and "refuted" in certificate.reason


def test_an_undecided_step_fails_the_theorem(monkeypatch):
    x = sp.Symbol("x", real=True)
    certificate = altered(
        monkeypatch, proof=(Identity("absolute value", sp.Abs(x), sp.sqrt(x**2)), Identity("max", sp.Max(x, 1), x))
    )
    assert certificate.status == "failed" and "undecided" in certificate.reason


def test_a_theorem_without_steps_fails(monkeypatch):
    assert altered(monkeypatch, proof=()).reason == "the proof has no steps"


def test_a_true_mutation_fails_the_theorem(monkeypatch):
    stated = theorem("balanced_mse_is_logistic")
    certificate = altered(monkeypatch, mutations={"no mutation at all": stated.proof})
    assert certificate.status == "failed" and "was not refuted" in certificate.reason


def test_an_undecided_mutation_is_no_refutation(monkeypatch):
    x = sp.Symbol("x", real=True)
    certificate = altered(monkeypatch, mutations={"undecidable": (Identity("max", sp.Max(x, 1), x),)})
    assert certificate.mutations_rejected == 0 and certificate.status == "failed"


def test_a_theorem_falls_with_one_that_it_uses(monkeypatch):
    broken = replace(theorem("matrix_flow_reduces_to_the_mode_equations"), proof=(), uses=())
    real = theorem
    monkeypatch.setattr(certificates, "theorem", lambda name: broken if name == broken.name else real(name))
    (certificate,) = prove("ridge_fixed_points_drop_the_kernels")
    assert certificate.status == "failed" and broken.name in certificate.reason
