"""The quickstart notebook runs from the first cell to the last, as its committed outputs show."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def check_outputs(notebook):
    """Check what the cells print and show."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    mime_types = [mime for output in outputs for mime in output.get("data", {})]
    assert mime_types.count("image/png") == 4, "a plot of the training, two of the search, one more"
    (table,) = [
        output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})
    ]
    assert table.count("<tr") == 7, "a heading and six trials"
    text = "".join(output.get("text", "") + str(output.get("data", {})) for output in outputs)
    assert "TestScore(accuracy=0.9" in text
    assert "6/6 trials" in text
    assert not any(output.output_type == "error" for output in outputs)


def test_the_notebook_is_committed_with_the_outputs_of_an_execution(notebook):
    nbformat.validate(notebook)
    check_outputs(notebook)
    text = NOTEBOOK.read_text()
    assert len(text) < 500_000
    assert not re.search(r"/(home|root|tmp|work)/", text), "no path of one machine"


@pytest.mark.long
def test_the_notebook_runs_from_the_first_cell_to_the_last(notebook, tmp_path):
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    check_outputs(notebook)
