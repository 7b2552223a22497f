"""Shell completion: the names that are offered are those that are allowed, and each shell gets them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ufmflow.cli.completion import CONFIGURED, NAMES, attribute_weights, goals, kept_labels, theorems

UFMFLOW = str(Path(sys.executable).with_name("ufmflow"))


def run(shell, **environment):
    # As an administrator's or a user's shell has it: not the test's own variables.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("COMP", "_TYPER", "_UFMFLOW"))}
    return subprocess.run(
        shell, capture_output=True, text=True, check=True, env={**clean, "PATH": f"{Path(UFMFLOW).parent}:{clean['PATH']}",
                                                                **environment},
    ).stdout  # fmt: skip


def test_names_are_those_that_are_checked():
    from ufmflow.numerics.config_check import KINDS
    from ufmflow.numerics.devices import DEVICES
    from ufmflow.numerics.forecast import LEVELS
    from ufmflow.numerics.phases import RECIPES
    from ufmflow.numerics.settings import SETTINGS
    from ufmflow.theory.model import CONSTRAINTS, LOSSES, REDUCTIONS

    found = {
        "constraint": CONSTRAINTS, "device": DEVICES, "diagram": RECIPES, "level": LEVELS,
        "loss": [name.replace("_", "-") for name in LOSSES], "reduction": REDUCTIONS, "setting": SETTINGS,
    }  # fmt: skip
    assert {name: tuple(values) for name, values in found.items()} == {name: NAMES[name] for name in found}
    assert CONFIGURED == KINDS


def test_names_of_networks_are_those_that_are_checked():
    pytest.importorskip("torch")
    from ufmflow.numerics.networks import NORMS
    from ufmflow.numerics.plan import ARCHS, OPTIMIZERS
    from ufmflow.numerics.schedule import SCHEDULES

    for name, values in (("arch", ARCHS), ("norm", NORMS), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        assert NAMES[name] == tuple(values)


def test_goals_can_be_read():
    from ufmflow.numerics.advice_goal import Goal

    for goal in NAMES["goal"]:
        assert Goal.parse(goal)


def test_attributes_of_what_was_typed_before():
    typed = SimpleNamespace(params={"formula": "color[4] * shape[6]", "network": "objects"})
    assert attribute_weights(typed, "") == ["color=", "shape=", "residual="]
    assert attribute_weights(typed, "color=1,") == ["color=1,shape=", "color=1,residual="]
    assert kept_labels(typed, "sh") == ["shape"]
    assert goals(typed, "widest window for c") == ["widest window for color"]
    assert goals(typed, "perm") == ["permanent"]
    unfinished = SimpleNamespace(params={"formula": "color[4", "network": "none"})
    assert kept_labels(unfinished, "") == [] and goals(unfinished, "permanent for ") == []


def test_theorems_are_offered():
    from ufmflow.proofs.certificates import theorem_names

    assert tuple(theorems("")) == theorem_names() and theorems("no_such") == []


@pytest.mark.parametrize(("shell", "word"), [("bash", "COMPREPLY"), ("zsh", "compdef"), ("fish", "complete --command")])
def test_each_shell_has_a_script(shell, word):
    assert word in run([UFMFLOW], _UFMFLOW_COMPLETE=f"source_{shell}")


def test_bash_completes_a_setting():
    script = (
        'eval "$(_UFMFLOW_COMPLETE=source_bash ufmflow)"; COMP_WORDS=(ufmflow train ob); COMP_CWORD=2;'
        ' _ufmflow_completion ufmflow; echo "${COMPREPLY[@]}"'
    )
    assert run([shutil.which("bash"), "--norc", "-c", script]).split() == ["objects"]


@pytest.mark.parametrize(("shell", "arguments"), [("zsh", "ufmflow forecast run --level fl"), ("fish", "fl")])
def test_zsh_and_fish_complete_a_level(shell, arguments):
    """What their scripts call: the words typed so far go through a variable."""
    words = {"_TYPER_COMPLETE_ARGS": "ufmflow forecast run --level fl", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
             "_TYPER_COMPLETE_WORD_TO_COMPLETE": "fl"}  # fmt: skip
    found = run([UFMFLOW], _UFMFLOW_COMPLETE=f"complete_{shell}", **words)
    assert "flow" in found and "flow_deep" in found and "modes" not in found
