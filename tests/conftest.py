"""Hypothesis profiles: `ci` draws the same examples on every run; `random` searches anew, and more.

    UFMFLOW_HYPOTHESIS_PROFILE=random pytest tests/theory
"""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are drawn says more about the machine than about the code.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("ci", derandomize=True, database=None, max_examples=25, **UNTIMED)
settings.register_profile("random", max_examples=200, **UNTIMED)
settings.load_profile(os.environ.get("UFMFLOW_HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session", params=["numpy", "array_api_strict", "cupy"])
def xp(request):
    """An array namespace; cupy is skipped where it, or a GPU for it, is missing."""
    namespace = pytest.importorskip(request.param)
    if request.param == "cupy":
        try:
            namespace.cuda.runtime.getDeviceCount()
        except namespace.cuda.runtime.CUDARuntimeError as error:
            pytest.skip(f"cupy finds no GPU: {error}")
    return namespace


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process: exit code, standard output, standard error."""
    from ufmflow.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ufmflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run
