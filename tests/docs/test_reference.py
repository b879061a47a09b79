"""The reference: every public name stands on one page of it, and every page can be reached."""

import ast
import importlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs/reference").glob("*.md"))}
DOCUMENTED = [path for text in PAGES.values() for path in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)]


def public() -> list[str]:
    """The dotted names in every ``__all__`` of the three packages."""
    names = []
    for folder in ("glad", "generators", "cuda_ops"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                    names += [f"{module}.{name}" for name in ast.literal_eval(node.value)]
    return names


def found(path: str) -> Any:
    """The object with this dotted name."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", public())
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert any(found(path) is found(name) for path in DOCUMENTED), f"add ::: {name} to a page in docs/reference"


def test_nothing_is_documented_twice() -> None:
    assert not [path for path, count in Counter(DOCUMENTED).items() if count > 1]
    assert len({id(found(path)) for path in DOCUMENTED}) == len(DOCUMENTED)


@pytest.mark.parametrize("path", DOCUMENTED)
def test_what_is_documented_has_a_docstring_that_markdown_understands(path: str) -> None:
    thing = found(path)
    if callable(thing):
        assert thing.__doc__, f"{path} has no docstring"
        assert not re.search(r":\w+:`", thing.__doc__), f"{path}: write ``name``, not a role of Sphinx"


def listed(entry: Any) -> list[str]:
    """The pages in an entry of the site's menu."""
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry if isinstance(entry, list) else entry.values()) for page in listed(part)]


def test_every_page_is_in_the_menu_and_in_the_table() -> None:
    pages = listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    documents = [
        path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")
    ]
    assert {path.with_suffix(".md").as_posix() for path in documents} <= {*pages}
    assert {*re.findall(r"\((\w+\.md)\)", PAGES["index.md"])} == {*PAGES} - {"index.md"}
