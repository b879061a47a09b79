"""docs/CUSTOM_PROTOCOLS.md, followed word by word in an empty folder."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from glad.cli import main
from glad.evaluation import PROTOCOLS

PAGE = (Path(__file__).parents[2] / "docs" / "CUSTOM_PROTOCOLS.md").read_text()


def block(language: str) -> str:
    """The one code block of the page in ``language``."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_page_leads_from_an_empty_folder_to_both_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PROTOCOLS, "_entries", dict(PROTOCOLS))
    Path("short.yaml").write_text(block("yaml"))
    printed = []
    for line in block("bash").splitlines():
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output, result.exception)
        printed.append(result.output)
    assert "epochs: 1000" in printed[0]
    title = re.search(r"`(30 epochs, .*?)`", PAGE)
    assert title is not None and title[1] in " ".join(printed[-1].split())
    exec(compile(block("python"), "page", "exec"), {})
    accuracy, epochs = capsys.readouterr().out.split()
    assert 0 < float(accuracy) < 1 and epochs == "30"
