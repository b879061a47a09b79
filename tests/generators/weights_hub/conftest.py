"""A Hub with one repository, and a generator in the catalog."""

import time

import pytest
from fixtures import tiny_generator
from hub_client import point_client_to
from hub_server import serving
from huggingface_hub import utils

from generators import catalog, weights
from generators.license import read_license


@pytest.fixture
def content(tmp_path):
    weights.save(tmp_path / "made.safetensors", tiny_generator(), data="digits", steps="12")
    return (tmp_path / "made.safetensors").read_bytes()


@pytest.fixture
def server(tmp_path, monkeypatch, content):
    """The Hub with one repository, the client turned to it, and empty caches."""
    with serving() as (served, address):
        served.address = address
        served.first = served.commit("org/repo", {"g.safetensors": content})
        served.cards["org/repo"] = {"license": "apache-2.0"}
        served.official["tiny.safetensors"] = content
        point_client_to(monkeypatch, address, tmp_path)
        yield served
        getattr(utils, "close_session", getattr(utils, "reset_sessions", None))()  # by the client's version


@pytest.fixture
def waits(monkeypatch):
    """Seconds that would have been slept."""
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def catalogd(server, monkeypatch):
    """Put a generator called tiny into the catalog, by default at both places."""

    def add(at_hub="org/repo:g.safetensors", url="/official/tiny.safetensors", sha256=None):
        entry = catalog.CatalogEntry(
            "tiny", 16, 3, "digits", read_license("mit"), "these tests", True, "", at_hub, url, sha256
        )
        if url:
            entry = catalog.CatalogEntry(**{**vars(entry), "url": server.address + url})
        monkeypatch.setitem(catalog.CATALOG, "tiny", entry)
        return "tiny"

    return add
