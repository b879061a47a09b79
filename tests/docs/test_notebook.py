"""docs/notebooks: every notebook runs from top to bottom, and shows what it showed when it was written."""

import re
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra: test)")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))
DIGITS = re.compile(r"[+-]?\d+(?:\.\d+)?")


def shown(notebook: Any) -> list[list[str]]:
    """The kinds of output of each code cell; a text without its numbers."""
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return [[kind for output in outputs for kind in _kinds(output)] for outputs in cells]


def _kinds(output: Any) -> list[str]:
    if output.output_type == "stream":
        assert output.name == "stdout", output.text
        return [re.split(r"\W", line.strip())[0] for line in output.text.splitlines() if DIGITS.search(line)]
    return sorted(output.data)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_committed(path: Path, tmp_path: Path) -> None:
    committed, notebook = (nbformat.read(path, as_version=4) for _ in range(2))
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert shown(notebook) == shown(committed)
    assert all(cell.outputs or "=" in cell.source for cell in notebook.cells if cell.cell_type == "code")
