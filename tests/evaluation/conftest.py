"""A run of one iteration, which each test finds without results."""

import pytest
from distilled_sets import distill
from evaluations import LIMIT
from few_images import few_held_out

from glad.data import readers, splits


@pytest.fixture(scope="session")
def teachers(tmp_path_factory):
    return tmp_path_factory.mktemp("teachers")


@pytest.fixture(scope="session")
def distilled(tmp_path_factory):
    return distill(tmp_path_factory.mktemp("runs") / "codes", iterations=1, limit=LIMIT)


@pytest.fixture
def codes(distilled, teachers, monkeypatch):
    monkeypatch.setenv("GLAD_TEACHER_CACHE", str(teachers))
    yield distilled
    for path in [*distilled.path.glob("results*.json"), *distilled.path.glob("soft_labels*")]:
        path.unlink()


@pytest.fixture(autouse=True, scope="module")
def few():
    with few_held_out():
        yield


@pytest.fixture
def all_held_out(monkeypatch):
    """The data as it is, for results that were stored elsewhere."""
    monkeypatch.setattr(splits, "read", readers.read)
