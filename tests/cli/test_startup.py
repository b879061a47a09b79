"""What the command line imports before it needs it, and what it says where a module of the user's stands in the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest

from glad.cli.mistakes import print_once

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "sklearn", "matplotlib", "tensorboard", "pandas", "numpy", "scipy", "optuna")
MODULES = 400  # of the standard library, click, rich and yaml, with room
SCRIPT = """
import json, sys
from click.testing import CliRunner
from glad.cli import main

def commands(group, words):
    yield words
    for name in getattr(group, "commands", {}):
        yield from commands(group.commands[name], [*words, name])

found = {}
for words in [["--version"], ["presets"], ["objectives", "list"], ["weights", "list"], *commands(main, [])]:
    asked = words if words and words[-1] in ("--version", "list", "presets") else [*words, "--help"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, (asked, result.output)
    found[" ".join(asked)] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps([found, len(sys.modules)]))
"""


def test_no_help_and_no_list_imports_torch_or_its_like() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, count = json.loads(done.stdout)
    assert "weights train --help" in found and "experts inspect --help" in found and count < MODULES
    assert not {
        words: [name for name in HEAVY if name in names] for words, names in found.items() if {*HEAVY} & {*names}
    }


@pytest.mark.parametrize("kind", ["module", "package", "folder"])
@pytest.mark.parametrize("name", ["generators", "cuda_ops"])
def test_a_module_of_ones_own_that_stands_in_the_way_is_named_in_one_line(name: str, kind: str, tmp_path: Path) -> None:
    own = tmp_path / (f"{name}.py" if kind == "module" else name)
    if kind == "module":
        own.write_text("")
    else:
        own.mkdir()
        (own / "data.txt").write_text("")
    if kind == "package":
        (own / "__init__.py").write_text("")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), str(ROOT)])
    line = f"{own} stands before the package {name!r} that comes with glad"
    for code in (forked.GLAD, "import glad; glad.distill"):
        done = forked.run(code, "weights", "list", cwd=tmp_path, PYTHONPATH=paths)
        last = done.stderr.splitlines()[-1] if done.stderr else ""
        if kind == "folder" and done.returncode == 0:  # a folder without __init__.py gives way to a package on the path
            continue
        assert done.returncode == 1 and line in last, done.stderr
        assert code != forked.GLAD or len(done.stderr.splitlines()) == 1


def test_a_note_is_said_once(capsys):
    show = print_once()
    for text in ("few images", "few images", "unequal classes"):
        show(UserWarning(text), UserWarning, "file.py", 1)
    assert capsys.readouterr().err == "Note: few images\nNote: unequal classes\n"
