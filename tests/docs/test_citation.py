"""CITATION.cff says what pyproject.toml says."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_citation_is_of_this_version_and_license() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    for key in ("version", "license"):
        assert str(citation[key]) == re.search(rf'^{key} = "(.*)"$', project, re.MULTILINE)[1]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert [author["name"] for author in citation["authors"]] == re.findall(
        r'authors = \[\{ name = "(.*)" \}\]', project
    )
    for paper in citation["references"]:
        assert {"type", "title", "authors", "year"} <= paper.keys()
