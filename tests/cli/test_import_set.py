"""`glad import-set`, and sets of other programs as rows of `glad evaluate`, from the command line."""

import datasets
import numpy as np
import pytest
import torch
from distilled_sets import fails, invoke
from PIL import Image

import glad
from glad.data.pixels import decode
from glad.data.readers import read
from glad.data.splits import load_data
from glad.formats import FORMATS

DATA = ("--data", "fashion-mini", "--limit", "160")
TRAINING = (
    "--networks",
    "convnet",
    "--network-option",
    "convnet.width=4",
    "--seeds",
    "1",
    "--epochs",
    "1",
    "--device",
    "cpu",
)


@pytest.fixture(scope="module")
def train():
    return load_data("fashion-mini", limit=160).train


@pytest.fixture
def theirs(tmp_path, train):
    """A pair of torch files as the field's scripts write them, of real images: pixels and labels are known."""
    indices = torch.cat([train.of_class(c)[:2] for c in range(10)])
    torch.save(train.batch(indices), tmp_path / "images_best.pt")
    torch.save(train.labels[indices], tmp_path / "labels_best.pt")
    return tmp_path / "images_best.pt", train.raw(indices), train.labels[indices]


@pytest.mark.parametrize("name", ["set.npz", "set", "set.parquet"])
def test_a_torch_file_gets_our_form_and_a_picture(theirs, train, tmp_path, name):
    path, levels, labels = theirs
    assert "by their range most likely normalized" in fails("import-set", path, tmp_path / name, *DATA)
    assert not (tmp_path / name).exists()
    text = invoke("import-set", path, tmp_path / name, *DATA, "--values", "normalized")
    assert f"Written to {tmp_path / name}" in text and f"Picture: {tmp_path / name}.png" in text
    loaded = glad.load_distilled(tmp_path / name)
    assert torch.equal((loaded.pixels * 255).round().to(torch.uint8), levels) and torch.equal(loaded.labels, labels)
    assert loaded.classes == train.classes and (loaded.mean, loaded.std) == (train.mean, train.std)
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert picture.width > picture.height  # a column per class
    assert "exists already" in fails("import-set", path, tmp_path / name, *DATA, "--values", "normalized")


def test_a_torch_file_is_a_row_of_the_table_in_one_command(theirs, tmp_path):
    text = invoke("evaluate", theirs[0], *DATA, "--values", "normalized", *TRAINING)
    assert "images_best │" in text and "random real images, 2 per class" in text
    assert (tmp_path / "images_best.pt.results.json").exists()


def test_a_set_of_the_hub_is_a_row_of_the_table(theirs, train, tmp_path, monkeypatch):
    _, levels, labels = theirs
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(train.classes))})
    pictures = [Image.fromarray(image[0].numpy()) for image in levels]
    whole = datasets.Dataset.from_dict({"image": pictures, "label": labels.tolist()}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: {"org/pets": datasets.DatasetDict(train=whole)}[name])
    monkeypatch.chdir(tmp_path)
    assert "pets │" in invoke("evaluate", "hf://org/pets", *DATA, *TRAINING)
    assert (tmp_path / "org-pets.results.json").exists()


@pytest.mark.parametrize("kind", ["folder", "npz", "safetensors", "parquet", "webdataset"])
def test_exports_are_data(theirs, train, tmp_path, kind):
    path, levels, labels = theirs
    out = tmp_path / f"set{FORMATS[kind].suffix}"
    invoke("import-set", path, out, "--format", kind, *DATA, "--values", "normalized")
    raw = read(str(out), tmp_path, download=False)
    part = raw.parts["train"]
    assert raw.classes == train.classes or kind == "folder"
    names = [raw.classes[label] for label in part.labels]
    images = part.images
    if not isinstance(images, torch.Tensor):
        images = decode(images, 1, 28)
    found = {(np.asarray(image).tobytes(), name) for image, name in zip(images, names, strict=True)}
    assert found == {(i.numpy().tobytes(), train.classes[c]) for i, c in zip(levels, labels.tolist(), strict=True)}


def test_what_is_no_set_is_said(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    line = fails("import-set", tmp_path / "a.txt", tmp_path / "out")
    assert "a.txt is no set of images: expected is a folder of images by class, a file .npz, .safetensors, .pt" in line
