"""Images that are there twice: said where they are tested on, and left out where that is asked for."""

import shutil

import numpy as np
import pytest
import torch
from errors import naming
from image_files import load_with_notices, noise, write_images, write_npz

from glad.data import duplicates
from glad.data.duplicates import identities
from glad.data.notices import DataError
from glad.data.raw import Part


@pytest.fixture
def leaky(tmp_path):
    """40 training and 12 test images, of which 5 are training images; three training images are there twice."""
    train, test = noise(40, 8, 8), noise(12, 8, 8, seed=1)
    test[:5] = train[10:15]
    train[37:] = train[:3]
    return write_npz(tmp_path / "a.npz", x_train=train, x_test=test, y_test=np.arange(12) % 4)


def test_test_images_that_are_training_images_are_said(leaky):
    splits, notices = load_with_notices(leaky)
    both = {image.numpy().tobytes() for image in splits.train.images}
    count = sum(image.numpy().tobytes() in both for image in splits.test.images)
    assert f"a: {count} of 12 test images" in notices.replace("validation images and ", "validation images; a: ")
    assert (
        count in (4, 5) and "identical to training images (--drop-duplicates" in notices
    )  # one may be held out for validation


def test_duplicates_leave_training_and_validation_but_never_the_test_images(leaky):
    splits, notices = load_with_notices(leaky, drop_duplicates=True)
    plain, _ = load_with_notices(leaky)
    assert torch.equal(splits.test.images, plain.test.images)
    parts = [splits.train, splits.validation, splits.test]
    seen = [image.numpy().tobytes() for part in parts for image in part.images]
    assert len(set(seen)) == len(seen) == 40 + 12 - 3 - 5
    assert set(seen) == {image.numpy().tobytes() for p in (plain.train, plain.test) for image in p.images} | {
        image.numpy().tobytes() for image in plain.validation.images
    }
    assert "training images" not in notices and "are left out, for they are there twice" in notices
    pixels = splits.train.images.double() / 255
    assert splits.train.mean == pytest.approx([pixels.mean().item()])


def test_nothing_is_said_or_dropped_without_duplicates(tmp_path):
    path = write_npz(tmp_path / "a.npz", x_test=noise(8, 8, 8, seed=1), y_test=np.arange(8) % 4)
    plain, notices = load_with_notices(path)
    clean, more = load_with_notices(path, drop_duplicates=True)
    assert plain.train.digest == clean.train.digest and notices == more == ""


def test_a_class_that_has_duplicates_only_is_named(tmp_path):
    path = write_npz(tmp_path / "a.npz", x_test=noise(40, 8, 8), y_test=np.arange(40) % 4)
    with pytest.raises(DataError, match=naming("'0' validation images")):
        load_with_notices(path, drop_duplicates=True)


def test_copies_in_files_are_seen_decoded_or_not(tmp_path, monkeypatch):
    for c, name in enumerate(("cat", "dog")):
        write_images(tmp_path / "train" / name, 10, seed=c)
        write_images(tmp_path / "test" / name, 3, seed=c + 2)
        shutil.copy(tmp_path / "train" / name / "004.png", tmp_path / "test" / name / "again.png")
    _, decoded = load_with_notices(tmp_path)
    monkeypatch.setattr("glad.data.splits.DECODED_LIMIT", 0)
    _, listed = load_with_notices(tmp_path)
    assert decoded == listed
    dropped, _ = load_with_notices(tmp_path, drop_duplicates=True)
    assert "004.png" not in {path.name for p in (dropped.train, dropped.validation) for path in p.images}


@pytest.mark.parametrize("changed", ["head", "middle", "tail"])
def test_files_of_one_size_are_compared_to_the_last_byte(tmp_path, monkeypatch, changed):
    monkeypatch.setattr(duplicates, "ENDS", 4)
    content = bytearray(range(100))
    content[{"head": 0, "middle": 50, "tail": 99}[changed]] ^= 1
    for name, data in {"a": bytes(range(100)), "b": bytes(content), "c": bytes(range(100)), "d": bytes(99)}.items():
        (tmp_path / name).write_bytes(data)
    part = Part(tuple(tmp_path / name for name in "abcd"), torch.zeros(4, dtype=torch.int64))
    (a, b, c), (d,) = identities([part.take(torch.tensor([0, 1, 2])), part.take(torch.tensor([3]))])
    assert a == c and len({a, b, d}) == 3
