"""What the campaigns do at full size, small enough for every run of the suite, each with a control to be noticed."""

import copy
import importlib
import os
from random import Random

import numpy as np
import pytest

from ufmflow.theory.errors import InputError

READERS = ("formula", "toml", "csv", "json", "npz", "safetensors", "pt", "zarr", "stored", "hdf5")
FEW = {"zarr": 15, "stored": 5, "json": 25}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.filterwarnings("ignore")
def test_readers_take_any_input(reader, tmp_path, monkeypatch):
    if reader in ("pt", "safetensors"):
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)  # where a payload would leave its file
    target = importlib.import_module("fuzz_targets").TARGETS[reader]
    folder = tmp_path / "input"
    folder.mkdir()
    refused = 0
    count = FEW.get(reader, 60)
    for number in range(count):
        target.write(target.draw(Random(f"suite:{number}")), folder)
        try:
            target.read(folder)
        except InputError:
            refused += 1
    assert refused < count and os.listdir(tmp_path) == ["input"]


def test_what_a_reader_must_not_do_is_seen(tmp_path):
    campaign = importlib.import_module("fuzz_campaign")
    watch = campaign.Watch(tmp_path)
    watch.on = True
    for event, arguments in (
        ("pickle.find_class", ("io", "open")),
        ("open", ("/elsewhere/secret", "r", os.O_RDONLY)),
        ("open", (os.path.join(os.path.dirname(os.__file__), "os.py"), "w", os.O_WRONLY)),
        ("subprocess.Popen", ("sh", ["sh"], None, None)),
    ):
        watch(event, arguments)
        assert watch.seen, event
        watch.seen.clear()
    for event, arguments in (
        ("open", (str(tmp_path / "run.npz"), "r", os.O_RDONLY)),
        ("open", (os.__file__, "r", os.O_RDONLY)),
        ("pickle.find_class", ("dask._expr", "Expr")),
    ):
        watch(event, arguments)
        assert not watch.seen


def test_a_campaign_reports_what_it_meets(monkeypatch):
    """A reader that raises, one that writes elsewhere, and one that dies are found; the formula's is clean."""
    campaign = importlib.import_module("fuzz_campaign")
    clean = campaign.campaign("formula", 20)
    assert (clean["inputs"], clean["findings"], clean["accepted"] + clean["refused"]) == (20, 0, 20)
    real = campaign.subprocess.Popen
    monkeypatch.setattr(campaign.subprocess, "Popen", lambda command, **more: real(["false"], **more))
    dead = campaign.campaign("formula", 3)
    assert dead["ended"] == dead["findings"] == 3 and dead["kinds"] == {"the process ended with 1": 3}


@pytest.mark.filterwarnings("ignore")
def test_faults_in_a_simulation():
    faults = importlib.import_module("faults")
    known = faults.undisturbed_of("simulate")
    for fault in ("kill", "clock", "truncated"):
        row = faults.trial("simulate", fault, 0, *known)
        assert "problem" not in row, row
    # What ends otherwise, or does a finished piece again, is a problem.
    assert "another" in faults.trial("simulate", "kill", 0, None, *known[1:])["problem"]


def test_a_job_that_does_things_again_is_noticed(monkeypatch):
    faults = importlib.import_module("faults")

    def run(folder):
        (folder / "done").write_text(str(os.urandom(8)))

    def finished(folder):
        return {"done": faults.digest(folder / "done")} if (folder / "done").exists() else {}

    careless = faults.Job(run, lambda folder: 0, finished, faults.nothing_twice)
    monkeypatch.setitem(faults.JOBS, "careless", careless)
    row = faults.trial("careless", "clock", 0, 0, 0.1, 10**9, 0)
    assert row["problem"] == "finished and not kept: ['done']"


@pytest.mark.filterwarnings("ignore")
def test_errors_are_within_ten_tolerances():
    calibration = importlib.import_module("calibration")
    with np.errstate(all="ignore"):
        rows = [calibration.measure(calibration.draw(number)) for number in (0, 3, 4, 9, 12, 16, 18)]
        assert all(row["ratio"] <= calibration.ALLOWED for row in rows), rows
        spoiled = calibration.measure(calibration.draw(3), spoil=0.1)
    assert spoiled["ratio"] > calibration.ALLOWED


def test_numbers_at_the_edges():
    hostile = importlib.import_module("hostile")
    found = hostile.campaign(every=71, parts=(hostile.closed_forms, hostile.limits))
    found["table"] |= hostile.campaign(every=149, parts=(hostile.flows,))["table"]
    results = [cell["results"] for cell in found["table"].values()]
    assert not found["wrong"] and sum(cell["right"] for cell in results) > 15
    exact = hostile.mse(5, 1.0, 1.0, 1e-3, 2e-3, 7.0)
    assert hostile.error_of(float(exact), exact) < 1e-15 < hostile.error_of(float(exact) * (1 + 1e-12), exact)
    assert hostile.tried("a lie", {}, lambda: 1.0, 0.5)["result"] == "wrong"
    assert hostile.tried("a crash", {}, lambda: 1 / 0, 0.5)["result"] == "wrong"


def test_mutants_differ_in_one_place():
    mutants = importlib.import_module("mutants")
    source = '"""Text."""\n\nLIMIT = 3\n\ndef f(x: int = 2) -> int:\n'
    source += "    if x < LIMIT and x != 0:\n        return -x + 1\n    return x * 2.5\n"
    import ast

    count = len(mutants.sites(ast.parse(source)))
    made = {mutants.mutant(source, number)[0] for number in range(count)}
    assert len(made) == count == 12 and ast.unparse(ast.parse(source)) not in made
    for text in made:
        compile(text, "f", "exec")


def test_the_page_is_made_of_the_results():
    trust_page = importlib.import_module("trust_page")
    results = trust_page.load()
    assert trust_page.page(results) == trust_page.PAGE.read_text(encoding="utf-8"), "python tests/trust/run.py --page"
    other = copy.deepcopy(results)
    next(iter(other["fuzz"]["targets"].values()))["inputs"] += 1
    assert trust_page.page(other) != trust_page.page(results)


def test_results_of_the_campaigns_hold_no_problem():
    results = importlib.import_module("trust_page").load()
    assert not [t for t in results["fuzz"]["targets"].values() if t["findings"]]
    for name, key in (("faults", "problems"), ("hostile", "wrong"), ("calibration", "missed"), ("soak", "problems")):
        assert not results.get(name, {}).get(key), name


def test_every_survivor_is_explained():
    mutants, page = importlib.import_module("mutants"), importlib.import_module("trust_page")
    survivors = [row for row in page.load().get("mutants", {}).get("mutants", []) if row["ended"] == "passed"]
    assert not [row for row in survivors if mutants.explained(row) is None]


@pytest.mark.slow
def test_a_minute_of_soak():
    found = importlib.import_module("soak").campaign(1.0)
    assert found["begun"] and not found["problems"]
