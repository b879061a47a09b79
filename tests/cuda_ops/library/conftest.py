"""A library of one operator, and a machine to build it on."""

import os

import pytest
from tiny_operators import make_compiler, make_sources


@pytest.fixture
def namespace(request):
    return f"glad_{request.node.name}".replace("[", "_").replace("]", "").replace("-", "_")


@pytest.fixture
def csrc(tmp_path, namespace):
    return make_sources(tmp_path / "csrc", namespace)


@pytest.fixture
def environ(tmp_path):
    """A machine with a compiler that pretends, and a cache."""
    compiler = make_compiler(tmp_path / "bin")
    path = f"{compiler.parent}:{os.environ['PATH']}"
    return {"PATH": path, "CXX": str(compiler), "GLAD_OPS_CACHE": str(tmp_path / "cache")}
