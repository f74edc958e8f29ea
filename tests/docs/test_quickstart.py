"""The quickstart notebook runs from the first cell to the last."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_is_committed_without_outputs(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.long
def test_the_notebook_runs_from_the_first_cell_to_the_last(notebook, tmp_path):
    (tmp_path / "runs" / "first").mkdir(parents=True)  # as left by an earlier execution
    # the PATH of a user who installed the package with this Python
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=os.environ | {"PATH": path})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    mime_types = [mime for output in outputs for mime in output.get("data", {})]
    assert mime_types.count("image/png") == 7, "two pictures of the model, five plots of runs"
    (table,) = [
        output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})
    ]
    assert table.count("<tr") == 7, "a heading and six trials"
    printed = "".join(output.get("text", "") for output in outputs)
    assert "tune-ode:" not in printed, "no command failed"
    assert "test      accuracy" in printed
