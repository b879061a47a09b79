"""load_data: splits, classes, limits, folders of images, and what it says when it cannot go on."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from errors import mentions, naming
from image_files import load_with_notices, noise, write_images, write_npz

from glad.data.dataset import DataError
from glad.data.readers import known_sources
from glad.data.splits import load_data


@pytest.fixture
def npz(tmp_path):
    return write_npz(tmp_path / "toy.npz", x_test=noise(8, 8, 8, seed=1), y_test=np.arange(8) % 4)


@pytest.fixture
def folder(tmp_path):
    for c, name in enumerate(("cat", "dog")):
        write_images(tmp_path / "pets" / name, 10, seed=c)
    return tmp_path / "pets"


def all_images(splits):
    return [image.numpy().tobytes() for part in (splits.train, splits.validation, splits.test) for image in part.images]


# --- fashion-mini ---


def test_fashion_mini_is_balanced_and_no_image_is_twice():
    splits = load_data("fashion-mini")
    counts = {"train": 500, "validation": 100, "test": 100}
    for name, count in counts.items():
        assert getattr(splits, name).labels.bincount().tolist() == [count] * 10
    assert splits.train.images.shape == (5000, 1, 28, 28) and splits.train.images.dtype == torch.uint8
    assert splits.train.classes[0] == "T-shirt/top" and splits.train.classes[9] == "Ankle boot"
    assert len(set(all_images(splits))) == 7000
    assert splits.train.mean == splits.test.mean == splits.validation.mean
    torch.testing.assert_close(splits.train.tensor().mean(), torch.tensor(0.0), rtol=0, atol=1e-5)
    torch.testing.assert_close(splits.train.tensor().std(), torch.tensor(1.0), rtol=0, atol=1e-4)


def test_clothing_mini_is_in_color_and_keeps_the_splits_of_its_source():
    splits = load_data("clothing-mini")
    sizes = {"train": [150, 123, *[150] * 6, 112, 150], "validation": [32, 14, 49, 24, 49, 29, 26, 25, 12, 81]}
    for name, counts in {**sizes, "test": [15, 12, 72, 38, 42, 26, 73, 30, 12, 52]}.items():
        part = getattr(splits, name)
        assert part.labels.bincount().tolist() == counts and part.resolution == 64 and part.channels == 3
        spread = torch.cat([part.raw(rows) for rows in part.chunks()]).float().std(1)
        assert spread.mean() > 5  # colors, not gray stored three times
    assert splits.train.classes[:3] == ("dress", "hat", "longsleeve") and splits.train.flip
    assert len(set(all_images(splits))) == 2148
    smaller = load_data("clothing-mini", resolution=32).train
    assert smaller.labels.equal(splits.train.labels)
    halved = F.avg_pool2d(splits.train.raw(torch.arange(8)).float(), 2)
    assert (smaller.raw(torch.arange(8)) - halved).abs().mean() < 4  # the same pictures, filtered a little otherwise


def test_fashion_mini_with_zca_gives_pixels_back():
    train = load_data("fashion-mini", limit=300, resolution=8, zca=True).train
    assert train.images.shape == (300, 1, 8, 8) and train.whitening is not None
    torch.testing.assert_close(train.pixels(train.tensor()), train.images / 255, rtol=0, atol=1e-5)


def test_zca_of_the_same_images_is_fitted_once():
    first, again = (load_data("fashion-mini", limit=200, resolution=6, zca=True).train.whitening for _ in range(2))
    other = load_data("fashion-mini", limit=100, resolution=6, zca=True).train.whitening
    assert again is first and other.digest != first.digest and not torch.equal(other.matrix, first.matrix)


def test_zca_is_the_published_one_on_pixels_with_a_tenth_added_to_each_eigenvalue():
    train = load_data("fashion-mini", limit=300, resolution=6, zca=True).train
    pixels = (train.images.double() / 255).flatten(1)
    values, vectors = torch.linalg.eigh(pixels.T.cov())
    expected = (pixels - pixels.mean(0)) @ vectors @ torch.diag((values + 0.1) ** -0.5) @ vectors.T
    torch.testing.assert_close(train.tensor().flatten(1).double(), expected, rtol=0, atol=1e-5)


# --- splits, classes, limit ---


def test_validation_is_disjoint_stratified_and_seeded(npz):
    splits = load_data(npz, validation=0.25)
    assert (
        splits.train.labels.bincount().tolist() == [7] * 4 and splits.validation.labels.bincount().tolist() == [3] * 4
    )
    assert len(set(all_images(splits))) == 48
    assert load_data(npz, validation=0.25).validation.digest == splits.validation.digest
    assert load_data(npz, validation=0.25, seed=1).validation.digest != splits.validation.digest
    assert load_data(npz, validation=1e-6).validation.labels.bincount().tolist() == [1] * 4


def test_test_images_carved_out_do_not_depend_on_the_seed(folder):
    first, second = load_data(str(folder), seed=0), load_data(str(folder), seed=1)
    assert torch.equal(first.test.images, second.test.images)
    assert not torch.equal(first.train.images, second.train.images)
    assert [len(s) for s in (first.train, first.validation, first.test)] == [14, 2, 4]


def test_statistics_are_those_of_the_training_images_left(npz):
    splits = load_data(npz, classes=[1, 2], limit=6)
    pixels = splits.train.images.double() / 255
    assert splits.test.mean == splits.train.mean == pytest.approx([pixels.mean().item()])
    assert splits.test.std == splits.train.std == pytest.approx([pixels.std(correction=0).item()])


def test_limit_is_stratified_and_keeps_every_class(tmp_path, monkeypatch):
    labels = np.repeat([0, 1, 2], [60, 20, 2])
    path = write_npz(tmp_path / "a.npz", 82, y_train=labels, x_test=noise(3, 8, 8, seed=1), y_test=np.arange(3))
    splits, notices = load_with_notices(path, limit=20)
    assert "the largest 0 with 14 training images, the smallest 2 with 1 (14.0 to 1)" in notices
    train = splits.train
    assert len(train) == 20 and train.labels.bincount().tolist() == [14, 5, 1]
    monkeypatch.setattr("glad.data.balance.UNEQUAL", 99)
    assert load_data(path, limit=20, seed=1).train.digest != train.digest == load_data(path, limit=20).train.digest
    assert len(load_data(path, limit=1000).train) == 73
    with pytest.raises(DataError, match=naming("limit 2 3")):
        load_data(path, limit=2)


def test_classes_by_position_and_name_keep_their_ids_and_order(folder, npz):
    splits = load_data(npz, classes=[3, "1"])
    assert splits.train.classes == ("3", "1") and splits.test.class_ids == (3, 1)
    everything = load_data(npz)
    assert torch.equal(splits.test.images[splits.test.labels == 0], everything.test.images[everything.test.labels == 3])
    assert load_data(str(folder), classes=["dog"]).train.class_ids == (1,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["dgo"]}, "pets 'dgo' 'dog'"),
        ({"classes": ["xyz"]}, "pets 'xyz' cat, dog"),
        ({"classes": [2]}, "pets 2 0 1"),
        ({"classes": []}, "one class"),
        ({"classes": ["cat", 0]}, "none twice"),
        ({"validation": 0.0}, "validation 0.0"),
        ({"validation": 0.95}, "'cat' pets 8 validation"),
        ({"resolution": 0}, "resolution 0 1"),
        ({"zca": True, "resolution": 65}, "3x65x65 12675 12288"),
    ],
)
def test_options_that_cannot_be_used(folder, options, message):
    with pytest.raises(DataError) as caught:
        load_data(str(folder), **options)
    assert mentions(caught.value, message)


# --- folders ---


def test_large_folders_stay_paths(folder, monkeypatch):
    decoded = load_data(str(folder), resolution=6)
    monkeypatch.setattr("glad.data.splits.DECODED_LIMIT", 20 * 3 * 6 * 6 - 1)
    splits = load_data(str(folder), resolution=6)
    assert isinstance(splits.train.images, tuple) and isinstance(decoded.train.images, torch.Tensor)
    torch.testing.assert_close(splits.train.tensor(), decoded.train.tensor())
    assert splits.train.mean == decoded.train.mean


def test_images_are_grey_only_if_all_are(tmp_path):
    write_images(tmp_path / "a", 5, gray=True)
    write_images(tmp_path / "b", 5, gray=True, suffix="jpg")
    assert load_data(str(tmp_path)).train.channels == 1
    write_images(tmp_path / "b", 1)
    splits = load_data(str(tmp_path))
    assert splits.train.channels == 3 and splits.train.images.shape[1:] == (3, 8, 8)


def test_mixed_sizes_need_a_resolution(folder):
    write_images(folder / "dog", 1, size=(9, 7))
    with pytest.raises(DataError, match=r"[0-9]+.png is 8x8 but .*dog.000.png is 9x7: .* --resolution"):
        load_data(str(folder))
    assert load_data(str(folder), resolution=5).train.images.shape[1:] == (3, 5, 5)


def test_images_that_are_not_square_need_a_resolution(tmp_path):
    write_images(tmp_path / "a", 5, size=(9, 7))
    write_images(tmp_path / "b", 5, size=(9, 7), seed=1)
    with pytest.raises(DataError, match=r"is 9x7, not square: .* --resolution"):
        load_data(str(tmp_path))
    assert load_data(str(tmp_path), resolution=7).train.resolution == 7


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    write_images(tmp_path / "a", 5, size=(32, 32), suffix=suffix)
    write_images(tmp_path / "b", 5, size=(32, 32), suffix=suffix, seed=1)
    bad = tmp_path / "a" / f"002.{suffix}"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size * 2 // 3])
    with pytest.raises(DataError) as caught:
        load_data(str(tmp_path))
    assert str(caught.value).startswith(f"{bad} cannot be read")


def test_a_file_that_is_no_image_is_named(folder):
    (folder / "cat" / "bad.png").write_text("text")
    with pytest.raises(DataError, match=naming("bad.png")):
        load_data(str(folder), resolution=8)


def test_folders_that_cannot_be_used(tmp_path, folder):
    (folder / "emu").mkdir()
    with pytest.raises(DataError, match=naming("'emu' train images pets --classes")):
        load_data(str(folder))
    assert len(load_data(str(folder), classes=["cat", "dog"]).train.classes) == 2
    write_images(folder / "emu", 1)
    with pytest.raises(DataError, match=naming("'emu' pets 1 images test")):
        load_data(str(folder))
    with pytest.raises(DataError, match=naming("class folders")):
        load_data(str(folder / "cat"))
    for name in ("cat", "dog"):
        write_images(tmp_path / "b" / "train" / name, 3)
    write_images(tmp_path / "b" / "test" / "cow", 3)
    with pytest.raises(DataError, match=naming("'cow' test")):
        load_data(str(tmp_path / "b"))


# --- names ---


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cifar11", "'cifar11' cifar10 fashion-mini, mnist"),
        ("qqqqq", "'qqqqq' fashion-mini, mnist"),
        ("", "fashion-mini, mnist"),
        ("no/such/folder", "no/such/folder"),
        ("missing.npz", "missing.npz"),
    ],
)
def test_unknown_sources(source, message):
    with pytest.raises(DataError) as caught:
        load_data(source)
    assert mentions(caught.value, message)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match=naming("folder .npz")):
        load_data(str(tmp_path / "a.txt"))


def test_known_sources_are_listed_once():
    names = known_sources()
    assert len(names) == len(set(names)) and {"fashion-mini", "stl10", "imagenet", "imagenet-mammals"} <= set(names)
