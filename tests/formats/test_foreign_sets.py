"""Files of other programs, in the forms that the field writes: right pixels and labels, or a line that helps."""

import argparse
import pickle

import numpy as np
import pytest
import torch
from distilled_sets import make_set
from safetensors.torch import save_file

import glad
from glad.data.dataset import ImageData, Splits
from glad.data.notices import DataError, DataNotice
from glad.data.splits import load_data
from glad.rng import rng_for
from glad.runs.storage import RunError

MEAN, STD = (0.4, 0.5, 0.1), (0.25, 0.5, 0.75)
LABELS = torch.tensor([2, 0, 1, 1, 0, 2])
LEVELS = torch.randint(0, 256, (6, 3, 8, 8), generator=rng_for("foreign sets")).to(torch.uint8)
PIXELS = LEVELS.float() / 255
SOFT = torch.rand(6, 3, generator=rng_for("foreign labels")) + 3 * torch.nn.functional.one_hot(LABELS)


@pytest.fixture
def data():
    base = ImageData("theirs", LEVELS, LABELS, ("cat", "dog", "emu"), (0, 1, 2), MEAN, STD, 8, 3)
    return Splits(base, base, base)


def check(loaded, data, soft=None):
    torch.testing.assert_close(loaded.pixels, PIXELS, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(loaded.images, data.train.normalize(PIXELS), atol=1e-5, rtol=1e-5)
    assert loaded.labels.tolist() == LABELS.tolist() and loaded.classes == ("cat", "dog", "emu")
    assert (loaded.soft_labels is None) == (soft is None)
    if soft is not None:
        torch.testing.assert_close(loaded.soft_labels, soft)


NORMALIZED = (PIXELS - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
CONTENTS = {
    "a list": [PIXELS, LABELS],
    "a tuple": (PIXELS, LABELS),
    "data of dc": {"data": [[PIXELS, LABELS]]},
    "a dictionary": {"images": PIXELS, "labels": LABELS},
    "words of the scripts": {"image_syn": PIXELS, "label_syn": LABELS},
    "channels last": [LEVELS.permute(0, 2, 3, 1), LABELS],
    "whole numbers": [LEVELS.long(), LABELS],
    "that need a gradient": [PIXELS.clone().requires_grad_(), LABELS],
    "labels as floats": [PIXELS, LABELS.float()],
    "labels one-hot": [PIXELS, torch.nn.functional.one_hot(LABELS)],
    "labels in a column": [PIXELS, LABELS[:, None]],
    "labels as a list": [PIXELS, LABELS.tolist()],
    "images and labels by turns": [(image, int(label)) for image, label in zip(PIXELS, LABELS, strict=True)],
    "float64": [PIXELS.double(), LABELS.int()],
}


@pytest.mark.parametrize("name", CONTENTS)
def test_torch_files(tmp_path, data, name):
    torch.save(CONTENTS[name], tmp_path / "set.pt")
    check(glad.load_distilled(tmp_path / "set.pt", data=data), data)


def test_half_floats_are_as_exact_as_they_are(tmp_path, data):
    torch.save([PIXELS.half(), LABELS], tmp_path / "set.pt")
    loaded = glad.load_distilled(tmp_path / "set.pt", data=data)
    assert torch.equal(loaded.pixels, PIXELS.half().float()) and loaded.images.dtype == torch.float32


@pytest.mark.parametrize("given", ["images_best.pt", "labels_best.pt", "."])
def test_a_pair_of_torch_files(tmp_path, data, given):
    torch.save(PIXELS, tmp_path / "images_best.pt")
    torch.save(LABELS, tmp_path / "labels_best.pt")
    check(glad.load_distilled(tmp_path / given, data=data), data)


def test_of_several_pairs_the_best_one_counts_and_others_are_asked_about(tmp_path, data):
    for end in ("0", "best"):
        torch.save(PIXELS if end == "best" else 1 - PIXELS, tmp_path / f"images_{end}.pt")
        torch.save(LABELS, tmp_path / f"labels_{end}.pt")
    with pytest.warns(
        DataNotice, match=r"the set is images_best.pt and labels_best.pt; not used: images_0.pt, labels_0"
    ):
        check(glad.load_distilled(tmp_path, data=data), data)
    for kind in ("images", "labels"):
        (tmp_path / f"{kind}_best.pt").rename(tmp_path / f"{kind}_5.pt")
    with pytest.raises(DataError, match=r"holds images_0.pt, images_5.pt: give the file of one set"):
        glad.load_distilled(tmp_path, data=data)


def test_of_several_sets_in_a_file_the_first_is_taken_with_a_word(tmp_path, data):
    torch.save({"data": [[PIXELS, LABELS], [1 - PIXELS, LABELS]]}, tmp_path / "set.pt")
    with pytest.warns(DataNotice, match="holds 2 sets: the first is taken"):
        check(glad.load_distilled(tmp_path / "set.pt", data=data), data)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_soft_labels(tmp_path, data, kind):
    torch.save([PIXELS, SOFT if kind == "logits" else SOFT.softmax(1)], tmp_path / "set.pt")
    with pytest.warns(DataNotice, match=rf"labels \[6, 3\] are {kind}"):
        check(glad.load_distilled(tmp_path / "set.pt", data=data), data, SOFT.softmax(1))


def test_objects_in_a_file_are_never_made(tmp_path, data):
    content = {
        "data": [[PIXELS, LABELS]],
        "args": argparse.Namespace(ipc=2, lr=0.1),
        "accs_all_exps": {"convnet": [np.float64(0.5)], "all": np.arange(3.0)},
    }
    torch.save(content, tmp_path / "set.pt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "set.pt", weights_only=True)
    with pytest.warns(DataNotice, match="the set is in data; not used: args, accs_all_exps"):
        check(glad.load_distilled(tmp_path / "set.pt", data=data), data)
    arrays = {"images": PIXELS.numpy(), "labels": LABELS.numpy(), "args": argparse.Namespace()}
    torch.save(arrays, tmp_path / "arrays.pt")
    with pytest.warns(DataNotice, match="the set is images and labels; not used: args"):
        check(glad.load_distilled(tmp_path / "arrays.pt", data=data), data)


def test_a_file_that_would_run_a_program_is_refused(tmp_path, data):
    class Hostile:
        def __reduce__(self):
            import os

            return os.system, ("true",)

    torch.save({"data": Hostile()}, tmp_path / "set.pt")
    with pytest.raises(DataError, match=r"cannot be read without running code of it .*hostile"):
        glad.load_distilled(tmp_path / "set.pt", data=data)


def test_labels_that_are_names(tmp_path, data):
    names = np.array(["cat", "dog", "emu"])[LABELS.numpy()]
    np.savez(tmp_path / "set.npz", images=LEVELS.numpy(), labels=names)
    check(glad.load_distilled(tmp_path / "set.npz", data=data), data)


@pytest.mark.parametrize("kind", ["pt", "npz"])
@pytest.mark.parametrize("key", ["classes", "class_names"])
def test_names_of_classes_in_a_file_count(tmp_path, data, kind, key):
    names, labels = ["emu", "dog", "cat"], 2 - LABELS
    if kind == "pt":
        torch.save({"images": PIXELS, "labels": labels, key: names}, tmp_path / "set.pt")
    else:
        np.savez(tmp_path / "set.npz", images=LEVELS.numpy(), labels=labels.numpy(), **{key: np.array(names, "S")})
    check(glad.load_distilled(tmp_path / f"set.{kind}", data=data), data)


def test_what_is_not_used_of_a_torch_file_is_said(tmp_path, data):
    content = {"images": PIXELS, "labels": LABELS, "class_to_idx": {"emu": 0}}
    torch.save(content, tmp_path / "set.pt")
    with pytest.warns(DataNotice, match="not used: class_to_idx"):
        check(glad.load_distilled(tmp_path / "set.pt", data=data), data)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_float_files_of_other_kinds(tmp_path, data, kind):
    path = tmp_path / f"set.{kind}"
    if kind == "npz":
        np.savez(path, images=PIXELS.numpy(), labels=LABELS.numpy())
    else:
        save_file({"images": PIXELS, "labels": LABELS}, path)
    check(glad.load_distilled(path, data=data), data)


@pytest.mark.parametrize(
    ("stored", "values", "likely"),
    [
        (NORMALIZED, "normalized", "normalized"),
        (PIXELS * 255, "uint8", "uint8"),
        (PIXELS * 1.2 - 0.1, "unit", "normalized"),
    ],
)
def test_floats_outside_0_to_1_are_asked_about(tmp_path, data, stored, values, likely):
    torch.save([stored, LABELS], tmp_path / "set.pt")
    with pytest.raises(DataError, match=rf"values from .*--values unit .*--values normalized .*most likely {likely}"):
        glad.load_distilled(tmp_path / "set.pt", data=data)
    loaded = glad.load_distilled(tmp_path / "set.pt", data=data, values=values)
    wanted = PIXELS * 1.2 - 0.1 if values == "unit" else PIXELS
    torch.testing.assert_close(loaded.pixels, wanted, atol=1e-5, rtol=1e-5)
    if values == "normalized":
        assert torch.equal(loaded.images, stored)


def test_8_bits_that_are_almost_black_are_asked_about(tmp_path, data):
    np.savez(tmp_path / "set.npz", images=(LEVELS > 127).numpy().astype(np.uint8), labels=LABELS.numpy())
    with pytest.raises(DataError, match="almost black as pixels: --values unit if 1 is white"):
        glad.load_distilled(tmp_path / "set.npz", data=data)
    assert glad.load_distilled(tmp_path / "set.npz", data=data, values="unit").pixels.max() == 1


@pytest.mark.parametrize(
    ("stored", "values", "line"),
    [
        (LEVELS, "unit", "uint8 values from 0 to 255, which are not 0 to 1"),
        (PIXELS * 255, "unit", "far beyond 0 to 1"),
        (PIXELS, "uint8", "almost black as 0 to 255"),
    ],
)
def test_values_that_cannot_be_what_was_said(tmp_path, data, stored, values, line):
    torch.save([stored, LABELS], tmp_path / "set.pt")
    with pytest.raises(DataError, match=line):
        glad.load_distilled(tmp_path / "set.pt", data=data, values=values)


def test_without_data_a_set_is_normalized_by_itself(tmp_path):
    torch.save([PIXELS, LABELS], tmp_path / "set.pt")
    loaded = glad.load_distilled(tmp_path / "set.pt")
    mean = PIXELS.double().mean((0, 2, 3))
    torch.testing.assert_close(torch.tensor(loaded.mean), mean, check_dtype=False)
    torch.testing.assert_close(loaded.images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(loaded.images.std((0, 2, 3), unbiased=False), torch.ones(3))
    assert loaded.classes == ("0", "1", "2") and torch.equal(loaded.pixels, PIXELS)
    torch.save([NORMALIZED, LABELS], tmp_path / "set.pt")
    with pytest.raises(DataError, match=r"are the data's: name the data \(--data\)"):
        glad.load_distilled(tmp_path / "set.pt", values="normalized")


REFUSED = {
    "state": ({"conv.weight": torch.zeros(3, 3)}, r"holds a dictionary of 'conv.weight': float32 \[3, 3\]: a set is"),
    "no labels": ({"images": PIXELS}, r"lacks 'labels'"),
    "an image alone": (PIXELS, r"holds float32 \[6, 3, 8, 8\] and no file of labels lies beside it"),
    "multi-label": ([PIXELS, torch.ones(6, 3).long()], r"several labels per image, or none \(\[6, 3\]\)"),
    "rgba": ([torch.rand(6, 4, 8, 8), LABELS], r"shape \(6, 4, 8, 8\): store images as NHW, NHWC or NCHW"),
    "flat": ([torch.rand(6, 192), LABELS], r"holds float32 \[6, 192\] as images"),
    "other numbers": ([PIXELS, LABELS[:4]], "has 6 images and 4 labels"),
    "negative": ([PIXELS, LABELS - 1], "labels from -1 to 1: number the classes from 0"),
    "halves": ([PIXELS, LABELS / 2], "labels from 0.0 to 1.0"),
    "not finite": ([PIXELS / 0, LABELS], "values that are not finite"),
    "16 bits": ([LEVELS.int() * 257, LABELS], "int32 pixels from 0 to 65535"),
    "text": ("hello", "holds str 'hello': a set is"),
    "nothing": ([], "holds a list of 0: a set is"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_set_is_refused_with_what_it_holds(tmp_path, data, name):
    content, line = REFUSED[name]
    torch.save(content, tmp_path / "set.pt")
    with pytest.raises(DataError, match=line) as error:
        glad.load_distilled(tmp_path / "set.pt", data=data)
    assert "damaged" not in str(error.value)


def test_damaged_is_said_of_damaged_files(tmp_path, data):
    torch.save([PIXELS, LABELS], tmp_path / "set.pt")
    content = (tmp_path / "set.pt").read_bytes()
    (tmp_path / "set.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises((DataError, RunError), match=r"set.pt is damaged"):
        glad.load_distilled(tmp_path / "set.pt", data=data)


@pytest.mark.parametrize("ours", [False, True])
def test_a_changed_byte_of_a_torch_file_is_seen(tmp_path, data, ours):
    path = tmp_path / "set.pt"
    torch.save([PIXELS, LABELS], path)
    if ours:
        glad.export(glad.load_distilled(path, data=data), "torch", tmp_path / "ours")
        path = tmp_path / "ours" / "pixels.pt"
    content = bytearray(path.read_bytes())
    content[content.find(PIXELS.numpy().tobytes()) + 400] ^= 1
    path.write_bytes(content)
    with pytest.raises((DataError, RunError), match=rf"{path.name} is damaged.*data/0"):
        glad.load_distilled(tmp_path / "ours" if ours else path, data=data)


def test_what_the_scripts_of_the_field_read(tmp_path, data):
    torch.save([PIXELS, LABELS], tmp_path / "set.pt")
    loaded = glad.load_distilled(tmp_path / "set.pt", data=data)
    glad.export(loaded, "torch", tmp_path / "theirs")
    images, labels = (
        torch.load(tmp_path / "theirs" / f"{name}_best.pt", weights_only=True) for name in ("images", "labels")
    )
    assert torch.equal(images, loaded.images) and images.dtype == torch.float32
    assert torch.equal(labels, LABELS) and labels.dtype == torch.int64
    (tmp_path / "theirs" / "dataset.json").unlink()  # as another program would have written it
    with pytest.warns(DataNotice, match="not used: pixels.pt"):
        check(glad.load_distilled(tmp_path / "theirs", data=data, values="normalized"), data)


def test_medmnist_is_its_training_images(tmp_path, data):
    images, labels = LEVELS.permute(0, 2, 3, 1).numpy(), LABELS[:, None].numpy()
    few = {"val_images": images[:3], "val_labels": labels[:3], "test_images": images[:2], "test_labels": labels[:2]}
    np.savez(tmp_path / "set.npz", train_images=images, train_labels=labels, **few)
    with pytest.warns(DataNotice, match="the set is train_images and train_labels; not used: val_images"):
        check(glad.load_distilled(tmp_path / "set.npz", data=data), data)


def test_an_export_of_16_bits_beyond_0_to_1_is_no_data(tmp_path):
    glad.export(make_set(), "folder16", tmp_path / "set16")
    with pytest.raises(DataError, match=r"set16 holds pixels from -0\.\d+ to 1\.\d+: export the set as npz"):
        load_data(str(tmp_path / "set16"))
