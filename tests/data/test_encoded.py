"""Images inside Parquet, tars and data sets of the Hub: the very pixels and labels, and their splits."""

import io
import json
import tarfile

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from image_files import load_with_notices
from PIL import Image

from glad.data.inspection import inspect_data
from glad.data.notices import DataError
from glad.data.splits import load_data
from glad.rng import rng_for

LEVELS = torch.randint(0, 256, (40, 3, 8, 8), generator=rng_for("encoded images")).to(torch.uint8)
LABELS = torch.arange(40) % 2
NAMES = ["emu", "cat"]
PICTURES = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in LEVELS]


def encode(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def check(splits, classes):
    """Whether each image, in whichever split, has its own label."""
    found = 0
    for part in (splits.train, splits.validation, splits.test):
        for image, label in zip(part.images, part.labels.tolist(), strict=True):
            (i,) = (image == LEVELS).flatten(1).all(1).nonzero().flatten().tolist()
            assert part.classes[label] == classes[int(LABELS[i])]
            found += 1
    assert found == 40 and sorted(splits.train.classes) == sorted(classes)


def of_hub():
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    return datasets.Dataset.from_dict({"image": PICTURES, "label": LABELS.tolist()}, features=features)


def test_a_table_of_parquet_that_datasets_wrote(tmp_path):
    of_hub().to_parquet(tmp_path / "set.parquet")
    splits = load_data(str(tmp_path / "set.parquet"))
    check(splits, NAMES)
    assert splits.train.classes == tuple(NAMES) and splits.train.numbering == 0
    assert inspect_data(str(tmp_path / "set.parquet")).problems == []


@pytest.mark.parametrize("labels", ["numbers", "names"])
def test_a_plain_table_of_parquet(tmp_path, labels):
    column = LABELS.tolist() if labels == "numbers" else [NAMES[label] for label in LABELS]
    table = pyarrow.table({"image": [encode(image) for image in PICTURES], "label": column})
    pyarrow.parquet.write_table(table, tmp_path / "set.parquet")
    check(load_data(str(tmp_path / "set.parquet")), ["0", "1"] if labels == "numbers" else NAMES)


@pytest.mark.parametrize("labels", ["cls", "names in cls", "json", "both"])
def test_a_tar(tmp_path, labels):
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for i, (image, label) in enumerate(zip(PICTURES, LABELS.tolist(), strict=True)):
            files = {"png": encode(image)}
            files |= {"cls": str(label).encode()} if labels in ("cls", "both") else {}
            files |= {"cls": NAMES[label].encode()} if labels == "names in cls" else {}
            files |= {"json": json.dumps({"class": NAMES[label]}).encode()} if labels in ("json", "both") else {}
            for suffix, content in files.items():
                member = tarfile.TarInfo(f"train/{i:03d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    splits = load_data(str(tmp_path / "set.tar"))
    check(splits, ["0", "1"] if labels == "cls" else NAMES)
    if labels == "both":
        assert splits.train.classes == tuple(NAMES)


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_a_sample_of_a_tar_has_one_image_and_what_is_not_read_is_said(tmp_path):
    image = encode(PICTURES[0])
    labels = [(f"{i}.cls", str(i % 2).encode()) for i in range(12)]
    pictures = [(f"{i}.{'png' if i < 10 else 'gif'}", image) for i in range(12)]
    write_tar(tmp_path / "set.tar", [*labels, *pictures])
    splits, said = load_with_notices(tmp_path / "set.tar")
    assert sum(len(part.labels) for part in (splits.train, splits.validation, splits.test)) == 10
    assert "not read as images: 10.gif, 11.gif" in said
    write_tar(tmp_path / "two.tar", [*labels, *pictures, ("4.mask.jpg", image)])
    with pytest.raises(DataError, match=r"two.tar, 4 has png and mask.jpg: keep one image per sample"):
        load_data(str(tmp_path / "two.tar"))


def test_a_data_set_of_the_hub(monkeypatch):
    whole, asked = of_hub(), []
    parts = datasets.DatasetDict(
        train=whole.select(range(30)), test=whole.select(range(30, 40)), extra=whole.select([0])
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda name: asked.append(name) or parts)
    splits, notices = load_with_notices("hf://org/pets")
    check(splits, NAMES)
    assert asked == ["org/pets"] and len(splits.test) == 10 and splits.train.classes == tuple(NAMES)
    assert "hf://org/pets: not used: extra" in notices


def test_what_the_hub_does_not_have_is_said_in_one_line(monkeypatch):
    def fail(name):
        raise FileNotFoundError(f"Couldn't find\n {name}")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        DataError, match=r"hf://org/pets cannot be loaded by datasets \(Couldn't find org/pets\): check"
    ):
        load_data("hf://org/pets")


def test_what_is_no_table_of_images_is_refused_with_its_columns(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"x": [1, 2], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"has the columns x \(int64\), label \(int64\): one with image files .* found 0 and 1"
    ):
        load_data(str(tmp_path / "a.parquet"))
    two = {"image": [encode(i) for i in PICTURES[:2]], "fine_label": [0, 1], "category": [0, 1], "class": [0, 1]}
    pyarrow.parquet.write_table(pyarrow.table(two), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="found 1 and 2"):
        load_data(str(tmp_path / "b.parquet"))
    (tmp_path / "c.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"c.parquet is damaged"):
        load_data(str(tmp_path / "c.parquet"))
    with tarfile.open(tmp_path / "d.tar", "w") as tar:
        tar.add(tmp_path / "a.parquet", "a.parquet")
    with pytest.raises(DataError, match=r"d.tar holds no images \(/a\)"):
        load_data(str(tmp_path / "d.tar"))


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    content = [encode(image) for image in PICTURES]
    content[3] = content[3][:40]
    pyarrow.parquet.write_table(pyarrow.table({"image": content, "label": LABELS.tolist()}), tmp_path / "set.parquet")
    with pytest.raises(DataError, match=r"set.parquet, row 3 cannot be read as an image"):
        load_data(str(tmp_path / "set.parquet"))


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    save_file({"images": LEVELS, "labels": LABELS}, tmp_path / "set.safetensors", {"classes": "emu\ncat"})
    check(load_data(str(tmp_path / "set.safetensors")), NAMES)
    pixels = LEVELS.float() / 255
    save_file({"images": pixels * 3 - 1, "pixels": pixels, "labels": LABELS}, tmp_path / "set.safetensors")
    splits, notices = load_with_notices(tmp_path / "set.safetensors")
    check(splits, ["0", "1"])
    assert "pixels are rounded to 8 bits; 0 % lay outside" in notices
    assert np.all(splits.train.images.numpy() <= 255)
