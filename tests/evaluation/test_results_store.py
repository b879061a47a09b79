"""What is finished is kept, found again under equal settings, and never mixed with results of other settings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from errors import naming
from evaluations import evaluate, resolved, untimed

from glad.evaluation import PROTOCOLS, Protocol, ResultRow, legacy, resolve
from glad.evaluation.results_store import key_of, read_results
from glad.runs.storage import RunError, read_json, write_json

GOLDEN = Path(__file__).parents[1] / "golden" / "results_d10c73f.json"
OLD = json.loads(GOLDEN.read_text())
"""What commit d10c73f wrote of a run like ``codes``: all kinds of rows, soft labels, and an evaluation cut off."""
NETWORKS = ["convnet", "alexnet"]
ASKED = {
    "hard": {
        "baselines": ["before", "random", "kmeans", "herding", "full"],
        "hybrid": [5, 0.5],
        "scores": True,
        "cost": True,
        "reach": 0.01,
    },
    "soft": {
        "label_mode": "soft",
        "teacher": "convnet",
        "baselines": ["herding"],
        "scores": True,
        "seeds": 1,
        "learning_rate": {"alexnet": 0.002},
        "protocol": "dc",
    },
    "unfinished": {},
}


def fail(*_):
    pytest.fail("a network was trained")


def put(codes, content):
    """An old file in the place of the run's, as if it were of these very images."""
    sets = resolved(codes).settings["sets"]
    settings = {**content["settings"], "sets": {"codes": sets["codes"]["hashes"]}}
    write_json(codes.path / "results.json", {**content, "settings": settings})


@pytest.mark.parametrize("name", ["hard", "soft"])
def test_of_results_of_d10c73f_the_rows_that_all_sets_share_are_still_valid(codes, name, all_held_out):
    """Random draws of a set's own rows were keyed by its name then: those are trained anew, and the old ones kept."""
    put(codes, OLD[name])
    (converted,) = read_results(codes.path / "results.json", "convnet")
    trained = []
    with pytest.warns(UserWarning, match="trainings of an earlier version stay in it and are not mixed"):
        results = evaluate(codes, networks=NETWORKS, **ASKED[name], on_cell=lambda cell, _: trained.append(cell["row"]))
    owners = {row["id"]: row["owner"] for row in results["rows"]}
    assert {owners[row] for row in trained} == {"codes"}
    old = {key_of(cell): cell for cell in converted["cells"]}
    new = {key_of(cell): cell for cell in results["cells"]}
    assert old.keys() == new.keys() and {owners[row] for row, *_ in new} == {None, "codes"}
    assert all(new[key] == cell for key, cell in old.items() if owners[key[0]] is None)
    last, earlier = read_results(codes.path / "results.json")
    costs = earlier.pop("cost", {}), converted.pop("cost", {})
    assert costs[0] == costs[1] and earlier == converted and last["cells"] == results["cells"]


def test_an_evaluation_that_d10c73f_was_cut_off_at_is_kept_and_done_anew(codes, all_held_out):
    put(codes, OLD["unfinished"])
    (converted,) = read_results(codes.path / "results.json", "convnet")
    trained = []
    with pytest.warns(UserWarning, match="3 trainings of an earlier version"):
        evaluate(codes, networks=NETWORKS, on_cell=lambda cell, left: trained.append(key_of(cell)))
    assert len(trained) == 4 and read_results(codes.path / "results.json")[1] == converted


def test_the_protocols_of_d10c73f_are_rebuilt_from_their_names():
    for content in (OLD["hard"], OLD["soft"]):
        settings = content["settings"]
        assert legacy._protocol(settings, "convnet", lambda text: text) == content["protocol"]
    made = legacy._protocol({**settings, "lr": 0.5, "protocol": "glad"}, "convnet", lambda text: "none")
    assert (made["lr_same"], made["lr_other"], made["lr_by_network"], made["strategy"]) == (0.5, 0.5, {}, "none")


def test_rows_of_d10c73f_are_found_by_their_labels():
    sets = ["codes", "codes, augmented"]
    rows = {
        "codes": ResultRow("set", "codes"),
        "codes, augmented": ResultRow("set", "codes, augmented"),
        "codes, no augmentation": ResultRow("set", "codes", augmented=False),
        "codes, hard labels, augmented": ResultRow("set", "codes", label_mode="hard", augmented=True),
        "codes before optimisation": ResultRow("before", "codes"),
        "real images nearest to k-means centres, 1 per class": ResultRow("kmeans", ipc=1),
        "real images by herding in features of a trained vit, 10 per class": ResultRow(
            "herding", ipc=10, features="vit"
        ),
        "all 12000 training images, 20 epochs, hard labels": ResultRow(
            "full", images=12000, epochs=20, label_mode="hard"
        ),
        "codes + 0.5 % of the real images": ResultRow("hybrid", "codes", percent=0.5),
        "1e-05 % of the real images alone": ResultRow("share", percent=1e-05),
        "random real images, 1 per class, augmented": ResultRow("random", ipc=1, augmented=True),
        "theirs": ResultRow("set", "theirs"),
    }
    assert {name: legacy._row(name, sets) for name in rows} == rows


def test_what_was_not_asked_for_again_is_kept(codes):
    first = evaluate(codes, networks=NETWORKS, baselines=["random"])
    second = evaluate(codes, seeds=[0])
    content = read_json(codes.path / "results.json")
    assert content["cells"] == second["cells"] and len(content["kept"]) == 7
    assert [(row["id"], row["shown"]) for row in content["rows"]] == [("set:codes", True), ("random:1", False)]
    assert evaluate(codes, networks=NETWORKS, baselines=["random"], on_cell=fail) == first


def test_parts_give_what_one_call_gives(codes):
    given = {"networks": NETWORKS, "baselines": ["random"], "scores": True}
    whole = evaluate(codes, **given)
    for path in codes.path.glob("results*.json"):
        path.unlink()
    stated = []
    for number in (1, 2, 3):
        some = evaluate(codes, **given, part=f"{number}/3", on_cell=lambda cell, left: stated.append(key_of(cell)))
        assert some["written"] == [str(codes.path / f"results.part-{number}-of-3.json")]
    assert len(stated) == len(set(stated)) == len(whole["cells"]) and "scores" in some  # the last one has all cells
    keys = [key_of(cell) for cell in whole["cells"]]
    part = read_json(codes.path / "results.part-2-of-3.json")
    assert [key_of(cell) for cell in part["cells"]] == keys[1::3]
    assert not (codes.path / "results.json").exists()
    merged = evaluate(codes, **given, on_cell=fail)
    assert untimed(merged["cells"]) == untimed(whole["cells"])
    for name in ("summary", "differences", "scores"):
        assert merged[name] == whole[name]
    assert (codes.path / "results.json").exists()


def test_a_protocol_that_changed_under_its_name_is_trained_anew(codes, monkeypatch):
    stated = []
    before = evaluate(codes, on_cell=lambda *_: stated.append(1))
    monkeypatch.setitem(PROTOCOLS._entries, "default", replace(Protocol(), momentum=0.0, learning_rate_seen=1.0))
    after = evaluate(codes, on_cell=lambda *_: stated.append(1))
    assert len(stated) == 4 and untimed(before["cells"]) != untimed(after["cells"])
    assert (before["protocol"]["momentum"], after["protocol"]["momentum"]) == (0.9, 0.0)


def test_every_field_of_a_protocol_counts(codes):
    one = {"epochs": 3, "batch": 7, "momentum": 0.5, "weight_decay": 0.0, "average_decay": 0.5, "norm": "none"}
    one |= {"augmentation": "none", "schedule": "step", "learning_rate_seen": 0.02, "learning_rate_cross": 0.03}
    one |= {"learning_rates": {"vit": 0.5}, "balanced": 1, "takes_step_size": 0}
    assert one.keys() == vars(Protocol()).keys()
    for name, value in one.items():
        changed = resolved(codes, protocol=replace(Protocol(), **{name: value})).settings
        assert changed != resolved(codes).settings, name
    same = resolved(codes, protocol=Protocol(epochs=300), epochs=1000)  # what counts is what it comes to
    assert same.settings == resolved(codes, protocol="default").settings


def test_accuracies_of_another_version_of_the_training_are_not_valid(codes, monkeypatch):
    stated = []
    evaluate(codes, seeds=1, on_cell=lambda *_: stated.append(1))
    monkeypatch.setattr(resolve, "TRAINING_VERSION", 2)
    evaluate(codes, seeds=1, on_cell=lambda *_: stated.append(1))
    assert len(stated) == 2


def test_evaluations_under_several_protocols_lie_side_by_side(codes):
    mine = Protocol(epochs=3, batch=4)
    ours = evaluate(codes, networks=NETWORKS, epochs=None, protocol=mine)
    default = evaluate(codes)
    dc = evaluate(codes, protocol="dc", epochs=1)
    last, *earlier = read_results(codes.path / "results.json")
    assert [found["cells"] for found in (last, *earlier)] == [r["cells"] for r in (dc, default, ours)]
    assert [found["protocol_name"] for found in (last, *earlier)] == ["dc", "default", "custom"]
    for given, results in (
        ({"networks": NETWORKS, "epochs": None, "protocol": mine}, ours),
        ({}, default),
        ({"protocol": "dc", "epochs": 1}, dc),
    ):
        again = evaluate(codes, **given, on_cell=fail)
        assert again == results
        found = read_results(codes.path / "results.json")
        assert len(found) == 3 and found[0]["summary"] == results["summary"]


def test_results_of_a_set_that_is_no_more_go(codes, tmp_path):
    content = OLD["hard"]  # whose images are another set's, as far as hashes tell
    settings = {**content["settings"], "sets": {"codes": ["0", "1"]}}
    write_json(codes.path / "results.json", {**content, "settings": settings})
    evaluate(codes, seeds=1)
    assert len(read_results(codes.path / "results.json")) == 1


def test_the_augmentation_of_old_unfinished_results_is_that_of_the_data(codes):
    put(codes, OLD["unfinished"])
    (found,) = read_results(codes.path / "results.json", "convnet", lambda text: text.replace("_flip", ""))
    assert found["settings"]["protocol"]["augmentation"] == "color_crop_cutout_scale_rotate"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "results.json"),
        ('{"format": 3, "cells": []}', "3 2"),
        ("[]", "`glad evaluate`"),
        ('{"cells": [{}]}', "`glad evaluate`"),
    ],
)
def test_a_file_that_is_none_of_results_is_kept_and_said(codes, content, message):
    (codes.path / "results.json").write_text(content)
    with pytest.raises(RunError, match=naming(message)):
        evaluate(codes)
    assert (codes.path / "results.json").read_text() == content
