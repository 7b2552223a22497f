"""`ufmflow doctor`: what it tells, that a wrong answer is reported, and what it says of machines unlike this one."""

import json
import subprocess

import pytest
from ufmflow.numerics import environment
from ufmflow.proofs import self_check
from ufmflow.proofs.self_check import ANSWERS, Answer


def test_a_sound_installation_is_well(command):
    code, out, _ = command("doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["healthy"]
    assert [check["holds"] for check in found["self_check"]] == [True] * len(ANSWERS)
    assert found["packages"]["numpy"]["fits"] and "train" in found["extras"]
    assert found["folders"]["temporary files"]["writable"] and found["devices"]["cpu"]["cores"] >= 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer("a digit", ANSWERS[1].find, ANSWERS[1].known * (1 + 1e-9), ANSWERS[1].within), "is known"),
        (Answer("not a number", lambda: float("nan"), 1.0, 1e-3), "nan, but 1.0 is known"),
        (Answer("a theorem", lambda: "failed", "proved"), "'failed', but 'proved' is known"),
        (Answer("a crash", lambda: 1 // 0, 1), "ZeroDivisionError"),
    ],
)
def test_a_broken_answer_is_reported(command, monkeypatch, answer, problem):
    monkeypatch.setattr(self_check.self_check, "__defaults__", ((answer,),))
    code, out, _ = command("doctor")
    assert code == 1 and problem in out and f"not well: {answer.name}" in out
    code, out, _ = command("doctor", "--json")
    assert code == 1 and json.loads(out)["healthy"] is False


def test_known_answers_are_not_what_the_code_says_of_itself():
    """The logistics, from their formula in 40 digits."""
    from decimal import Decimal, getcontext

    getcontext().prec = 40
    logistic = 1 / (1 + (Decimal(10) ** 6 - 1) * (-Decimal("12.5")).exp())  # z0 = 1e-6, 2 s t = 200/16
    riccati = 1 / (1 + 99 * (-Decimal(10)).exp())  # z0 = 1/100, rate 2 t/2
    assert ANSWERS[0].known == float(logistic) and ANSWERS[1].known == float(riccati)


def test_missing_and_old_packages_are_told(monkeypatch):
    from packaging.requirements import Requirement

    assert not environment._package(Requirement("numpy>=1000"))["fits"]
    gone = environment._package(Requirement("no-such-package-here>=1"))
    assert gone == {"installed": None, "needs": ">=1", "fits": False}


def test_a_gpu_is_described(monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/bin/nvidia-smi")
    said = "NVIDIA H200, 580.65.06, 143771, 143000\nNVIDIA GB10, 580.95, [N/A], [N/A]\n"
    monkeypatch.setattr(
        environment.subprocess, "run", lambda *words, **options: subprocess.CompletedProcess(words, 0, said, "")
    )
    first, second = environment._gpus()
    assert first["name"] == "NVIDIA H200" and first["driver"] == "580.65.06" and 140 < first["total_gib"] < 141
    assert second["free_gib"] is None


def test_threads_that_contend_are_warned_of():
    assert "contend" in environment.blas_advice(64, 2) and "contend" in environment.blas_advice(4, 4)
    assert "contend" not in environment.blas_advice(1, 2) and "OPENBLAS_NUM_THREADS=1" in environment.blas_advice(
        None, 2
    )


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    assert environment._folder(tmp_path)["writable"]
    assert not environment._folder(tmp_path / "none")["writable"]
