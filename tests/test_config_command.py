"""`ufmflow config`: examples that parse, hold every key and run; errors with the file's line, key and closest match."""

import json
import re
import tomllib

import pytest
from ufmflow.numerics.config import MODEL_KEYS, SIMULATE_KEYS, SWEEP_KEYS, model_of, read_config
from ufmflow.numerics.config_check import KINDS, check_config, example_config
from ufmflow.numerics.config_lines import MOST_LINES, line_of, subject
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.errors import InputError

GOOD = """[model]
attributes = "color[4] * shape[6]"
ridge = 1e-3

[simulate]
t = [
  0.0,
  10.0,
]
init = 1e-3
"""


def uncommented(text):
    """Each line that is another choice, as it reads without its #."""
    return re.findall(r"^# ([a-z_]+ = [^#]*?)\s*(?:#.*)?$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "train"])
def test_examples_are_valid(command, tmp_path, kind):
    code, out, _ = command("config", "--example", kind)
    assert code == 0
    (tmp_path / "config.toml").write_text(out)
    code, out, _ = command("config", "--check", tmp_path / "config.toml", "--json")
    assert code == 0 and json.loads(out)["verb"] == kind


def test_the_example_of_a_simulation_runs(tmp_path):
    (tmp_path / "config.toml").write_text(example_config("simulate"))
    model, arguments = read_config(tmp_path / "config.toml")
    assert simulate(model, **arguments).window().height > 0.5


def test_the_example_of_a_sweep_runs(tmp_path):
    from ufmflow.numerics.sweep import sweep

    text = example_config("sweep").replace("count = 3", "count = 2").replace("count = 4", "count = 1")
    (tmp_path / "config.toml").write_text(text)
    assert sweep(tmp_path / "config.toml")["window_height"].size == 6


def test_examples_have_every_key():
    simulated = example_config("simulate")
    keys = {line.split(" = ")[0] for line in re.findall(r"^(?:# )?[a-z_]+ = ", simulated, flags=re.MULTILINE)}
    assert {key.removeprefix("# ") for key in keys} == {*MODEL_KEYS, *SIMULATE_KEYS}
    assert set(SWEEP_KEYS) <= set(re.findall(r"[a-z]+", example_config("sweep")))


@pytest.mark.parametrize("line", uncommented(example_config("simulate")))
def test_other_choices_of_the_example_are_valid(line):
    key, value = next(iter(tomllib.loads(line).items()))
    if key not in MODEL_KEYS:
        return
    alone = {"cooccurrence": ("targets",), "feature_kernel": ("kernel",)}.get(key, ())
    table = {k: v for k, v in tomllib.loads(example_config("simulate"))["model"].items() if k not in alone}
    if key == "targets":
        table["loss"] = "mse"
    assert model_of(table | {key: value})


def test_the_example_of_a_training_is_valid_and_has_every_option(tmp_path):
    pytest.importorskip("torch")
    from inspect import signature

    from ufmflow.numerics.plan import Plan

    text = example_config("train")
    (tmp_path / "train.toml").write_text(text)
    assert check_config(tmp_path / "train.toml") == ("train", {"steps": 40_000})
    keys = {key for key in re.findall(r"^(?:# )?([a-z_]+) = ", text, flags=re.MULTILINE)}
    assert keys == {*signature(Plan.__init__).parameters} - {"self", "setting"}
    assert Plan("objects", **tomllib.loads(text)["train"]).describe() == Plan("objects").describe()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD.replace("ridge", "rigde"), 3, "no key 'rigde', perhaps 'ridge' is meant; its keys are"),
        (GOOD.replace("ridge = 1e-3", "ridge = -1"), 3, "ridge"),
        (GOOD.replace("ridge = 1e-3", 'constraint = "spheer"'), 3, "perhaps 'sphere' is meant; choose one of free"),
        (GOOD.replace("ridge = 1e-3", "kernel = { size = 1 }"), 3, "'size' is no attribute"),
        (GOOD.replace('"color[4] * shape[6]"', '"color[4"'), 2, "position"),
        (GOOD.replace("10.0", "-1.0"), 6, "t:"),
        (GOOD.replace("init", "int"), 10, "perhaps 'init' is meant"),
        (GOOD.replace("init = 1e-3", "rtol = 0"), 10, "rtol"),
        (GOOD.replace("[simulate]", "[simulat]"), None, "has no [simulate] table"),
        (GOOD + "[sweep.grid]\nrigde = [1, 2]\n", 12, "perhaps 'ridge' is meant"),
        (GOOD + "[sweep.grid]\nloss = ['mse', 'hinge']\n", 12, "'hinge' is unknown"),
        (GOOD + "[sweep.grid]\nridge = [1, 1]\n", "3 or 12", "a value is there twice"),
        (GOOD + "[sweep.random]\ncont = 3\n[sweep.random.values]\nridge = [1, 2]\n", 12, "perhaps 'count' is meant"),
        (GOOD + "ridge = = 1\n", 11, "no valid TOML"),
    ],
)
def test_errors_name_line_key_and_closest_match(command, tmp_path, text, line, words):
    (tmp_path / "config.toml").write_text(text)
    code, out, err = command("config", "--check", tmp_path / "config.toml")
    assert code == 2 and out == "" and len(err.splitlines()) == 1
    assert words in err
    if line is not None:
        assert re.search(rf"\bline {line}\b", err)


def test_commands_name_the_line_too(command, tmp_path):
    (tmp_path / "config.toml").write_text(GOOD.replace("ridge = 1e-3", "ridge = -1"))
    for verb in ("simulate", "sweep"):
        text = GOOD.replace("ridge = 1e-3", "ridge = -1") + ("[sweep.grid]\ninit = [1, 2]\n" if verb == "sweep" else "")
        (tmp_path / "config.toml").write_text(text)
        code, _, err = command(verb, tmp_path / "config.toml", "--out", tmp_path / "out.zarr")
        assert code == 2 and "config.toml, line 3: ridge" in err
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_options_of_the_command_line_go_before_those_of_the_file(command, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "t.toml").write_text(
        '[train]\nsteps = 7\nwidth = 8\nfeatures = 4\nbetas = [0.9, 0.99]\noptimizer = "adamw"\n'
    )
    found = command("train", "objects", "--config", tmp_path / "t.toml", "--steps", "9", "--dry-run", "--json")
    settings = json.loads(found[1])["settings"]
    assert settings["steps"] == 9 and settings["d"] == 4 and settings["betas"] == [0.9, 0.99]
    (tmp_path / "t.toml").write_text("[train]\nsteps = 7\nwidht = 8\n")
    code, _, err = command("train", "objects", "--config", tmp_path / "t.toml", "--dry-run")
    assert code == 2 and "line 3" in err and "perhaps 'width' is meant" in err
    (tmp_path / "t.toml").write_text("[train]\nsteps = 7\nwidth = 0.5\n")
    assert "line 3: width" in command("train", "objects", "--config", tmp_path / "t.toml", "--dry-run")[2]


def test_config_needs_to_know_what_to_do(command):
    assert command("config")[0] == 2
    code, _, err = command("config", "--example", "sweeep")
    assert code == 2 and "perhaps 'sweep' is meant" in err


def test_lines_of_keys_are_those_of_their_statements():
    text = '# ridge\n[a]\n"x y" = """\nridge = 1\n"""\nridge = [\n 1,\n]\n[a.b]\nridge.W = 2\n'
    assert line_of(text, ("a", "ridge")) == 6
    assert line_of(text, ("a", "x y")) == 3
    assert line_of(text, ("a", "b")) == 9 and line_of(text, ("a", "b", "ridge", "W")) == 10
    assert line_of(text, ("a", "none")) is None
    assert line_of("\n" * MOST_LINES + "x = 1\n", ("x",)) is None


def test_a_name_that_is_no_key_has_no_line():
    config = tomllib.loads(GOOD)
    assert subject("width: 0 is not a whole number.", config) == []
    assert subject("config: [simulate] needs t", config) == [("simulate",)]


def test_nothing_is_guessed_of_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="^config: cannot read"):
        check_config(tmp_path / "none.toml")
