"""Import ufmflow from its source tree, on a machine that has numpy, scipy, sympy, xarray and cupy and nothing else."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def prepare() -> None:
    """Take ufmflow from the source tree, and do without array-api-compat where it is not installed."""
    sys.path.insert(0, str(ROOT))
    import ufmflow

    ufmflow.__path__.append(str(ROOT))  # ufmflow.theory is the folder theory, and so on
    if importlib.util.find_spec("array_api_compat") is None:
        sys.modules["array_api_compat"] = _namespaces()


def _namespaces() -> ModuleType:
    """The one function of array-api-compat that is used here, for the two namespaces that are there."""
    found = ModuleType("array_api_compat")

    def array_namespace(*arrays):
        import numpy

        names = {type(x).__module__.split(".")[0] for x in arrays}
        return sys.modules["cupy"] if names == {"cupy"} else numpy

    found.array_namespace = array_namespace
    return found
