"""docs/PILOT.md, followed command by command on fewer of the embedded photographs, with less of everything."""

import re
import shlex
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from glad.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "PILOT.md").read_text()
LESS = {
    "--images 300": "--images 60 --inverted 2 --steps 2 --width 4",
    "--epochs 10": "--epochs 1",
    "--epochs 150": "--epochs 1",
    "--iterations 60": "--iterations 2 --network-option width=4",
    "batch=32": "batch=4",
    "--seeds 3": "--seeds 1 --full-epochs 1",
    "convnet.width=32": "convnet.width=4",
    "vgg11.width=16": "vgg11.width=4",
    "--ipc 10": "--ipc 2",
    "audit runs/codes": "audit runs/codes --epochs 1 --set-epochs 1 --width 4 --seeds 1",
}


def commands():
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.startswith("glad ")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which the commands are run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLAD_TEACHER_CACHE", str(tmp_path / "teachers"))
    return tmp_path


def test_the_page_can_be_followed(folder):
    listed = commands()
    assert [line.split()[1] for line in listed] == [
        *("weights", "distill", "distill", "evaluate", "audit", "report", "export", "push")
    ]
    unused = set(LESS)
    for line in listed:
        for words, fewer in LESS.items():
            if words in line:
                unused.discard(words)
                line = line.replace(words, fewer)
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # notes are for people
            result = CliRunner().invoke(main, [*shlex.split(line)[1:], *(["--device", "cpu"] * ("distill" in line))])
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
    assert not unused
    for made in ("runs/priors/compare.png", "runs/codes/results.json", "runs/codes/audit.json", "report.html"):
        assert (folder / made).stat().st_size > 100
    assert (folder / "clothing.parquet").exists()
    assert "Nothing was sent (--dry-run)." in result.output
