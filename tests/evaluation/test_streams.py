"""Random draws follow what a set holds and which row it is, never what its file is called or how it is ordered."""

import numpy as np
import pytest
import torch
from evaluations import LIMIT, evaluate, resolved, untimed
from PIL import Image

from glad.data.splits import load_data
from glad.evaluation import rows_of
from glad.evaluation.candidates import of_path
from glad.evaluation.results_store import read_results
from glad.formats.export import export
from glad.formats.load import load_distilled

KINDS = {"npz": "set.npz", "folder": "set", "webdataset": "set.tar", "parquet": "set.parquet"}
DATA = {"data": "fashion-mini", "limit": LIMIT}


@pytest.fixture(scope="module")
def train():
    return load_data("fashion-mini", limit=LIMIT).train


def accuracies(results):
    """The accuracies of each set by seed."""
    found = {}
    for cell in results["cells"]:
        found.setdefault(cell["row"], []).append(cell["accuracy"])
    return found


def test_equal_sets_in_several_files_score_the_same(codes, tmp_path, train):
    levels = load_distilled(export(load_distilled(codes.path), "npz", tmp_path / "set.npz").path)
    paths = [export(levels, kind, tmp_path / name, force=True).path for kind, name in KINDS.items()]
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    pixels = np.round(levels.pixels.numpy() * 255).astype(np.uint8)
    np.savez(tmp_path / "shuffled.npz", images=pixels[order], labels=levels.labels[order].numpy())
    for i, (image, label) in enumerate(zip(pixels[::-1], levels.labels.tolist()[::-1], strict=True)):
        (tmp_path / "plain" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(tmp_path / "plain" / str(label) / f"{i}.png")
    results = evaluate([*paths, tmp_path / "shuffled.npz", tmp_path / "plain"], **DATA)
    found = accuracies(results)
    names = ["set.npz", "set", "set.tar", "set.parquet", "shuffled", "plain"]
    assert list(found) == [f"set:{name}" for name in names]
    assert len({tuple(values) for values in found.values()}) == 1


def test_the_draws_of_other_images_are_others(codes, tmp_path, train):
    images = train.raw(torch.cat([train.of_class(c)[:1] for c in range(10)]))
    for name, set_ in (("a", images), ("b", 255 - images)):
        np.savez(tmp_path / f"{name}.npz", images=set_.numpy(), labels=np.arange(10))
    one, other = (of_path(tmp_path / f"{name}.npz", train) for name in "ab")
    assert one.content != other.content and one.content == of_path(tmp_path / "a.npz", train).content


def test_two_sets_called_alike_are_compared(tmp_path, train):
    images = train.raw(torch.cat([train.of_class(c)[:1] for c in range(10)])).numpy()
    for name, set_ in (("one", images), ("two", 255 - images)):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "images.npz", images=set_, labels=np.arange(10))
    paths = [tmp_path / name / "images.npz" for name in ("one", "two")]
    alone = evaluate(paths[0], **DATA)
    both = evaluate(paths, **DATA)
    assert [row.id for row in rows_of(both).values()] == ["set:one/images.npz", "set:two/images.npz"]
    assert [entry["against"] for entry in both["differences"]] == ["set:two/images.npz"]
    assert accuracies(both)["set:one/images.npz"] == accuracies(alone)["set:images"]
    again = evaluate(paths[0], **DATA, on_cell=lambda *_: pytest.fail("a network was trained"))
    assert untimed(again["cells"]) == untimed(alone["cells"])
    with pytest.raises(ValueError, match=r"one/images.npz is given twice: name each set once"):
        evaluate([paths[0], paths[0]], **DATA)


def test_results_of_a_renamed_file_are_still_its_own(tmp_path, train):
    images = train.raw(torch.cat([train.of_class(c)[:1] for c in range(10)])).numpy()
    np.savez(tmp_path / "old.npz", images=images, labels=np.arange(10))
    before = evaluate(tmp_path / "old.npz", **DATA, hybrid=[5], baselines=["random"])
    for end in ("npz", "npz.results.json"):
        (tmp_path / f"old.{end}").rename(tmp_path / f"new.{end}")
    after = evaluate(
        tmp_path / "new.npz", **DATA, hybrid=[5], baselines=["random"], on_cell=lambda *_: pytest.fail("trained")
    )
    assert list(after["summary"]) == ["set:new", "random:1", "hybrid:5:new", "share:5"]
    assert [c["accuracy"] for c in after["cells"]] == [c["accuracy"] for c in before["cells"]]
    (stated,) = read_results(tmp_path / "new.npz.results.json")
    assert list(stated["settings"]["sets"]) == ["new"]


def test_baselines_take_as_many_of_each_class_as_an_uneven_set(tmp_path, train):
    counts = [3, 1, 2, 1, 1, 1, 1, 1, 1, 0]
    indices = torch.cat([train.of_class(c)[:n] for c, n in enumerate(counts)])
    np.savez(tmp_path / "set.npz", images=train.raw(indices).numpy(), labels=train.labels[indices].numpy())
    with pytest.warns(UserWarning, match="no images of Ankle boot"):
        found = resolved(tmp_path / "set.npz", **DATA, baselines=["random", "kmeans", "herding"], networks=["convnet"])
        conditions = found.conditions.for_seed(0)
    rows = [condition.row for condition in conditions.values()]
    assert [row.kind for row in rows] == ["set", "random", "kmeans", "herding"]
    assert rows[1].label == "random real images, 12 in all, shared out as the set's" and rows[1].id.startswith(
        "random:12-"
    )
    for condition in conditions.values():
        assert condition.data[1].bincount(minlength=10).tolist() == counts
