"""Guards of the house: what is on disk is what is installed, imports go the right way, doctests and types hold."""

import ast
import configparser
import doctest
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ufmflow
from ufmflow.theory.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("theory", "numerics", "proofs")
# What a layer may import from, besides itself and the standard and third-party libraries.
ALLOWED = {"theory": set(), "numerics": {"theory"}, "proofs": {"theory", "numerics"}}


def sources() -> list[Path]:
    return [path for layer in (*LAYERS, "ufmflow") for path in sorted((ROOT / layer).rglob("*.py"))]


def modules() -> list[str]:
    return ["ufmflow", *(found.name for found in pkgutil.walk_packages(ufmflow.__path__, "ufmflow."))]


def bare_imports(tree: ast.AST) -> list[str]:
    """Absolute imports of a layer by its folder's name."""
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    return [name for name in named if name.split(".")[0] in LAYERS]


def imported_layers(path: Path) -> set[str]:
    """Other layers that a module of a layer imports relatively."""
    inside = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            base = inside[: len(inside) - node.level + 1]
            target = (*base, *(node.module or "").split("."))
            found.add(target[0])
    return (found & set(LAYERS)) - {inside[0]}


def test_every_folder_with_modules_is_a_listed_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {path.parent.relative_to(ROOT) for path in sources()}
    on_disk = {
        ".".join(folder.parts if folder.parts[0] == "ufmflow" else ("ufmflow", *folder.parts)) for folder in folders
    }
    assert listed == on_disk


def test_no_module_imports_a_layer_by_its_bare_name():
    assert {str(path): found for path in sources() if (found := bare_imports(ast.parse(path.read_text())))} == {}
    assert bare_imports(ast.parse("from theory.flow import x")) == ["theory.flow"]


def test_layers_import_downwards_only():
    wrong = {
        str(p): imported_layers(p)
        for p in sources()
        if (layer := p.relative_to(ROOT).parts[0]) in LAYERS and not imported_layers(p) <= ALLOWED[layer]
    }
    assert wrong == {}
    assert imported_layers(ROOT / "numerics" / "modes.py") == {"theory"}


@pytest.mark.parametrize("name", modules())
def test_doctests(name):
    try:
        module = importlib.import_module(name)
    except (ImportError, InputError) as error:
        pytest.skip(f"{name} needs an extra: {error}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_doctests_can_fail():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda text: None).failed == 1


def test_the_wheel_is_tested_not_the_source_tree():
    """`make test` installs the wheel; an editable install is for development, where this says so."""
    installed = Path(ufmflow.__file__).resolve()
    if ROOT in installed.parents and "site-packages" not in installed.parts:
        pytest.skip("an editable install is under test, not the wheel")
    assert all((installed.parent / layer / "py.typed").is_file() for layer in LAYERS)
    assert (installed.parent / "numerics" / "data" / "crossed_4x6_mlp_flow.npz").is_file()


def test_types():
    pytest.importorskip("mypy")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "-p", "ufmflow", "--config-file", str(ROOT / "pyproject.toml"),
         "--cache-dir", os.devnull],
        capture_output=True, text=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout


def test_importing_the_front_door_imports_nothing_heavy():
    code = "import sys, ufmflow; print([m for m in ('numpy', 'sympy', 'torch', 'matplotlib', 'xarray') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_public_name_is_there_or_says_what_it_needs():
    for name in ufmflow.__all__:
        try:
            assert getattr(ufmflow, name) is not None
        except InputError as error:
            assert "pip install" in str(error)
    with pytest.raises(AttributeError, match="no_such_name"):
        ufmflow.no_such_name
    assert set(ufmflow.__all__) <= set(dir(ufmflow))


def test_without_pytorch_every_public_name_is_there_or_says_what_it_needs(tmp_path):
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(name, *rest):\n"
        "        if name.split('.')[0] == 'torch': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoTorch)\n"
        "import ufmflow\n"
        "for name in ufmflow.__all__:\n"
        "    try: getattr(ufmflow, name)\n"
        "    except ufmflow.InputError as error: assert 'pip install' in str(error); print(name)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert set(found.stdout.split()) == {"StrataRecorder", "forecast_network", "train", "train_seeds"}


def test_version_is_stated_once_and_the_same_everywhere():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] == ufmflow.__version__
    assert f"version: {ufmflow.__version__}" in (ROOT / "CITATION.cff").read_text()
