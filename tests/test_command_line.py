"""What all verbs have in common: help with examples, --json alone on stdout, --quiet, names of options, exit codes."""

import json
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from ufmflow import cli, numerics
from ufmflow.cli import app

RUN = Path(numerics.__file__).parent / "data" / "crossed_4x6_mlp_flow"
VERBS = get_command(app).commands
# One name for one thing: what an option of this name is in every verb that has it.
SAME = ("device", "scheduler", "workers", "from_step", "gates", "as_json", "quiet", "dry_run")


def parameters(verb):
    return {parameter.name: parameter for parameter in VERBS[verb].params}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_json_and_quiet(verb):
    text = VERBS[verb].help
    summary, _, examples = text.partition("\x08\nExamples:\n")
    assert len(summary.splitlines()[0]) <= 66  # whole in the list of verbs
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines and all(line.startswith("ufmflow ") for line in lines)
    assert any(line.startswith(f"ufmflow {verb}") for line in lines)
    named = parameters(verb)
    assert named["as_json"].opts == ["--json"] and set(named["quiet"].opts) == {"--quiet", "-q"}


@pytest.mark.parametrize("verb", VERBS)
def test_examples_use_options_that_exist(verb):
    examples = VERBS[verb].help.partition("Examples:\n")[2]
    for line in examples.splitlines():
        for part in line.split("&&"):
            if not (words := part.split("#")[0].split()):
                continue
            known = {
                name for parameter in VERBS[words[1]].params for name in (*parameter.opts, *parameter.secondary_opts)
            }
            assert {word for word in words if re.fullmatch(r"--[a-z-]+", word)} <= known


@pytest.mark.parametrize("name", SAME)
def test_an_option_is_the_same_wherever_it_is(name):
    kinds = [p[name].annotation for verb in cli.VERBS if name in (p := signature(verb).parameters)]
    assert kinds and all(kind is kinds[0] for kind in kinds)


def test_options_that_look_alike_are_alike():
    """--seed takes one number, --seeds several, --out a path, in every verb."""
    for verb in cli.VERBS:
        for name, kind in (("seed", int), ("seeds", str), ("out", Path)):
            if name in (p := signature(verb).parameters):
                assert get_args(p[name].annotation)[0] in (kind, kind | None)


def test_exit_codes_are_told_by_the_help(command):
    code, out, _ = command("--help")
    assert code == 0 and all(re.search(rf"^ *{number} +\w", out, re.MULTILINE) for number in (0, 1, 2, 130))
    assert command("--version")[1].startswith("ufmflow 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("derive", "a[2] * b[3]", "--loss", "mse"),
        ("forecast", RUN, "--level", "modes"),
        ("gram", f"{RUN}.npz", "--attributes", f"{RUN}.attributes.csv"),
        ("crossover", "a[2] * b[3]"),
        ("prove", "balanced_factors_cost_z_over_sqrt_kW_kH"),
        ("config", "--example", "sweep"),
    ],
)
def test_json_is_alone_on_stdout_and_quiet_prints_nothing(command, arguments, tmp_path):
    if arguments[0] == "gram":
        import numpy as np

        np.save(tmp_path / "H.npy", np.load(arguments[1])["H"][-1])
        arguments = ("gram", tmp_path / "H.npy", *arguments[2:])
    code, out, err = command(*arguments, "--json", "--quiet")
    assert code == 0 and err == ""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(out, parse_constant=refuse)
    assert command(*arguments, "--quiet") == (0, "", "")


def test_json_has_null_where_numbers_are_not_finite(capsys):
    cli.output.Screen(True, False).show({"a": [float("nan"), 1.0], "b": (float("inf"),)}, [])
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.0], "b": [None]}


def test_progress_only_on_a_terminal(monkeypatch):
    """A pipe gets no bar; a terminal does, unless it is asked to be quiet."""
    for terminal, quiet, wanted in ((False, False, False), (True, True, False), (True, False, True)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
        with cli.output.Screen(False, quiet).progress("work") as progress:
            assert (progress is not None) == wanted


def test_options_of_train_are_those_of_the_function():
    pytest.importorskip("torch")
    from ufmflow.numerics.plan import Plan

    from ufmflow.cli.training import OF_THE_COMMAND

    of_plan = dict(list(signature(Plan.__init__).parameters.items())[2:])
    named = {name: p for name, p in parameters("train").items() if name not in OF_THE_COMMAND | {"help"}}
    assert set(named) == set(of_plan)
    assert {name: p.default for name, p in named.items()} == {name: p.default for name, p in of_plan.items()}


def test_starting_is_fast_and_loads_nothing_heavy(tmp_path):
    """`import ufmflow` and `ufmflow --help` in under half a second of this process's own time."""
    code = (
        "import sys, time; sys.argv = ['ufmflow', '--help']\n"
        "begun = time.process_time(); import ufmflow; imported = time.process_time() - begun\n"
        "from ufmflow.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('numpy', 'scipy', 'sympy', 'matplotlib', 'xarray', 'zarr', 'torch', 'cupy', 'dask')\n"
        "print([m for m in heavy if m in sys.modules], imported, time.process_time() - begun)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    found = run.stdout
    modules, imported, whole = re.search(r"^(\[.*\]) (\S+) (\S+)$", found, re.MULTILINE).groups()
    assert modules == "[]" and float(imported) < 0.5 and float(whole) < 0.5
