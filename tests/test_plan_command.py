"""`ufmflow plan`: what it prints and how it exits; the page's tables are what the benchmark's results make."""

import importlib.util
import json
from pathlib import Path

import pytest

from .test_cli import FLOW, ufmflow

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("--option", "formula=color[2] * shape[3]", "--option", "features=16", "--option", "steps=80")


def test_advice_as_json():
    pytest.importorskip("torch")
    result = ufmflow("plan", "objects", *SMALL, "--goal", "semantic index >= 0.3 at loss <= 2", "--only", "body rate 0.1",
                     "--json")  # fmt: skip
    found = json.loads(result.stdout)
    assert result.returncode == (0 if found["reached"] else 1)
    assert {each["intervention"] for each in found["recommendations"]} == {"stop", "body rate 0.1"}


def test_advice_is_verified(tmp_path):
    pytest.importorskip("torch")
    result = ufmflow("plan", "objects", *SMALL, "--only", "body rate 0.1", "--verify", "--seeds", "0-1", "--out",
                     tmp_path / "runs", "--json")  # fmt: skip
    found = json.loads(result.stdout)
    held = found["verification"]
    assert held["seeds"] == [0, 1] and [each["intervention"] for each in held["verdicts"]] == ["stop", "body rate 0.1"]
    assert result.returncode == (0 if found["reached"] and held["holds"] else 1)
    assert len(list((tmp_path / "runs").glob("*.npz"))) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", FLOW, "--goal", "be good"), "'be good' is no goal"),
        (("plan", FLOW, "--goal", "permanent for size"), "choose one of a0, a1"),
        (("plan", FLOW, "--only", "magic"), "'magic' is no intervention here"),
        (("plan", FLOW, "--option", "steps=10"), "a run or a training plan has its own"),
        (("plan", FLOW, "--option", "steps"), "is no NAME=VALUE"),
        (("plan", FLOW, "--top", "2"), "--top: it goes with --verify"),
        (("plan", FLOW, "--precise"), "only its kernel is known"),
        (("plan", "nothing"), "no recorded run at 'nothing'"),
    ],
)
def test_bad_input_is_one_sentence_exit_code_2_and_no_output(arguments, words, tmp_path):
    result = ufmflow(*arguments, cwd=tmp_path)
    assert result.returncode == 2 and words in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == "" and list(tmp_path.iterdir()) == []


def test_the_pages_tables_are_those_of_the_results():
    spec = importlib.util.spec_from_file_location("plan_verified", ROOT / "benchmarks" / "plan_verified.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    result = json.loads((ROOT / "benchmarks" / "results" / "plan_verified.json").read_text())
    lines = benchmark.tables(result)
    page = (ROOT / "docs" / "plan.md").read_text()
    assert "\n".join(lines) in page
    # A result that is changed no longer fits the page.
    first = next(t for t in result["trials"] if t["achieved"])
    first["achieved"]["index_final"] += 0.3
    assert "\n".join(benchmark.tables(result)) not in page
