"""``glad.evaluate`` whole: rows, labels, scores, costs and files."""

from math import exp

import numpy as np
import pytest
import torch
from distilled_sets import invoke
from errors import naming
from evaluations import LIMIT, OPTIONS, evaluate, ids, resolved, untimed

import glad
from glad.data.coresets import select_herding
from glad.data.splits import load_data
from glad.evaluation import PROTOCOLS, cost, label_of
from glad.evaluation.cost import sentences
from glad.evaluation.hybrid import share_of
from glad.evaluation.teacher import open_teacher
from glad.runs import soft_labels
from glad.runs.storage import RunError, read_json


def test_rows_differences_and_the_file(codes):
    results = evaluate(codes, networks=["convnet", "alexnet"], baselines=["before", "herding"])
    rows = ["set:codes", "before:codes", "herding:1"]
    assert ids(results) == list(results["summary"]) == [row["id"] for row in results["rows"]] == rows
    labels = ["codes", "codes before optimization", "real images by herding in pixels, 1 per class"]
    assert [row["label"] for row in results["rows"]] == labels
    assert [(e["row"], e["against"]) for e in results["differences"]] == [(rows[0], rows[1]), (rows[0], rows[2])]
    by_seed = {(c["row"], c["network"], c["seed"]): c["accuracy"] for c in results["cells"]}
    for network, found in (("convnet", "seen"), ("alexnet", "cross")):
        apart = [by_seed[rows[0], network, seed] - by_seed[rows[1], network, seed] for seed in (0, 1)]
        assert results["differences"][0][found]["mean"] == pytest.approx(sum(apart) / 2)
    assert results["written"] == [str(codes.path / "results.json")]
    written = read_json(codes.path / "results.json")
    kept = {name: value for name, value in results.items() if name != "written"}
    assert written == {"format": 2, "settings": written["settings"], **kept}


def test_soft_labels_of_every_row_are_those_of_one_teacher(codes):
    hard = evaluate(codes, baselines=["random", "full"])
    results = evaluate(codes, label_mode="soft", baselines=["random", "full"], full_epochs=2)
    assert ids(results) == ["set:codes", "random:1", "full"]
    assert untimed(results["cells"]) != untimed(hard["cells"])
    data = load_data("fashion-mini", limit=LIMIT)
    teacher = open_teacher(data, "convnet", OPTIONS["convnet"], 2, torch.device("cpu"))
    assert results["teacher"] == {**teacher.settings, "validation_accuracy": teacher.accuracy}
    images = codes.read_set()[0]
    assert torch.equal(glad.load_distilled(codes.path).soft_labels, teacher.label(images))
    # What is trained on: the labels of each row's own images.
    evaluation = resolved(codes, label_mode="soft", full_epochs=2, baselines=["random", "full"])
    for condition in evaluation.conditions.for_seed(0).values():
        assert torch.equal(condition.data[1], teacher.label(condition.data[0]))


def test_hybrids_are_compared_with_their_share_alone(codes):
    results = evaluate(codes, hybrid=[5, 0.5])
    both, alone = "hybrid:5:codes", "share:5"
    assert ids(results)[:4] == ["set:codes", both, alone, "hybrid:0.5:codes"]
    assert [(e["row"], e["against"]) for e in results["differences"]][0] == (both, alone)
    evaluation = resolved(codes, hybrid=[5], baselines=[])
    found, share = evaluation.conditions.for_seed(3), share_of(evaluation.splits.train, 5, 3)
    assert torch.equal(found[alone].data[0], share[0])
    assert torch.equal(found[both].data[0], torch.cat([codes.read_set()[0], share[0]]))


def test_herding_works_in_the_features_of_a_teacher_that_is_named(codes):
    results = evaluate(codes, teacher="convnet", baselines=["herding"], seeds=1)
    assert results["rows"][1]["label"] == "real images by herding in features of a trained convnet, 1 per class"
    assert results["rows"][1]["features"] == "convnet" and ids(results)[1] == "herding:1"
    assert read_json(codes.path / "results.json")["settings"]["teacher"]["epochs"] == 1
    evaluation = resolved(codes, teacher="convnet", baselines=["herding"], full_epochs=1)
    found = evaluation.conditions.for_seed(0)["herding:1"].data
    expected = select_herding(evaluation.splits.train, 1, 0, evaluation.teacher.embed)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.parametrize(("label_mode", "augmentation"), [("hard", "color_crop"), ("soft", "none")])
def test_scores_are_made_of_the_cells(codes, label_mode, augmentation):
    given = {"label_mode": label_mode, "augmentation": augmentation, "scores": True}
    results = evaluate(codes, **given)
    assert list(results["summary"]) == ["set:codes"]  # what is there for scores alone is in no table
    assert {row["id"] for row in results["rows"] if row["shown"]} == {"set:codes"}
    mean = {row: sum(cell["accuracy"] for cell in results["cells"] if cell["row"] == row) / 2 for row in ids(results)}
    full, hard = ("full/hard:1", "set/hard:codes") if label_mode == "soft" else ("full:1", "set:codes")
    other = "/plain" if augmentation != "none" else "/augmented"
    own, random = f"set{other}:codes", f"random{other}:1"
    assert set(mean) == {"set:codes", hard, full, "random:1", own, random}
    alpha = 0.5 * (mean["set:codes"] - mean["random:1"]) - 0.5 * (mean[full] - mean[hard])
    beta = 0.5 * (mean["set:codes"] - mean["random:1"]) + 0.5 * (mean[own] - mean[random])
    for name, value in (("lrs", alpha), ("ars", beta)):
        assert results["scores"]["set:codes"][name] == pytest.approx(100 * (exp(value) - exp(-1)) / (exp(1) - exp(-1)))
    found = resolved(codes, **given, full_epochs=1).conditions.for_seed(0)
    assert found[hard].data[1].dtype == found[full].data[1].dtype == torch.int64
    plain = {row for row, condition in found.items() if condition.protocol.augmentation == "none"}
    assert own in plain if augmentation != "none" else "set:codes" in plain
    assert found[full].protocol.epochs == 1


def test_cost_is_measured_once(codes, monkeypatch):
    results = evaluate(codes, cost=True, reach=0.01, seeds=[4])
    entry, full = (results["cost"][row] for row in ("set:codes", "full:1"))
    assert entry["seed"] == 4 and entry["training"]["reached"] and entry["training"]["updates"] >= 1
    assert entry["target"] == pytest.approx(0.01 * [c["accuracy"] for c in results["cells"]][-1])
    assert full["training"]["bytes"] == LIMIT * 784 and entry["training"]["bytes"] == 7840
    assert entry["distillation_seconds"] > 0 and len(sentences(results, "set:codes")) == 3
    monkeypatch.setattr(cost, "train_until", lambda *_: 1 / 0)
    assert evaluate(codes, cost=True, reach=0.01, seeds=[4])["cost"] == results["cost"]
    with pytest.raises(ZeroDivisionError):
        evaluate(codes, cost=True, reach=0.02, seeds=[4])


def test_other_sets_stand_beside_runs_and_alone(codes, tmp_path):
    train = load_data("fashion-mini", limit=LIMIT).train
    indices = torch.cat([train.of_class(c)[:2] for c in range(10)])
    np.savez(tmp_path / "theirs.npz", images=train.raw(indices)[:, 0].numpy(), labels=train.labels[indices].numpy())
    both = evaluate([codes.path, tmp_path / "theirs.npz"], seeds=1, baselines=["random"])
    assert ids(both) == ["set:codes", "set:theirs", "random:1", "random:2"]
    assert {"row": "set:codes", "against": "set:theirs"}.items() <= both["differences"][0].items()
    own = read_json(tmp_path / "theirs.npz.results.json")
    assert ids(own) == ids(both)[1:]
    content = read_json(codes.path / "results.json")
    assert ids(content) == [ids(both)[0], *ids(both)[2:]]
    assert label_of(content, "set:theirs") == "theirs"  # which a difference names
    alone = evaluate(tmp_path / "theirs.npz", data="fashion-mini", limit=LIMIT, seen="alexnet", seeds=1)
    assert alone["seen"] == "alexnet" and alone["summary"]["set:theirs"]["cross"]["n"] == 1
    exported = tmp_path / "set"
    invoke("export", codes.path, "--out", exported)
    assert evaluate(exported, data="fashion-mini", limit=LIMIT, seeds=1)["seen"] == "convnet"


def test_soft_labels_that_came_with_a_set_are_kept(codes, tmp_path):
    soft_labels.write(codes.path, codes.read_set()[0], torch.eye(10).roll(1, 0), {})
    invoke("export", codes.path, "--format", "safetensors", "--out", tmp_path / "theirs.safetensors")
    given = {"data": "fashion-mini", "limit": LIMIT, "seeds": 1}
    results = evaluate(tmp_path / "theirs.safetensors", label_mode="soft", **given)
    assert results["own_labels"] == ["theirs"]
    assert "own_labels" not in evaluate(tmp_path / "theirs.safetensors", **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_mode": "harder"}, "label_mode 'harder' hard soft"),
        ({"teacher": "vit"}, "teacher soft herding"),
        ({"seeds": []}, "network seed epoch"),
        ({"full_epochs": 0}, "full_epochs 1 0"),
        ({"workers": 0}, "workers 1 0"),
        ({"reach": 1.5}, "reach 1.5"),
        ({"hybrid": [0]}, "hybrid [0.0]"),
        ({"part": "5/4"}, "part '5/4' 1 2/4"),
        ({"part": "half"}, "part 'half'"),
        ({"part": "1/2", "cost": True}, "cost process"),
        ({"scores": True, "networks": ["vit"]}, "convnet --networks convnet"),
        ({"limit": 5}, "limit --data"),
        ({"data": "fashion-mini"}, "data"),
    ],
)
def test_mistakes_are_one_line(codes, changes, message):
    with pytest.raises((ValueError, RunError), match=naming(message)) as raised:
        evaluate(codes, **changes)
    assert "\n" not in str(raised.value)


def test_the_published_protocol_of_glad_trains_all_networks_at_one_rate(codes):
    assert PROTOCOLS["glad"].epochs == 1000 and PROTOCOLS["glad"].schedule == "cosine"
    results = evaluate(codes, networks=["convnet", "alexnet"], protocol="glad", seeds=1)
    assert [cell["learning_rate"] for cell in results["cells"]] == [1e-3, 1e-3]
    assert PROTOCOLS["glad"].learning_rate("vgg11", "convnet") == 1e-4


def test_the_published_protocol_of_glad_leaves_a_learned_step_size_where_others_take_it():
    learned = {name: known.learning_rate("convnet", "convnet", 0.03) for name, known in PROTOCOLS.items()}
    assert learned == {"default": 0.03, "dc": 0.03, "glad": 1e-3}
    assert PROTOCOLS["dc"].learning_rate("alexnet", "convnet", 0.03) == 1e-2


def test_accuracies_of_earlier_versions_stay_valid_and_those_that_a_new_field_changes_do_not():
    fields = PROTOCOLS["default"].to_dict()
    assert not {"balanced", "takes_step_size"} & set(fields)
    changed = PROTOCOLS["glad"].to_dict()
    assert changed["takes_step_size"] == 0 and set(changed) == {*fields, "takes_step_size"}
