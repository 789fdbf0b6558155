"""Every gallery notebook runs from top to bottom on a CPU with the shipped weights."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("apps/*/*.ipynb"), *ROOT.glob("docs/*.ipynb")]),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_notebook_runs(path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
