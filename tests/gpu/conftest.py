"""Tests of the device itself: marked `gpu`, and skipped where there is none (which says why)."""

from pathlib import Path

import pytest

from ufmflow.numerics.devices import open_device
from ufmflow.theory.errors import InputError


def pytest_collection_modifyitems(items):
    here = [item for item in items if Path(__file__).parent in Path(item.fspath).parents]
    if not here:
        return
    try:
        open_device("cuda")
        why = None
    except InputError as error:
        why = str(error)
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if why:
            item.add_marker(pytest.mark.skip(reason=why))
