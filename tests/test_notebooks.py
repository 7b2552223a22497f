"""Each notebook runs from top to bottom, is short, and is stored without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) <= 10
    assert all(not cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    if path.stem == "formula_to_forecast":
        assert "confirmed" in notebook.cells[-1].outputs[0]["data"]["text/plain"]
    if path.stem == "question_to_advice":
        seen = notebook.cells[5].outputs[-1]["data"]["text/plain"]
        assert seen.count("True") == 2, "each intervention that was trained has the effect that was predicted"


def test_a_broken_notebook_is_noticed(tmp_path):
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        NotebookClient(broken, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
