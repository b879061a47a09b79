"""The embedded photographs of clothing, made from a folder of files."""

import json

import make_clothing_mini
import pytest
import torch
from click.testing import CliRunner
from image_files import write_images
from safetensors import safe_open

from glad.data import embedded
from glad.data.splits import load_data

pytestmark = pytest.mark.filterwarnings("ignore::glad.data.notices.DataNotice")
COUNTS = {"train": {"hat": 5, "skirt": 2}, "validation": {"hat": 2, "skirt": 1}, "test": {"hat": 1, "skirt": 3}}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The file of a small source, of which three training images of a class are kept."""
    monkeypatch.setattr(make_clothing_mini, "MOST", 3)
    for i, (split, counts) in enumerate(COUNTS.items()):
        for name, count in counts.items():
            write_images(tmp_path / "source" / split / name, count, size=(80, 100), seed=10 * i + len(name))
    out = tmp_path / "clothing-mini.safetensors"
    result = CliRunner().invoke(make_clothing_mini.main, ["--data", str(tmp_path / "source"), "--out", str(out)])
    assert result.exit_code == 0 and "train 5, validation 3, test 4" in result.output
    return out


def test_the_file_says_where_it_is_from(written):
    with safe_open(written, "pt") as file:
        origin = json.loads(file.metadata()["origin"])
    assert origin["licence"] == "CC0 1.0" and origin["classes"] == ["hat", "skirt"] and "Grigorev" in origin["source"]


def test_it_is_read_as_the_source_is(written, monkeypatch):
    source = load_data(str(written.parent / "source"), resolution=64)
    monkeypatch.setattr(embedded, "ASSETS", written.parent)
    splits = load_data("clothing-mini")
    for name, wanted in {"train": [3, 2], "validation": [2, 1], "test": [1, 3]}.items():
        part, whole = getattr(splits, name), getattr(source, name)
        assert part.labels.bincount().tolist() == wanted
        images, originals = (one.raw(torch.arange(len(one))).float() for one in (part, whole))
        distances = (images[:, None] - originals[None]).abs().mean((2, 3, 4))
        near, where = distances.min(1)
        assert near.max() < 20 < distances.median()  # JPEG of noise; another image is 80 away
        assert whole.labels[where].equal(part.labels)


def test_the_same_source_gives_the_same_file(written):
    again = written.with_name("again.safetensors")
    options = ["--data", str(written.parent / "source"), "--out", str(again)]
    result = CliRunner().invoke(make_clothing_mini.main, options)
    assert result.exit_code == 0 and again.read_bytes() == written.read_bytes()
