"""What `glad check` finds: counts, sizes, duplicates, files that cannot be read, and what is done."""

import json
import shutil

import numpy as np
import pytest
import torch
from errors import mentions
from image_files import load_with_notices, noise, write_images, write_npz
from PIL import Image

from glad.data.inspection import describe, inspect_data


@pytest.fixture
def pets(tmp_path):
    """Two classes in three splits, no image twice."""
    for s, (split, count) in enumerate({"train": 10, "valid": 3, "test": 4}.items()):
        for c, name in enumerate(("cat", "dog")):
            write_images(tmp_path / "pets" / split / name, count, size=(12, 8), seed=2 * s + c)
    return tmp_path / "pets"


def test_what_is_there_and_what_is_done(pets):
    found = inspect_data(str(pets), resolution=8)
    assert not found.problems and not found.notices and found.classes == ("cat", "dog")
    assert found.counts == {"train": [10, 10], "validation": [3, 3], "test": [4, 4]}
    assert found.origins == {"train": "train/", "validation": "valid/", "test": "test/"}
    assert (
        found.sizes == [((12, 8), 34)] and found.modes == {"RGB": 34} and (found.channels, found.resolution) == (3, 8)
    )
    assert found.steps == [
        "read as RGB",
        "the shorter side is scaled to 8",
        "the middle square is kept, which cuts off up to 33% of an image",
    ]
    assert found.duplicates.within == {"train": 0, "validation": 0, "test": 0}
    record = json.loads(json.dumps(found.fields()))
    assert record["usable"] and record["counts"]["test"] == {"cat": 4, "dog": 4} and record["schema"] == 1
    assert record["sizes"] == [{"width": 12, "height": 8, "images": 34}]


def test_what_would_stop_a_run_is_a_problem(pets):
    found = inspect_data(str(pets))
    assert len(found.problems) == 1 and "is 12x8, not square: choose a size" in found.problems[0]
    assert not found.steps and not found.fields()["usable"]
    assert mentions(inspect_data(str(pets / "none")).problems[0], f"{pets}/none exist")
    (pets / "train" / "emu").mkdir()
    found = inspect_data(str(pets), resolution=8)
    assert found.problems == ["class 'emu' has no train images in pets: add some or leave it out (--classes)"]
    assert not inspect_data(str(pets), resolution=8, classes=["dog", "cat"]).problems


def test_images_that_are_enlarged_or_kept_are_counted(pets):
    write_images(pets / "train" / "cat", 1, size=(5, 5), seed=99)
    assert mentions(inspect_data(str(pets), resolution=7).steps[1], "shorter 7 1 of 34")
    path = write_npz(pets / "a.npz")
    assert inspect_data(path).steps == ["read as gray", "kept at 8x8"]


def test_every_file_that_cannot_be_read_is_named(pets):
    (pets / "train" / "cat" / "000.png").write_bytes(b"text")
    whole = (pets / "test" / "dog" / "001.png").read_bytes()
    (pets / "test" / "dog" / "001.png").write_bytes(whole[: len(whole) // 2])
    found = inspect_data(str(pets), resolution=8)
    assert found.problems == ["2 of 34 files cannot be read"]
    assert len(found.unreadable) == 2 and "000.png cannot be read" in found.unreadable[0]
    assert len(found.raw.parts["train"].labels) == 19 and found.steps


def test_a_data_set_without_one_readable_file(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            (tmp_path / name / f"{i}.png").write_bytes(b"text")
    found = inspect_data(str(tmp_path))
    assert found.problems == ["20 of 20 files cannot be read"] and not found.steps


def test_duplicates_are_found_by_pixels_within_and_across_splits(pets):
    with Image.open(pets / "train" / "cat" / "003.png") as image:
        image.save(pets / "test" / "cat" / "other.bmp")
    shutil.copy(pets / "train" / "cat" / "004.png", pets / "train" / "cat" / "again.png")
    shutil.copy(pets / "train" / "cat" / "005.png", pets / "valid" / "dog" / "again.png")
    found = inspect_data(str(pets), resolution=8)
    assert found.duplicates.within == {"train": 1, "validation": 0, "test": 0}
    assert found.duplicates.in_training == {"validation": 1, "test": 1} and found.duplicates.contradictory == 1
    assert (str(pets / "train/cat/003.png"), str(pets / "test/cat/other.bmp")) in found.duplicates.examples
    assert found.notices == [
        "pets: 1 of 7 validation images and 1 of 9 test images are identical to training images",
        "pets: 1 train images repeat another of their split",
        "pets: 1 images are there under several classes",
    ]


def test_duplicates_of_arrays_are_positions(tmp_path):
    test = noise(8, 8, 8, seed=1)
    test[5] = test[2]
    found = inspect_data(write_npz(tmp_path / "a.npz", x_test=test, y_test=np.arange(8) % 4))
    assert found.duplicates.within["test"] == 1
    assert found.duplicates.examples == [("x_test, y_test, image 2", "x_test, y_test, image 5")]


def test_notices_are_those_of_loading(tmp_path):
    for c, (name, count) in enumerate({"cat": 10, "dog": 30}.items()):
        write_images(tmp_path / name, count, seed=c)
    (tmp_path / "cat" / "a.gif").write_bytes(b"x")
    _, notices = load_with_notices(tmp_path)
    assert inspect_data(str(tmp_path)).notices == notices.splitlines() and len(notices.splitlines()) == 2


def test_the_short_form(pets, tmp_path):
    splits, _ = load_with_notices(pets, resolution=8, limit=10)
    assert describe(splits) == (
        "pets: 2 classes, RGB 8x8; train 10 (train/, limited to 10 of 20 images), validation 6 (valid/), test 8 (test/)"
    )
    splits, _ = load_with_notices("fashion-mini", limit=20)
    assert describe(splits).startswith(
        "fashion-mini: 10 classes, gray 28x28; train 20 (its train images, limited to 20 of 5000 images), validation"
    )
    assert torch.equal(splits.train.labels.bincount(), torch.full((10,), 2))
