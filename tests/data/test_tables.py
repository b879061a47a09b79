"""Files of labels: StyleGAN's dataset.json, metadata.csv and .jsonl of Hugging Face, labels.csv."""

import csv
import json

import numpy as np
import pytest
import torch
from image_files import load_with_notices, write_images
from PIL import Image

from glad.data.notices import DataError
from glad.data.splits import load_data


@pytest.fixture
def shards(tmp_path):
    """Images as StyleGAN's ``dataset_tool`` lays them out: the folders say nothing of the classes."""
    for shard in (0, 1):
        write_images(tmp_path / f"0000{shard}", 22, seed=shard)
    return tmp_path


def names(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))


def write_csv(path, titles, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([titles, *rows])


def labels_as_read(splits):
    """The class of each image, by its pixels."""
    parts = (splits.train, splits.validation, splits.test)
    return {
        image.numpy().tobytes(): part.classes[label]
        for part in parts
        for image, label in zip(part.images, part.labels.tolist(), strict=True)
    }


def labels_as_written(root, by_name):
    return {
        torch.from_numpy(_pixels(root / name)).permute(2, 0, 1).contiguous().numpy().tobytes(): label
        for name, label in by_name.items()
    }


def _pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def refusal(root):
    with pytest.raises(DataError) as caught:
        load_data(str(root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- dataset.json ---


def test_stylegan_shards_are_no_classes(shards):
    given = {name: (7 * i + 3) % 11 for i, name in enumerate(names(shards))}
    (shards / "dataset.json").write_text(json.dumps({"labels": [list(pair) for pair in given.items()]}))
    splits = load_data(str(shards))
    assert splits.train.classes == tuple(map(str, range(11)))  # 10 after 9, not after 1
    assert labels_as_read(splits) == labels_as_written(shards, {name: str(c) for name, c in given.items()})
    assert splits.train.class_ids == tuple(range(11)) and splits.train.numbering == 11


def test_stylegan_shards_without_labels_are_refused(shards):
    (shards / "dataset.json").write_text('{"labels": null}')
    assert "dataset.json has no labels, and 00000/, 00001/ are shards: add the labels" in refusal(shards)


def test_what_glad_exports_is_read_by_its_names(tmp_path):
    for c, folder in enumerate(("0_T-shirt_top", "1_Trouser")):
        write_images(tmp_path / folder, 10, seed=c)
    files = names(tmp_path)
    card = {"classes": ["T-shirt/top", "Trouser"], "files": files, "labels": [int(name[0]) for name in files]}
    (tmp_path / "dataset.json").write_text(json.dumps(card))
    assert load_data(str(tmp_path)).train.classes == ("T-shirt/top", "Trouser")


# --- Hugging Face ---


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_metadata_beside_all_images(tmp_path, suffix):
    write_images(tmp_path / "images", 20)
    given = {name: ("cat", "dog")[i % 2] for i, name in enumerate(names(tmp_path))}
    if suffix == "csv":
        write_csv(tmp_path / "metadata.csv", ["label", "file_name", "text"], [(c, f, "a, b") for f, c in given.items()])
    else:
        lines = [json.dumps({"file_name": name, "label": label}) for name, label in given.items()]
        (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    splits = load_data(str(tmp_path))
    assert splits.train.classes == ("cat", "dog")
    assert labels_as_read(splits) == labels_as_written(tmp_path, given)


@pytest.mark.parametrize("where", ["root", "split"])
def test_metadata_of_splits(tmp_path, where):
    counts = {"train": 20, "valid": 6, "test": 4}
    rows = []
    for s, (split, count) in enumerate(counts.items()):
        write_images(tmp_path / split, count, seed=s)
        own = [(f"{i:03}.png", i % 2) for i in range(count)]
        rows += [(f"{split}/{name}", label) for name, label in own]
        if where == "split":
            write_csv(tmp_path / split / "metadata.csv", ["file_name", "label"], own)
    if where == "root":
        write_csv(tmp_path / "metadata.csv", ["file_name", "label"], rows)
    splits = load_data(str(tmp_path))
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [20, 6, 4]
    assert labels_as_read(splits) == labels_as_written(tmp_path, {name: str(label) for name, label in rows})


def test_metadata_without_labels_leaves_the_folders(tmp_path):
    for c, name in enumerate(("cat", "dog")):
        write_images(tmp_path / name, 10, seed=c)
    write_csv(tmp_path / "metadata.csv", ["file_name", "caption"], [(name, "fine") for name in names(tmp_path)])
    splits, notices = load_with_notices(tmp_path)
    assert splits.train.classes == ("cat", "dog") and "metadata.csv has no labels: classes are the folders" in notices


# --- labels.csv ---


@pytest.mark.parametrize(
    ("titles", "form"),
    [
        (["id", "breed"], "stem"),
        (["file", "label"], "name"),
        (["image", "class"], "path"),
        (None, "name"),
        (None, "path"),
    ],
)
def test_labels_csv_names_files_with_or_without_folder_and_suffix(tmp_path, titles, form):
    write_images(tmp_path / "train", 20)
    write_images(tmp_path / "test", 3, seed=1)
    for path in (tmp_path / "test").iterdir():
        path.rename(path.with_name(f"unlabeled-{path.name}"))
    given = {name: ("pug", "corgi")[i % 2] for i, name in enumerate(names(tmp_path / "train"))}
    keys = {"path": "./train/{}", "name": "{}", "stem": "{}"}
    rows = [(keys[form].format(name[: -4 if form == "stem" else None]), label) for name, label in given.items()]
    write_csv(tmp_path / "labels.csv", titles or rows[0], rows if titles else rows[1:])
    splits, notices = load_with_notices(tmp_path)
    assert labels_as_read(splits) == labels_as_written(tmp_path / "train", given)
    assert f"3 images in {tmp_path} are not in labels.csv: not used" in notices


def test_labels_csv_with_splits_and_semicolons(tmp_path):
    write_images(tmp_path, 30)
    rows = [f"{i:03}.png;{'ab'[i % 2]};{'Train' if i < 20 else 'dev' if i < 24 else 'testing'}" for i in range(30)]
    (tmp_path / "labels.csv").write_text("\n".join(["Filename;Label;Split", *rows]))
    splits = load_data(str(tmp_path))
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [20, 4, 6]
    assert splits.origins["validation"] == "labels.csv, validation"


def test_a_table_of_other_files_leaves_the_folders(tmp_path):
    for c, name in enumerate(("cat", "dog")):
        write_images(tmp_path / name, 10, seed=c)
    write_csv(tmp_path / "labels.csv", ["file", "label"], [("0a1b.jpg", "pug")])
    splits, notices = load_with_notices(tmp_path)
    assert splits.train.classes == ("cat", "dog") and "labels.csv is not used: none of its 1 files is here" in notices


# --- refusals ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,label\n000.png,a\n001.png,\n", "has the label '': give each image one class"),
        ("file_name,label\n000.png,a\n000.png,b\n", "000.png has the labels 'a' and 'b': give each image one class"),
        ("file_name,label\n000.png,a\n999.png,b\n", "lists 1 files that are not here, such as 999.png: mend the table"),
        ("file_name,label\n000.png,a,b\n", "has 3 columns in line 2, 2 in the first"),
        ("file_name,label\n", "has no lines: fill or remove it"),
        ("file_name,category,class\n000.png,a,b\n", "has the columns file_name, category, class: call the one"),
        ("file_name,cat,dog\n000.png,1,0\n", "has the columns file_name, cat, dog: call the one with the files"),
        ("file_name,label,split\n000.png,a,train\n001.png,b,fold1\n", "has the split 'fold1': call splits train"),
        ("file_name,label,split\n000.png,a,test\n001.png,b,test\n", "lists no training images"),
        ("file_name,label\n000.png,a\n001.png,a\n", "has one class, 'a'"),
        ('file_name,label\n"000.png,a\n', "columns in line"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    write_images(tmp_path, 4)
    (tmp_path / "labels.csv").write_text(text)
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "000.png", "label": ["a", "b"]}',
            "has the label ['a', 'b']: give each image",
        ),
        ("metadata.jsonl", '{"file_name": "000.png", "label": 0.5}', "has the label 0.5"),
        ("metadata.jsonl", "{", "metadata.jsonl cannot be read"),
        ("metadata.jsonl", '{"file_name": "000.png", "label": 1}\n{"label": 1}', "cannot be read ('file_name')"),
        ("dataset.json", "[]", "dataset.json cannot be read"),
        ("dataset.json", '{"labels": [["000.png"]]}', "dataset.json cannot be read"),
        ("labels.csv", b"\xff\xfe\0", "labels.csv cannot be read"),
    ],
)
def test_damaged_tables(tmp_path, name, text, message):
    write_images(tmp_path, 4)
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refusal(tmp_path)


def test_two_tables_are_refused(tmp_path):
    write_images(tmp_path, 4)
    for name in ("metadata.csv", "labels.csv"):
        (tmp_path / name).write_text("file_name,label\n")
    assert "has labels.csv and metadata.csv: keep the one whose labels count" in refusal(tmp_path)
