"""A run to push, the Hub on the loopback, and the lack of it."""

import shutil

import numpy as np
import pytest
from distilled_sets import distill
from few_images import few_held_out
from hub_client import point_client_to
from hub_server import serving
from huggingface_hub import utils
from PIL import Image
from pushed_sets import HOSTILE, SMALL

from glad.runs.folder import Run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Codes of the embedded generator, two images a class."""
    return distill(tmp_path_factory.mktemp("runs") / "codes", ipc=2, **SMALL)


@pytest.fixture
def copy(run, tmp_path):
    """The same run in a folder that a test may change."""
    shutil.copytree(run.path, tmp_path / "runs" / "codes")
    return Run(tmp_path / "runs" / "codes")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An empty Hub, the client turned to it with a token."""
    with serving() as (served, address):
        served.address = address
        point_client_to(monkeypatch, address, tmp_path)
        monkeypatch.setenv("HF_TOKEN", served.token)
        yield served
        utils.close_session()


@pytest.fixture
def foreign(tmp_path):
    """A run from a folder whose classes have names that YAML, Markdown and HTML would read, and pixels as prior."""
    rng = np.random.default_rng(0)
    for name in HOSTILE:
        (tmp_path / "home" / "my data" / name).mkdir(parents=True)
        for i in range(8):
            image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            image.save(tmp_path / "home" / "my data" / name / f"{i}.png")
    options = {"prior": "pixels", "objective_options": {"batch": 2}, "root": tmp_path / "home"}
    return distill(tmp_path / "home" / "runs" / "pixels", data=str(tmp_path / "home" / "my data"), **options)


@pytest.fixture(autouse=True, scope="module")
def few():
    with few_held_out():
        yield
