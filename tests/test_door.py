"""The names at the door of the package: complete, lazy, and never those of a module."""

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from click.testing import CliRunner

import glad
import glad.evaluation
import glad.formats
import glad.networks
import glad.objectives
import glad.priors
from glad.cli import main

TYPED = [
    alias.name
    for node in ast.walk(ast.parse(Path(glad.__file__).read_text()))
    if isinstance(node, ast.ImportFrom) and node.module != "glad.version" and str(node.module).startswith("glad")
    for alias in node.names
]


def test_the_door_shows_its_names_and_nothing_else() -> None:
    assert dir(glad) == sorted([*glad.__all__, "__version__"])
    assert sorted(TYPED) == sorted(glad.__all__)  # what type checkers and the reference see is what there is
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        _ = glad.distil


@pytest.mark.parametrize("name", glad.__all__)
def test_a_name_is_a_function_or_a_class_with_a_docstring_and_no_module(name: str) -> None:
    found = getattr(glad, name)
    assert inspect.isfunction(found) or inspect.isclass(found)
    assert found.__name__ in (name, f"register_{name}") and found.__doc__
    assert importlib.util.find_spec(f"glad.{name}") is None


def test_the_package_alone_is_light() -> None:
    code = "import sys, glad, glad.version; dir(glad); sys.exit(bool({'torch', 'generators'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torchvision_is_imported_where_it_is_needed_alone() -> None:
    code = "import sys, glad; glad.distill, glad.load_data('fashion-mini'); assert 'torchvision' not in sys.modules"
    done = forked.run(code)
    assert done.returncode == 0, done.stderr


def test_what_registers_and_lists_is_at_the_door() -> None:
    packages = [glad.evaluation, glad.formats, glad.networks, glad.objectives, glad.priors]
    names = {name for package in packages for name in package.__all__ if name.startswith(("register_", "list_"))}
    assert names <= {*glad.__all__} and len(names) == 2 * len(packages)


@pytest.mark.parametrize("version", ["1.13.1", "2.5.1+cpu"])
def test_an_old_torch_is_refused_in_one_line(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    with pytest.raises(ImportError, match=f"2.6 .* {re.escape(version)}"):
        _ = glad.distill
    result = CliRunner().invoke(main, ["presets"])
    assert result.exit_code == 1 and version in result.output and result.output.count("\n") == 1


@pytest.mark.parametrize("version", ["2.6.0", "2.10.0a0+git1", "3.0"])
def test_another_torch_is_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    assert callable(glad.distill)


def test_a_reader_that_has_enough_ends_a_command_without_a_word() -> None:
    """As ``head`` does."""
    command = [sys.executable, "-m", "glad", "presets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1
