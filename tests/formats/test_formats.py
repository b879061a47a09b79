"""Every form of an exported set against what other programs read, and against the set itself."""

import gc
import io
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distilled_sets import PICTURES, files_in, make_set, without
from errors import naming
from image_files import load_with_notices
from PIL import Image
from safetensors.torch import load_file
from torchvision.datasets import ImageFolder

from glad.data.notices import DataNotice
from glad.data.splits import load_data
from glad.formats import png
from glad.formats.distilled import Distilled
from glad.formats.export import export
from glad.formats.load import load_distilled
from glad.formats.storage import Levels, QuantizationLoss, eight_bits, sixteen_bits
from glad.runs.storage import RunError


def test_the_cost_of_levels_is_what_it_says():
    pixels = torch.tensor([0.0, 1.0, 0.5, -0.1, 1.2]).view(1, 1, 1, 5)
    stored = Levels(8).quantize(pixels)
    assert stored.dtype == np.uint8 and stored.ravel().tolist() == [0, 255, 128, 0, 255]
    cost = Levels(8).cost(pixels)
    assert cost.clipped == pytest.approx(2 / 5)
    assert cost.outside == cost.max == pytest.approx(0.2 * 255, rel=1e-5)
    assert cost.mean == pytest.approx((0.5 + 0.1 * 255 + 0.2 * 255) / 5, rel=1e-5)
    assert eight_bits(pixels) == Levels(8, 0, 1)


def test_eight_bits_come_back_as_a_data_set_reads_them():
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    pixels = Levels(8).pixels(stored)
    assert torch.equal(pixels.flatten(), torch.arange(256).float() / 255)
    assert np.array_equal(Levels(8).quantize(pixels), stored)
    assert Levels(8).cost(pixels) == QuantizationLoss()


@pytest.mark.parametrize("bounds", [(0.2, 0.7), (-1.5, 2.0)])
def test_sixteen_bits_clip_nothing(bounds):
    pixels = torch.linspace(*bounds, 64).view(1, 1, 8, 8)
    levels = sixteen_bits(pixels)
    assert (levels.low, levels.high) == (min(0, bounds[0]), max(1, bounds[1]))
    cost = levels.cost(pixels)
    assert cost.clipped == cost.outside == 0
    assert 0 < cost.max <= 255 * (levels.high - levels.low) / 65535 / 2 * 1.01


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize(("channels", "soft", "step_size"), [(1, False, None), (3, True, 0.0123)])
def test_a_set_comes_back(tmp_path, kind, channels, soft, step_size):
    source = make_set(channels, soft, step_size)
    card = export(source, kind, tmp_path / "set").card
    loaded = load_distilled(tmp_path / "set")
    assert without(loaded) == without(source) and loaded.card == card and card.format == kind
    assert torch.equal(loaded.labels, source.labels) and loaded.labels.dtype == torch.int64
    if soft:
        assert torch.equal(loaded.soft_labels, source.soft_labels)
    else:
        assert loaded.soft_labels is None
    if card.levels is None:
        expected, cost = source.pixels, QuantizationLoss()
        assert torch.equal(loaded.images, source.images)
    else:
        expected, cost = card.levels.pixels(card.levels.quantize(source.pixels)), card.levels.cost(source.pixels)
        assert torch.equal(loaded.images, source.card.data().normalize(expected))
        clipped = source.pixels.clamp(card.levels.low, card.levels.high)
        assert float((expected - clipped).abs().max()) <= 0.51 / (2**card.levels.bits - 1) * (
            card.levels.high - card.levels.low
        )
    assert torch.equal(loaded.pixels, expected) and card.cost == cost


@pytest.mark.parametrize("kind", PICTURES)
def test_what_was_read_is_written_with_the_same_bytes_but_for_the_cost(tmp_path, kind):
    export(make_set(), kind, tmp_path / "a")
    export(load_distilled(tmp_path / "a"), kind, tmp_path / "b")
    first, second = load_distilled(tmp_path / "a"), load_distilled(tmp_path / "b")
    assert torch.equal(first.images, second.images) and torch.equal(first.pixels, second.pixels)
    export(make_set(), kind, tmp_path / "c")
    assert files_in(tmp_path / "a") == files_in(tmp_path / "c")


def test_names_that_a_folder_cannot_have_are_replaced(tmp_path):
    export(make_set(), "folder", tmp_path / "set")
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == ["0_a_b", "1_ünt", "2_c_d", "dataset.json"]


def rounded(source):
    """The pixels as 8 bits, [N, H, W, C], by the formula."""
    return (source.pixels.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


SPLIT_WORDS = (
    "train",
    "test_tube",
    "bullet-train",
    "Dev",
    "eval 2",
    "contest",
    "validation",
    "2test",
    "trainer",
    "val",
)


def test_class_folders_with_the_words_of_splits_are_no_splits_to_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    count = len(SPLIT_WORDS)
    card = replace(make_set().card, classes=SPLIT_WORDS, images=4 * count)
    pixels, labels = torch.rand(4 * count, 3, 8, 8), torch.arange(count).repeat(4)
    export(Distilled(card.data().normalize(pixels), pixels, labels, None, card), "folder", tmp_path / "set")
    for options in ({"path": str(tmp_path / "set")}, {"path": "imagefolder", "data_dir": str(tmp_path / "set")}):
        found = datasets.load_dataset(**options, cache_dir=str(tmp_path / "cache"))
        assert {name: len(part) for name, part in found.items()} == {"train": 4 * count}
        assert sorted(found["train"]["label"]) == sorted(labels.tolist())
        assert [name.split("_", 1)[1] for name in found["train"].features["label"].names][:3] == [
            "~train",
            "~test_tube",
            "bullet-~train",
        ]
    assert load_distilled(tmp_path / "set").card.classes == SPLIT_WORDS
    assert load_with_notices(tmp_path / "set")[0].train.classes == tuple(sorted(SPLIT_WORDS))


def test_torchvision_reads_the_folder(tmp_path):
    source = make_set()
    export(source, "folder", tmp_path / "set")
    found = ImageFolder(str(tmp_path / "set"))
    names = json.loads((tmp_path / "set" / "dataset.json").read_text())["files"]
    assert len(found) == 7
    for path, label in found.samples:
        i = names.index(str(Path(path).relative_to(tmp_path / "set")))
        assert label == source.labels[i]
        assert np.array_equal(np.asarray(Image.open(path)), rounded(source)[i])


@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_reads_sixteen_bits(channels):
    image = np.random.default_rng(0).integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    for order, low in ((image, 0), (image.byteswap(), 8)):
        read = np.asarray(Image.open(io.BytesIO(png.encode(order)))).reshape(5, 7, channels)
        if channels == 1:
            assert np.array_equal(read, order)
        else:  # of 16-bit color Pillow keeps the high byte
            assert np.array_equal(read, image >> 8 - low & 255)
    assert np.array_equal(png.decode(png.encode(image)), image)


def test_sixteen_bits_written_anew_are_refused(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 65536, (8, 8), dtype=np.uint16))
    image.save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=naming("anew")):
        png.decode((tmp_path / "x.png").read_bytes())


def test_a_png_of_two_channels_is_refused():
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        png.encode(np.zeros((4, 4, 2), dtype=np.uint8))


def test_the_npz_is_plain_arrays_that_data_reads(tmp_path):
    source = make_set()
    export(source, "npz", tmp_path / "set.npz")
    with np.load(tmp_path / "set.npz") as file:
        assert np.array_equal(file["images"], rounded(source)) and file["labels"].tolist() == source.labels.tolist()
        assert file["classes"].tolist() == list(source.classes) and file["step_size"] == 0.0123
        assert np.array_equal(file["mean"], np.float32(source.mean)) and file["std"].dtype == np.float32
        assert np.array_equal(file["soft_labels"], source.soft_labels.numpy())
    export(load_distilled_twice(source), "npz", tmp_path / "more.npz")
    with pytest.warns(DataNotice, match=naming("training images")):
        data = load_data(str(tmp_path / "more.npz"))
    assert data.train.channels == 3 and data.train.resolution == 8


def load_distilled_twice(source):
    """A set of more images, as a data set with three splits needs."""
    card = replace(source.card, images=14)
    doubled = (torch.cat([t, t]) for t in (source.images, source.pixels, source.labels, source.soft_labels))
    return type(source)(*doubled, card)


def test_safetensors_hold_the_floats(tmp_path):
    source = make_set()
    export(source, "safetensors", tmp_path / "set.safetensors")
    stored = load_file(tmp_path / "set.safetensors")
    assert {name: bool(torch.equal(tensor, getattr(source, name))) for name, tensor in stored.items()} == dict.fromkeys(
        ("images", "pixels", "labels", "soft_labels"), True
    )


def test_datasets_and_pandas_read_the_parquet(tmp_path):
    datasets, pandas = pytest.importorskip("datasets"), pytest.importorskip("pandas")
    source = make_set()
    export(source, "parquet", tmp_path / "set.parquet")
    table = datasets.Dataset.from_parquet(str(tmp_path / "set.parquet"), cache_dir=str(tmp_path / "cache"))
    assert isinstance(table.features["image"], datasets.Image)
    assert table.features["label"].names == list(source.classes)
    assert table["label"] == source.labels.tolist()
    for i, row in enumerate(table):
        assert np.array_equal(np.asarray(row["image"]), rounded(source)[i])
        assert row["soft_label"] == source.soft_labels[i].tolist()
    frame = pandas.read_parquet(tmp_path / "set.parquet")
    assert frame["label"].tolist() == source.labels.tolist()
    assert np.array_equal(png.decode(frame["image"][2]["bytes"]), rounded(source)[2])


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RunError, match=r"pip install 'glad-distill\[export\]'"):
        export(make_set(), "parquet", tmp_path / "set.parquet")
    assert not list(tmp_path.iterdir())


def test_webdataset_reads_the_tar(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    source = make_set()
    export(source, "webdataset", tmp_path / "set.tar")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the library leaves closing the tar to the collector
        pipeline = webdataset.WebDataset(str(tmp_path / "set.tar"), shardshuffle=False).decode("pil")
        samples = list(pipeline.to_tuple("png", "cls", "json"))
        gc.collect()
    assert len(samples) == 7
    for i, (image, label, about) in enumerate(samples):
        assert np.array_equal(np.asarray(image), rounded(source)[i]) and label == source.labels[i]
        assert about == {"class": source.classes[label], "soft_label": source.soft_labels[i].tolist()}
