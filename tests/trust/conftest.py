"""The folder's own modules are imported by name, as its scripts do."""

import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_modules(monkeypatch):
    """The scripts beside the tests can be imported."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield
    # Names as common as `run` are not left behind for other tests.
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(Path(__file__).parent)) and "test_" not in name:
            if "conftest" not in name:
                sys.modules.pop(name)
