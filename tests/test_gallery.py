"""The gallery's page, its script and its images belong together; all that it shows is public and runs."""

import ast
import importlib.util
import re
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

import ufmflow
from ufmflow.numerics.plots import Plots
from ufmflow.numerics.trajectory import Trajectory

DOCS = Path(__file__).parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
make_gallery = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_gallery)

# Smaller than the page's where that takes seconds.
SMALLER = {"np.geomspace(1, 1e4, 30)": "[1, 100]", "points=12": "points=4", "range(5)": "range(2)"}


def private(code: str) -> list[str]:
    """Names that the code takes from ufmflow, from figures, or from trajectories, and that are not public."""
    wrong = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            wrong += [module for module in modules if module not in ("numpy", "ufmflow")]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "uf":
            wrong += [node.attr] if node.attr not in ufmflow.__all__ else []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "plot":
            wrong += [node.attr] if not hasattr(Plots, node.attr) or node.attr.startswith("_") else []
    return wrong


def test_the_page_shows_public_names_alone():
    assert make_gallery.PAGE == DOCS / "gallery.md"
    assert [name for block in make_gallery.blocks() for name in private(block)] == []
    assert private("import torch") == ["torch"]
    assert private("import ufmflow as uf\nuf.nothing()\nx.plot._strata()") == ["nothing", "_strata"]
    mentioned = re.findall(r"`uf\.(\w+)`", make_gallery.PAGE.read_text(encoding="utf-8"))
    assert len(mentioned) >= 4 and set(mentioned) <= set(ufmflow.__all__)


def test_every_figure_of_a_trajectory_is_shown():
    shown = set(re.findall(r"\.plot\.(\w+)", "".join(make_gallery.blocks())))
    assert shown == {name for name in vars(Plots) if not name.startswith("_")} and hasattr(Trajectory, "plot")


def test_the_images_are_the_pages_and_small():
    folder = DOCS / "images" / "gallery"
    assert {path.name for path in folder.iterdir()} == set(make_gallery.images())
    for path in folder.iterdir():
        assert path.stat().st_size < (1_000_000 if path.suffix == ".gif" else 150_000), path.name


def test_the_page_runs_and_makes_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = make_gallery.PAGE.read_text(encoding="utf-8")
    for shown, smaller in SMALLER.items():
        assert page.count(shown) == 1
        page = page.replace(shown, smaller)
    monkeypatch.setattr(make_gallery, "PAGE", tmp_path / "page.md")
    make_gallery.PAGE.write_text(page, encoding="utf-8")
    make_gallery.make(tmp_path / "made")
    # An image that the page shows and no block makes is told.
    make_gallery.PAGE.write_text("![none](images/gallery/none.svg)", encoding="utf-8")
    with pytest.raises(SystemExit, match="differ in .*none.svg"):
        make_gallery.make(tmp_path / "empty")
