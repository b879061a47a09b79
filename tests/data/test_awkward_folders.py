"""Folders that are neither quite right nor quite wrong: used as their owner means them, said, or refused."""

import csv
import re

import pytest
from image_files import load_with_notices, write_images

from glad.data.notices import DataError


def build(root, *folders, count=10):
    """``count`` images in each of the folders, ``a/b`` one below the other."""
    for number, folder in enumerate(folders):
        write_images(root / folder, count, seed=number)
    return root


def write_table(root, name, titles, row):
    """A table of the images below ``root``: ``row(place, path)`` are the values below ``titles``."""
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    with (root / name).open("w", newline="") as file:
        csv.writer(file).writerows([titles, *(row(i, path) for i, path in enumerate(files))])


def animals(*splits):
    return [f"{split}/{name}" for split in splits for name in ("cat", "dog")]


def counts(splits):
    return [len(part) for part in (splits.train, splits.validation, splits.test)]


@pytest.mark.parametrize(
    "names",
    [("Train", "Validate", "TEST"), ("training set", "Validation-Images", "TestData"), ("train", "dev", "eval")],
)
def test_splits_by_other_words(tmp_path, names):
    splits, _ = load_with_notices(build(tmp_path, *animals(*names)))
    assert splits.train.classes == ("cat", "dog") and counts(splits) == [20, 20, 20]
    assert [splits.origins[split] for split in ("train", "validation", "test")] == [f"{name}/" for name in names]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            animals("trn", "tst"),
            r"has trn/, tst/, each with cat/, dog/: if they are splits, call them train, val and test",
        ),
        (animals("fold1", "fold2", "fold3"), "has fold1/, fold2/, fold3/, each with cat/, dog/"),
        (animals("pets/train", "pets/test"), "holds pets/ alone: give .*pets, which holds test/, train/"),
        (animals("train", "holdout"), "call holdout/ val or test where that is what it holds, else give .*train alone"),
        (["train/Cat", "train/dog", "test/cat", "test/dog"], "class 'cat' is in .*: call it 'Cat', as there"),
        (["train", "test"], r"without class folders: .* beside the images \(not read: train.csv\)"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_fix(tmp_path, folders, message):
    build(tmp_path, *folders)
    if folders == ["train", "test"]:
        write_table(tmp_path, "train.csv", ("id", "label"), lambda i, path: (path, i % 2))
    with pytest.raises(DataError, match=message):
        load_with_notices(tmp_path)


@pytest.mark.parametrize(
    ("folders", "classes", "said"),
    [
        (
            ["train/pet/cat", "train/pet/dog", "train/car"],
            ("car", "pet"),
            r"deeper folders \(cat/, dog/\) are of .* pet/",
        ),
        (
            ["cat", "cat/thumbs", "dog"],
            ("cat", "dog"),
            r"deeper folders \(thumbs/\) are of the classes above them, cat/",
        ),
    ],
)
def test_deeper_folders_are_said(tmp_path, folders, classes, said):
    splits, notices = load_with_notices(build(tmp_path, *folders))
    assert re.search(said, notices)
    assert splits.train.classes == classes


def test_a_split_without_images_is_said(tmp_path):
    build(tmp_path, *animals("train", "test"))
    (tmp_path / "val" / "cat").mkdir(parents=True)
    splits, notices = load_with_notices(tmp_path)
    assert f"val/ in {tmp_path}: no images that are read, not used" in notices and counts(splits) == [18, 2, 20]


@pytest.mark.parametrize("name", ["Labels.CSV", "Metadata.csv", "labels.csv"])
def test_a_table_counts_in_any_case_and_with_the_folders_of_another_machine(tmp_path, name):
    build(tmp_path, "a", "b")
    write_table(tmp_path, name, ("Path", "Class"), lambda i, path: (f"/home/me/pets/{path}", ("cat", "dog")[i % 2]))
    splits, notices = load_with_notices(tmp_path)
    assert splits.train.classes == ("cat", "dog") and sum(counts(splits)) == 20 and not notices


@pytest.mark.parametrize("title", ["set", "Usage", "my_part"])
def test_a_column_of_splits_by_its_values(tmp_path, title):
    words = ("train", "Train", "training", "Val", "testing")
    build(tmp_path, "images", count=40)
    write_table(
        tmp_path,
        "metadata.csv",
        ("file_name", "label", title),
        lambda i, path: (path, ("cat", "dog")[i // 5 % 2], words[i % 5]),
    )
    splits, _ = load_with_notices(tmp_path)
    assert counts(splits) == [24, 8, 8]


@pytest.mark.parametrize(
    ("title", "values", "message"),
    [
        (
            "is_valid",
            ("0", "1"),
            "has the column is_valid: name splits in a column split, as train, validation and test",
        ),
        ("Usage", ("Training", "PublicTest"), "has the split 'PublicTest': call splits train, validation and test"),
        ("set", ("train", ""), "has the split '': call splits"),
    ],
)
def test_a_column_that_hides_splits_is_refused(tmp_path, title, values, message):
    build(tmp_path, "images", count=20)
    write_table(
        tmp_path, "metadata.csv", ("file_name", "label", title), lambda i, path: (path, i // 2 % 2, values[i % 2])
    )
    with pytest.raises(DataError, match=message):
        load_with_notices(tmp_path)


def test_a_column_of_other_words_is_no_split(tmp_path):
    build(tmp_path, "images", count=20)
    write_table(
        tmp_path,
        "metadata.csv",
        ("file_name", "label", "text"),
        lambda i, path: (path, i % 2, ("a test", "oval")[i // 10]),
    )
    splits, _ = load_with_notices(tmp_path)
    assert sum(counts(splits)) == 20 and splits.origins["train"] == "metadata.csv"
