"""docs/benchmarks.md is what benchmarks/tables.py makes of the results, and says of each that is missing that it is."""

import copy
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
UNMEASURED = "not yet measured"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("tables")


@pytest.fixture
def targets(tables):
    return importlib.import_module("speed_targets")


def test_the_page_is_made_of_the_results(tables):
    results = tables.load()
    assert tables.page(results) + "\n" == PAGE, "make it anew: python benchmarks/tables.py --write"
    # Results of which one number is another, or is not there, no longer fit the page.
    for change in (lambda rows: rows[0].update(recording=9.99), lambda rows: rows.pop()):
        other = copy.deepcopy(results)
        change(other["recording_cost"]["rows"])
        assert tables.page(other) + "\n" != PAGE


def test_what_has_no_result_is_said_not_to_be_measured_with_its_command(tables, targets):
    results = tables.load()
    bare = tables.page({})
    assert bare.count(UNMEASURED) == len(targets.all_targets({})) + len(tables.SECTIONS)
    for title, name, _ in tables.SECTIONS:
        marked = f"## {title}\n\n**{UNMEASURED}**: `{targets.COMMANDS[name]}`"
        assert marked in bare and (marked in PAGE) is (name not in results)
    # Parts that a result may lack.
    del results["ensembles"]["labels"]
    results["work_precision"].pop("256_labels", None)
    results["full_flow"]["rows"] = [r for r in results["full_flow"]["rows"] if r["case"] == "S"]
    page = tables.page(results)
    assert f"## Any number of labels\n\n**{UNMEASURED}**" in page
    for case in ("L", "ridge", "256 labels", "S"):
        (line,) = [line for line in page.splitlines() if line.startswith(f"**{case}")]
        assert (UNMEASURED in line) is (case != "S")


def test_memory_of_the_largest_flow_is_held_to_its_target(tables):
    result = {"V": 131072, "m": 131072, "d": 256, "chunks": 256, "peak_gib": 5.0, "estimated_gib": 4.5}
    assert "8 GiB, met" in " ".join(tables.largest_flow(result))
    assert "8 GiB, **missed**" in " ".join(tables.largest_flow(result | {"peak_gib": 8.1}))


def rows_of(ratio, error, evaluations, peer_error=3e-7):
    """A result of the full flow with one row of ours, and one of a peer's with 250 evaluations."""
    row = {"case": "L", "floor_ms": 40.0, "cpu_s": 10.0, "peak_mb": 60.0}
    peer = row | {"method": "scipy RK45", "times_floor": 1.24, "evaluations": 250, "error": peer_error}
    ours = row | {"method": "ours dp5 1e-5", "times_floor": ratio, "evaluations": evaluations, "error": error}
    return {"full_flow": {"rows": [ours, peer]}}


@pytest.mark.parametrize(
    ("ratio", "error", "evaluations", "met"),
    [
        (1.10, 2e-7, 250, True),
        (1.20, 2e-7, 250, False),  # too slow
        (1.10, 4e-7, 250, False),  # less accurate than the peer
        (1.10, 2e-7, 251, False),  # more evaluations
    ],
)
def test_a_target_is_met_by_time_evaluations_and_error_together(targets, ratio, error, evaluations, met):
    found = targets.full_flow(rows_of(ratio, error, evaluations), "L", 1.15, fewest=True)
    assert found.met is met and bool(found.why) is not met


def test_every_other_target_can_be_met_and_missed(targets):
    loss = lambda ms, mb: {
        "loss_gradients": {"rows": [
            {"method": "torch chunked", "cpu_ms": 900.0, "times_floor": 1.5, "floor_ms": 600.0, "peak_mb": 200.0},
            {"method": "ours chosen", "cpu_ms": ms, "times_floor": ms / 600, "floor_ms": 600.0, "peak_mb": mb, "rows": 1024},
        ]}
    }  # fmt: skip
    assert [targets.loss_gradients(loss(*x)).met for x in ((700, 70), (800, 70), (700, 90))] == [True, False, False]
    member = lambda engine, us, error: {"engine": engine, "rtol": 1e-6, "microseconds": us, "error_max": error}
    both = lambda us, error: {
        "ensembles": {"members": [member("ufmflow native", us, error), member("heyoka batch 8", 23.0, 1e-8)]}
    }
    assert [targets.ensembles(both(*x)).met for x in ((19, 1e-8), (21, 1e-8), (19, 2e-8))] == [True, False, False]
    steps = lambda ratio, us: {
        "ensembles": {"labels": {"rows": [{"microseconds": 5.0}, {"microseconds": us}], "ratio_of_a_step": ratio}}
    }
    assert targets.labels(steps(1.02, 5.1)).met is True and targets.labels(steps(1.06, 5.1)).met is False
    assert targets.labels(steps(1.02, 6.0)).met not in (True, False)
    settled = lambda count, error: {
        "work_precision": {"256_labels": [{"method": "auto", "rtol": 1e-3, "evaluations": count, "error": error}]}
    }
    assert [targets.ridge(settled(*x)).met for x in ((1400, 9e-7), (1600, 9e-7), (1400, 2e-6))] == [True, False, False]
    gpu = lambda seconds, ratio: {
        "gpu": {"rows": [
            {"case": "large", "floor_ms": 3.5, "evaluations": 250, "solution_s": seconds, "recorded_solution_s": seconds,
             "solution_times_floor": ratio, "recorded_solution_times_floor": ratio},
            {"case": "large", "method": "diffrax Tsit5", "solution_s": 1.3, "evaluations": 250},
        ]}
    }  # fmt: skip
    assert [targets.full_flow_gpu(gpu(*x)).met for x in ((1, 1.1), (1.1, 1.1), (1, 1.2))] == [True, False, False]
    many = lambda us, peer_us: {
        "ensembles_gpu": {"members": [member("ufmflow cuda", us, 1e-7), member("diffrax vmap Tsit5", peer_us, 1e-7)]}
    }
    assert [targets.ensembles_gpu(many(*x)).met for x in ((0.1, 6), (0.3, 60), (0.1, 4))] == [True, False, False]
