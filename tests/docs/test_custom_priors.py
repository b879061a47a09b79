"""docs/CUSTOM_PRIORS.md, followed word by word in an empty folder: weights, prior, runs, table, report, check."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from glad.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "CUSTOM_PRIORS.md").read_text()
FIT, PRIOR, CHECK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the page's two files, which is where we are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, code in (("fit_pca.py", FIT), ("pca.py", PRIOR)):
        assert f"`{name}`" in PAGE
        Path(name).write_text(code)
    yield tmp_path
    sys.modules.pop("pca", None)


def test_the_page_leads_from_weights_to_a_report(folder: Path) -> None:
    output = ""
    for line in COMMANDS.splitlines():
        program, *arguments = shlex.split(line)
        if program == "python":
            exec(compile(Path(arguments[0]).read_text(), arguments[0], "exec"), {})
            continue
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, (line, result.output, result.exception)
        output += result.output
    assert re.search(r"pca\s.*\d\d\.\d ±", output) and re.search(r"pixels\s.*\d\d\.\d ±", output)
    weights = json.loads((folder / "runs/pca/inputs.json").read_text())["weights"]
    assert weights["name"] == "pca" and weights["license"]["id"] == "mit" and len(weights["sha256"]) == 64
    assert weights["source"].startswith("principal components of fashion-mini")
    assert "Weights pca" in (folder / "report.html").read_text()
    exec(compile(CHECK, "check.py", "exec"), {})
