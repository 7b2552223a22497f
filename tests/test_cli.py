"""The command line: what it prints, its exit codes, and that bad input leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ufmflow.numerics import runs
from ufmflow.numerics.runs import example_run

FLOW = Path(runs.__file__).parent / "data" / "crossed_4x6_mlp_flow"
TOML = """
[model]
attributes = "color[4] * shape[6]"
kernel = { color = 1.0, shape = 1.0, residual = 0.1 }
ridge = 1e-3
[simulate]
t = [0.0, 10.0, 1000.0]
"""


def ufmflow(*arguments, cwd=None):
    # The installed script: `python -m` would put the repository's own folder first on the path.
    command = [str(Path(sys.executable).with_name("ufmflow")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_derive_prints_text_latex_and_json():
    formula = ("derive", "color[n1] * shape[n2]", "--loss", "mse")
    assert "d/dt w_color = g_color*h_color" in ufmflow(*formula).stdout
    assert ufmflow(*formula, "--latex").stdout.startswith("\\begin{align*}")
    assert json.loads(ufmflow(*formula, "--json").stdout)["model"]["loss"] == "mse"


def test_simulate_saves_a_trajectory(tmp_path):
    (tmp_path / "config.toml").write_text(TOML)
    result = ufmflow("simulate", "config.toml", "--out", "run.zarr", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["t"] == 1000.0
    again = ufmflow("simulate", "config.toml", "--out", "run.zarr", cwd=tmp_path)
    assert again.returncode == 2 and "exists" in again.stderr


def test_forecast_and_crosscheck_print_the_promised_numbers(tmp_path):
    timeline = json.loads(ufmflow("forecast", FLOW, "--level", "modes", "--json").stdout)
    assert len(timeline["timeline"]) == len(example_run().time)
    result = ufmflow("crosscheck", FLOW, "--json", "--out", tmp_path / "report")
    assert result.returncode == 0, result.stderr
    check = json.loads(result.stdout)
    assert check["designated"] == "flow_deep"
    assert check["share_rmse_mean"] == check["forecasts"]["flow_deep"]["share_rmse_mean"] <= 0.006
    assert set(check["forecasts"]) == {"modes", "flow", "map", "flow_deep", "map_deep"}
    assert check == json.loads((tmp_path / "report" / "check.json").read_text())


def test_gram_reads_npy_and_npz(tmp_path):
    run = example_run()
    np.save(tmp_path / "H.npy", run.data["H"].values[-1])
    np.savez(tmp_path / "both.npz", H=run.data["H"].values[-1], W=run.data["W"].values[-1])
    table = f"{FLOW}.attributes.csv"
    alone = json.loads(ufmflow("gram", tmp_path / "H.npy", "--attributes", table, "--json").stdout)
    both = json.loads(ufmflow("gram", tmp_path / "both.npz", "--attributes", table, "--json").stdout)
    assert alone["strata"] == both["strata"] and alone["nc3"] is None and both["nc3"] > 0


def test_prove_one_theorem_and_refuse_an_unknown_one():
    result = ufmflow("prove", "balanced_mse_is_logistic", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)[0]["status"] == "proved"
    assert ufmflow("prove", "no_such_theorem").returncode == 2


def test_train_several_seeds_and_estimate_their_cost(tmp_path):
    pytest.importorskip("torch")
    small = ("train", "frames", "--width", 8, "--features", 8, "--steps", 12, "--snapshots", 3, "--seeds", "0,2-3")
    cost = json.loads(ufmflow(*small, "--dry-run", "--json", cwd=tmp_path).stdout)
    assert cost["contexts"] == 36 and cost["seconds"] > 0 and list(tmp_path.iterdir()) == []
    assert "3 runs: about" in ufmflow(*small, "--dry-run").stdout
    result = ufmflow(*small, "--out", "run", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [run["out"] for run in json.loads(result.stdout)] == ["run-seed0.npz", "run-seed2.npz", "run-seed3.npz"]
    assert json.loads(result.stdout)[1]["seed"] == 2
    again = ufmflow(*small, "--out", "run", "--lr", 0.5, cwd=tmp_path)
    assert again.returncode == 2 and "lr is 0.005 there and 0.5 here" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("derive", "color[4"), "position 6"),
        (("derive", "color[1]"), "at least 2 values"),
        (("derive", "a[2]*b[3]", "--kernel", "a=1,c=2"), "'c' is no attribute"),
        (("derive", "a[2]*b[3]", "--kernel", "a"), "name=number"),
        (("derive", "a[2]*b[3]", "--ridge", "much"), "is no number"),
        (("derive", "a[2]*b[3]", "--loss", "hinge"), "choose one of"),
        (("derive", "a[2]*b[3]", "--latex", "--json"), "choose one"),
        (("simulate", "missing.toml", "--out", "x.zarr"), "cannot read"),
        (("forecast", "missing"), "no recorded run"),
        (("forecast", FLOW, "--level", "best"), "choose one of"),
        (("crosscheck", "missing", "--out", "report"), "no recorded run"),
        (("gram", "missing.npy", "--attributes", f"{FLOW}.attributes.csv"), "cannot read"),
        (("gram", f"{FLOW}.npz", "--attributes", f"{FLOW}.attributes.csv"), "rows of numbers"),
        (("train", "animals", "--out", "run"), "setting"),
        (("train", "objects"), "--out: it is missing"),
        (("train", "objects", "--seeds", "3-1", "--out", "run"), "--seeds: '3-1' is no list of whole numbers"),
        (("train", "objects", "--seeds", "0-99999", "--out", "run"), "more than 10000"),
        (("train", "objects", "--seeds", "1,1", "--out", "run"), "each once"),
        (("train", "objects", "--seed", "1", "--seeds", "1-2", "--out", "run"), "choose one"),
        (("train", "objects", "--betas", "0.9;0.9", "--out", "run"), "--betas: '0.9;0.9' is no list of numbers"),
        (("train", "objects", "--batch", "25", "--dry-run"), "batch: 25"),
    ],
)
def test_bad_input_is_one_sentence_exit_code_2_and_no_output(arguments, words, tmp_path):
    if arguments[0] == "train":
        pytest.importorskip("torch")
    result = ufmflow(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == "" and list(tmp_path.iterdir()) == []


def test_an_unconfirmed_forecast_exits_with_1(tmp_path):
    """Losses twice as large are another run's: no forecast may confirm it."""
    for suffix in (".attributes.csv", ".json"):
        (tmp_path / f"other{suffix}").write_bytes(Path(f"{FLOW}{suffix}").read_bytes())
    with np.load(f"{FLOW}.npz") as arrays:
        np.savez(tmp_path / "other.npz", **{**arrays, "loss": 2 * arrays["loss"]})
    result = ufmflow("crosscheck", tmp_path / "other")
    assert result.returncode == 1 and "not confirmed" in result.stdout
