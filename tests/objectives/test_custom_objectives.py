"""docs/CUSTOM_OBJECTIVES.md, followed word by word with less of everything; and what ``glad objectives`` says."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from errors import naming

import glad
from glad.cli import main
from glad.objectives import OBJECTIVES

PAGE = (Path(__file__).parents[2] / "docs" / "CUSTOM_OBJECTIVES.md").read_text()
LESS = {"width=32": "width=8", "--iterations 20": "--iterations 3", "--epochs 40": "--epochs 2"}


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A folder with the page's module, which is where we are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 60
    (tmp_path / "moments.py").write_text(code)
    yield tmp_path
    sys.modules.pop("moments", None)


def test_the_page_leads_from_an_empty_file_to_a_table(page):
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for words, fewer in LESS.items():
        assert words in block
        block = block.replace(words, fewer)
    shown, *runs, table = [invoke(*shlex.split(line)[1:]) for line in block.splitlines()]
    assert "weight" in shown and "float" in shown and "default 0.5" in shown and "w 0.03" in shown
    assert all("finished after 3 iterations" in output for output in runs)
    assert re.search(r"moments\s.*\d\d\.\d ±", table) and re.search(r"dm\s.*\d\d\.\d ±", table)


def test_options_of_ones_own_are_checked(page):
    run = ["distill", "--objective", "moments:Moments", "--out", "runs/no"]
    assert "no option 'wieght'" in invoke(*run, "--set", "wieght=1", code=1)
    assert "moments.weight is 'much'" in invoke(*run, "--set", "weight=much", code=1)
    assert "cannot be imported" in invoke("distill", "--objective", "moments:Moment", code=1)


def test_a_run_is_not_continued_with_another_file_of_its_objective(page):
    (page / "filed.py").write_text(
        "from pathlib import Path\n"
        "from moments import Moments\n"
        "class Filed(Moments):\n"
        "    def __init__(self, real, network, augment, file: Path, batch: int = 4):\n"
        "        super().__init__(real, network, augment, batch, float(file.read_text()))\n"
    )
    (page / "weight.txt").write_text("0.5")
    sizes = ["--limit", "60", "--network-option", "width=4", "--iterations", "1", "--lr", "1", "--prior", "pixels"]
    run = ["distill", "--objective", "filed:Filed", "-o", "file=weight.txt", *sizes, "--out", "runs/filed"]
    invoke(*run)
    invoke(*run)
    (page / "weight.txt").write_text("0.6")
    assert "hash of file weight.txt" in " ".join(invoke(*run, code=1).split())
    sys.modules.pop("filed")


def test_a_name_is_taken_once(page):
    invoke("objectives", "show", "moments:Moments")
    made = glad.objectives.OBJECTIVES["moments"]
    assert made.__name__ == "Moments"
    with pytest.raises(ValueError, match=naming("'dm' glad.objectives.dm:DM")):
        glad.objective("dm")(made)


def test_every_objective_is_listed_and_shown():
    listed = invoke("objectives", "list")
    for name in OBJECTIVES:
        assert re.search(rf"^{name} +\w", listed, re.MULTILINE)
        shown = invoke("objectives", "show", name)
        assert "Options (--set NAME=VALUE):" in shown and "Learning rates" in shown
    assert "did you mean 'datadam'" in invoke("objectives", "show", "datadma", code=1)
