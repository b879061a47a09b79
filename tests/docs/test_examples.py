"""The examples in the docstrings of the public functions, run in one folder whose run they share."""

import doctest
import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import glad
from glad.evaluation import PROTOCOLS
from glad.formats import FORMATS
from glad.networks import NETWORKS
from glad.objectives import OBJECTIVES
from glad.priors import PRIORS

FUNCTIONS = [
    name
    for name in glad.__all__
    if inspect.isfunction(getattr(glad, name)) and name != "objective"  # register_objective by a short name
]
SECTIONS = ("Args", "Returns", "Examples")


def sections(function: Callable[..., object]) -> dict[str, str]:
    """The sections of a docstring by their heading."""
    text = inspect.getdoc(function) or ""
    parts = re.split(r"^(\w+):\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def run(name: str) -> None:
    """The example of ``glad.NAME``; what it prints must be what the docstring shows."""
    test = doctest.DocTestParser().get_doctest(
        sections(getattr(glad, name))["Examples"], {"glad": glad, "torch": torch}, f"glad.{name}", None, 0
    )
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder where the example of ``glad.distill`` has been run."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("examples")
    registered = [(registry, dict(registry)) for registry in (PRIORS, OBJECTIVES, NETWORKS, FORMATS, PROTOCOLS)]
    os.chdir(folder)
    run("distill")
    yield folder
    os.chdir(before)
    for registry, entries in registered:
        registry._entries = entries


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_all_of_itself(name: str) -> None:
    function = getattr(glad, name)
    found = sections(function)
    assert set(SECTIONS) <= set(found)
    described = re.findall(r"^ {4}(\w+): \S", found["Args"], re.MULTILINE)
    assert described == list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "distill"])
def test_an_example_runs(name: str, place: Path) -> None:
    run(name)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_an_objective_of_ours_describes_every_parameter(name: str) -> None:
    found = sections(OBJECTIVES[name])
    described = re.findall(r"^ {4}(\w+): \S", found["Args"], re.MULTILINE)
    assert described == list(inspect.signature(OBJECTIVES[name]).parameters)
