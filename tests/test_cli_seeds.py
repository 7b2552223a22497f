"""The command line on several runs, on checkpoints, and on horizons: what it prints and how it exits."""

import json

import pytest

from ufmflow.numerics.runs import load_run

from .test_cli import FLOW, ufmflow

SMALL = {"formula": "color[2] * shape[3]", "width": 64, "features": 16, "steps": 1500, "lr": 0.05, "snapshots": 24}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    pytest.importorskip("torch")
    from ufmflow.numerics.train import train_seeds

    return train_seeds("objects", tmp_path_factory.mktemp("runs") / "tiny", [0, 1], kernels=4, **SMALL)


def test_seeds_are_held_together(paths, tmp_path):
    result = ufmflow("crosscheck", *paths, "--no-gates", "--out", tmp_path / "report", "--json")
    found = json.loads(result.stdout)
    assert result.returncode == (0 if found["confirmed"] else 1)
    assert [run["run"] for run in found["runs"]] == ["tiny-seed0", "tiny-seed1"]
    assert found == json.loads((tmp_path / "report" / "bands.json").read_text())
    assert (tmp_path / "report" / "tiny-seed1" / "index.html").exists()


def test_a_run_goes_on_from_a_checkpoint(paths):
    step = load_run(paths[0]).checkpoints()[1]
    found = json.loads(ufmflow("crosscheck", paths[0], "--from-step", step, "--no-gates", "--json").stdout)
    assert found["from_step"] == step and found["time"][0] == 0
    timeline = json.loads(ufmflow("forecast", paths[0], "--from-step", step, "--level", "map", "--json").stdout)
    assert timeline["timeline"][0]["step"] == step and timeline["timeline"][0]["time"] == 0


def test_the_horizon_is_printed(paths):
    found = json.loads(ufmflow("crosscheck", paths[0], "--horizon", "--no-gates", "--json").stdout)
    assert [row["from_step"] for row in found["horizon"]] == list(load_run(paths[0]).checkpoints())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("crosscheck", FLOW, FLOW), "are the same run"),
        (("crosscheck", FLOW, "--from-step", "7"), "choose one of 0"),
        (("crosscheck", FLOW, "--horizon", "--from-step", "0"), "--horizon: it takes one run"),
        (("crosscheck", FLOW, "--horizon", "--out", "report"), "train with --kernels"),
        (("forecast", FLOW, "--from-step", "7"), "choose one of 0"),
        (("reproduce", "--quick", "--seeds", "0-1"), "--quick, --seeds: the shipped run has its own seed"),
        (("reproduce", "--seeds", "1-0"), "--seeds: '1-0' is no list of whole numbers"),
    ],
)
def test_bad_input_is_one_sentence_exit_code_2_and_no_output(arguments, words, tmp_path):
    result = ufmflow(*arguments, cwd=tmp_path)
    assert result.returncode == 2 and words in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == "" and list(tmp_path.iterdir()) == []
