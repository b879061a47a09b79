"""``glad.load_distilled``: a PyTorch data set from any form, and an error that says why there is none."""

import json

import pytest
import torch
import yaml
from distilled_sets import PICTURES, distill, make_set
from errors import naming
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset

import glad
from glad.data.dataset import DataError, ImageData, Splits
from glad.data.splits import load_data
from glad.formats import FORMATS
from glad.formats.export import export
from glad.runs.storage import RunError, read_tensors, write_tensors


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return distill(tmp_path_factory.mktemp("runs") / "codes")


def test_a_run_is_a_data_set(run):
    loaded, train = glad.load_distilled(run.path), load_data("fashion-mini").train
    images, labels = run.read_set()
    assert isinstance(loaded, Dataset) and len(loaded) == 10
    assert torch.equal(loaded.images, images) and torch.equal(loaded.labels, labels)
    assert torch.equal(loaded.pixels, train.pixels(images))
    assert (loaded.classes, loaded.mean, loaded.std) == (train.classes, train.mean, train.std)
    assert loaded.step_size is None and loaded.soft_labels is None and loaded.targets is loaded.labels
    pixels = torch.rand(2, 1, 28, 28)
    assert torch.equal(loaded.normalize(pixels), train.normalize(pixels))
    assert loaded.card.made["objective"] == "dm" and len(loaded.card.made["hashes"]["weights"]) == 64
    batches = list(DataLoader(loaded, batch_size=4))
    assert torch.equal(torch.cat([x for x, _ in batches]), images) and [len(y) for _, y in batches] == [4, 4, 2]


def test_items_have_the_soft_labels_where_there_are_some(tmp_path):
    source = make_set(soft=True)
    export(source, "folder", tmp_path / "set")
    image, target = glad.load_distilled(tmp_path / "set")[3]
    assert torch.equal(target, source.soft_labels[3]) and image.shape == (3, 8, 8)


def test_soft_labels_and_step_size_of_a_run(tmp_path):
    run = distill(tmp_path / "run", iterations=1)
    soft = torch.rand(10, 10).softmax(1)
    tensors, _ = read_tensors(run.path / "synset.safetensors")
    write_tensors(run.path / "synset.safetensors", {**tensors, "labels": soft})
    state, metadata = read_tensors(run.state)
    write_tensors(run.state, {**state, "objective/alpha": torch.tensor(0.03)}, **metadata)
    loaded = glad.load_distilled(run.path)
    assert torch.equal(loaded.soft_labels, soft) and torch.equal(loaded.labels, soft.argmax(1))
    assert loaded.step_size == float(torch.tensor(0.03))
    for kind in FORMATS:
        export(loaded, kind, tmp_path / kind)
        again = glad.load_distilled(tmp_path / kind)
        assert torch.equal(again.soft_labels, soft) and again.step_size == loaded.step_size


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\3\4", b"PAR1PAR1", b"\x02\0\0\0\0\0\0\0{}"])
def test_what_is_no_set_is_an_error_with_its_path(tmp_path, content):
    path = tmp_path / "set"
    with pytest.raises(RunError, match=naming(f"{path} exist")):
        glad.load_distilled(path)
    path.write_bytes(content)
    with pytest.raises((RunError, DataError), match=str(path)):
        glad.load_distilled(path)


def test_a_folder_without_a_set_is_an_error(tmp_path):
    with pytest.raises(DataError, match=naming(f"{tmp_path} CLASS/image.png")):
        glad.load_distilled(tmp_path)
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(DataError, match=naming("dataset.json list")):
        glad.load_distilled(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(RunError, match=naming("dataset.json")):
        glad.load_distilled(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format": "folder"}')
    with pytest.raises(RunError, match=naming("'classes'")):
        glad.load_distilled(tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in PICTURES if FORMATS[kind].suffix])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.95])
def test_truncated_files_are_errors_with_their_path(tmp_path, kind, kept):
    path = tmp_path / "set"
    export(make_set(), kind, path)
    whole = path.read_bytes().rstrip(b"\0")  # a tar ends in zeros that hold nothing
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(RunError, match=str(path)):
        glad.load_distilled(path)


@pytest.mark.parametrize("kind", ["folder", "folder16"])
def test_a_damaged_or_missing_picture_is_an_error(tmp_path, kind):
    export(make_set(), kind, tmp_path / "set")
    first = sorted((tmp_path / "set").rglob("*.png"))[0]
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=naming("set PNG")):
        glad.load_distilled(tmp_path / "set")
    first.unlink()
    with pytest.raises(RunError, match=first.name):
        glad.load_distilled(tmp_path / "set")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 8}, "7 images 8"),
        ({"resolution": 9}, "0 [8 8 3] set's [9 9 3]"),
        ({"classes": ["a"]}, "labels 7 0 0"),
        ({"labels": [0, 1]}, "labels 7"),
        ({"soft_labels": [[1.0]]}, "soft labels [1 1] [7 3]"),
        ({"levels": None}, "pixels stored"),
        ({"levels": {"bits": "many", "depth": 3}}, "depth"),
    ],
)
def test_a_description_that_does_not_fit_is_an_error(tmp_path, changes, message):
    export(make_set(), "folder", tmp_path / "set")
    path = tmp_path / "set" / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(RunError, match=naming(message)):
        glad.load_distilled(tmp_path / "set")


def copy_of(run, folder):
    folder.mkdir()
    for name in ("config.yaml", "inputs.json", "state.safetensors", "synset.safetensors"):
        (folder / name).write_bytes((run.path / name).read_bytes())
    return folder


def test_unfinished_runs_are_refused(run, tmp_path):
    folder = copy_of(run, tmp_path / "longer")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "iterations": 100}))
    with pytest.raises(RunError, match=naming("2 100")):
        glad.load_distilled(folder)
    (folder / "synset.safetensors").unlink()
    with pytest.raises(RunError, match=naming(f"{folder} finished")):
        glad.load_distilled(folder)


def test_damaged_runs_are_refused(run, tmp_path):
    folder = copy_of(run, tmp_path / "damaged")
    tensors = load_file(folder / "synset.safetensors")
    save_file({**tensors, "images": tensors["images"] / 0}, folder / "synset.safetensors")
    with pytest.raises(RunError, match=naming(f"{folder} finite")):
        glad.load_distilled(folder)
    (folder / "config.yaml").write_text("ipc: 2\n")
    with pytest.raises(RunError, match=naming("'iterations'")):
        glad.load_distilled(folder)


def test_a_run_on_an_object_needs_the_object(tmp_path):
    data = load_data("fashion-mini", limit=200, zca=True)
    run = distill(tmp_path / "run", data=data, prior="pixels", iterations=1)
    with pytest.raises(RunError, match=naming("glad.load_distilled(..., data=...)")):
        glad.load_distilled(run.path)
    loaded = glad.load_distilled(run.path, data=data)
    assert loaded.card.zca == "kept" and torch.equal(loaded.pixels, data.train.pixels(run.read_set()[0]))
    other = load_data("fashion-mini", limit=100)
    with pytest.raises(RunError, match=naming(other.train.digest[:12])):
        glad.load_distilled(run.path, data=other)
    assert isinstance(other, Splits) and isinstance(other.train, ImageData)
