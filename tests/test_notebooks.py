"""Each notebook runs from top to bottom, is short, defines nothing of its own, and is stored without outputs."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TOPICS = {"derive", "simulate", "forecast_a_network", "phase_diagrams", "prove"}
IMPORTS = {"ufmflow", "numpy", "sympy", "IPython"}
# Each is run on one core, where another process would only wait for it.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SEEN = {
    "derive": (-1, "h_color"),
    "simulate": (4, "e-1"),  # reduced flow and whole matrices, apart by rounding and tolerance
    "forecast_a_network": (5, "'gated_doubling'"),
    "phase_diagrams": (-1, "partly collapsed"),
    "prove": (-1, "undecided"),
    "formula_to_forecast": (-1, "confirmed"),
}


def problems(notebook):
    """What is wrong with a notebook as it is stored."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = ["more than 10 cells"] if len(notebook.cells) > 10 else []
    if any(cell.outputs or cell.execution_count for cell in cells):
        found.append("stored with outputs: clear them")
    for node in ast.walk(ast.parse("\n".join(cell.source for cell in cells))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            found.append("defines something: import it")
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"imports {name}" for name in names if name.split(".")[0] not in IMPORTS]
    return found


@pytest.fixture
def one_thread(monkeypatch):
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)


def test_the_five_topics_are_there():
    assert {path.stem for path in NOTEBOOKS} >= TOPICS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_short_and_stripped(path):
    assert problems(nbformat.read(path, as_version=4)) == []


def test_what_a_notebook_must_not_be_is_noticed():
    code = "import torch\ndef f(x): return x"
    bad = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, execution_count=1) for _ in range(11)])
    assert problems(bad)[:2] == ["more than 10 cells", "stored with outputs: clear them"]
    assert {"imports torch", "defines something: import it"} <= set(problems(bad))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, one_thread):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in notebook.cells:
        if cell.source.startswith("figure, ") or "\nfigure, " in cell.source:
            assert any("image/png" in output.get("data", {}) for output in cell.outputs), f"no figure: {cell.source}"
    if path.stem in SEEN:
        cell, text = SEEN[path.stem]
        assert text in notebook.cells[cell].outputs[-1]["data"]["text/plain"]
    if path.stem == "question_to_advice":
        seen = notebook.cells[5].outputs[-1]["data"]["text/plain"]
        assert seen.count("True") == 2, "each intervention that was trained has the effect that was predicted"


def test_a_broken_notebook_is_noticed(tmp_path):
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        NotebookClient(broken, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
