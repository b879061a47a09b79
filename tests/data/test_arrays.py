"""npz files: the names of arrays that say what is what."""

import numpy as np
import pytest
import torch
from errors import mentions, naming
from image_files import load_with_notices, noise, write_npz

from glad.data.notices import DataError
from glad.data.splits import load_data

NAMES = {
    "x_{}": "y_{}",
    "X_{}": "Y_{}",
    "{}_images": "{}_labels",
    "{}_x": "{}_y",
    "images_{}": "labels_{}",
    "{}_data": "{}_targets",
}


def arrays(images, labels, counts):
    """Arrays by these names, for so many images of each split."""
    return {
        name.format(split): value
        for s, (split, n) in enumerate(counts.items())
        for name, value in ((images, noise(n, 8, 8, seed=s)), (labels, np.arange(n) % 4))
    }


@pytest.mark.parametrize(("images", "labels"), NAMES.items())
@pytest.mark.parametrize("validation", ["val", "valid", "validation", "dev"])
def test_splits_are_read_by_the_names_of_their_arrays(tmp_path, images, labels, validation):
    counts = {"train": 40, validation: 12, "test": 8}
    np.savez(tmp_path / "a.npz", **arrays(images, labels, counts))
    splits = load_data(str(tmp_path / "a.npz"))
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [40, 12, 8]
    for s, part in enumerate((splits.train, splits.validation, splits.test)):
        assert torch.equal(part.images[:, 0], torch.from_numpy(noise(len(part), 8, 8, seed=s)))
        assert part.labels.tolist() == [i % 4 for i in range(len(part))]
    assert splits.origins["validation"] == f"{images.format(validation)}, {labels.format(validation)}"


def test_medical_labels_of_one_column_and_splits(tmp_path):
    given = arrays("{}_images", "{}_labels", {"train": 40, "val": 12, "test": 8})
    np.savez(tmp_path / "a.npz", **{k: v[:, None] if "labels" in k else v for k, v in given.items()})
    splits = load_data(str(tmp_path / "a.npz"))
    assert len(splits.validation) == 12 and splits.test.labels.tolist() == [0, 1, 2, 3] * 2


def test_several_labels_per_image_are_refused(tmp_path):
    given = arrays("{}_images", "{}_labels", {"train": 40})
    np.savez(tmp_path / "a.npz", **{**given, "train_labels": np.zeros((40, 14), int)})
    with pytest.raises(DataError, match=naming("train_labels int64 (40 14)")):
        load_data(str(tmp_path / "a.npz"))


def test_validation_images_are_the_test_images_where_there_are_no_others(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays("x_{}", "y_{}", {"train": 40, "val": 12}))
    splits, notices = load_with_notices(tmp_path / "a.npz")
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [36, 4, 12]
    assert "x_val, y_val holds the test images; validation is held out of training" in notices


def test_arrays_that_are_not_used_are_said(tmp_path):
    path = write_npz(tmp_path / "a.npz", images=noise(4, 8, 8), extra=np.zeros(3), mean=np.zeros(1))
    splits, notices = load_with_notices(path)
    assert "a.npz: not used: images, extra" in notices and len(splits.train) == 28


def test_classes_have_the_names_that_the_file_gives(tmp_path):
    path = write_npz(tmp_path / "a.npz", classes=np.array(["cat", "dog", "emu", "fox"]))
    train = load_data(path).train
    assert train.classes == ("cat", "dog", "emu", "fox") and train.numbering == 0
    assert load_data(write_npz(tmp_path / "b.npz")).train.numbering == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": noise(4, 8, 8)}, "x_train train_images"),
        ({"val_images": noise(4, 8, 8)}, "'val_labels' x_train, y_train, val_images"),
        ({"val_labels": np.zeros(4, int)}, "'val_images'"),
        ({"X_test": noise(4, 8, 8)}, "'y_test'"),
        ({"classes": np.array(["a", "b"])}, "classes in"),
        ({"classes": np.array(list("aabc"))}, "4 names"),
        ({"classes": np.arange(4)}, "int64 (4,) 4"),
        ({"y_train": np.zeros(40, int)}, "one two"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, changes, message):
    with pytest.raises(DataError) as caught:
        load_data(write_npz(tmp_path / "a.npz", **changes))
    assert mentions(caught.value, message)
