"""``glad.evaluate`` whole: rows, recipes, parts, files, and that what earlier versions wrote stays valid."""

import hashlib
import inspect
import re
from math import exp
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from distilled_sets import distil, fails, invoke

import glad
from glad.cli import main
from glad.data.coresets import herding_real
from glad.data.splits import load_data
from glad.evaluation import PROTOCOLS
from glad.evaluation import runner as contest
from glad.evaluation.config import resolve_config
from glad.evaluation.hybrid import share_of
from glad.evaluation.results_store import key_of
from glad.evaluation.teacher import open_teacher
from glad.runs import soft_labels
from glad.runs.storage import RunError, read_json, write_json

OPTIONS = {"convnet": {"width": 4}, "alexnet": {"width": 4}}
LIMIT = 160


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLAD_TEACHER_CACHE", str(tmp_path_factory.mktemp("teachers")))
        yield


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    return distil(tmp_path_factory.mktemp("runs") / "codes", iterations=1, limit=LIMIT)


@pytest.fixture(autouse=True)
def unevaluated(codes):
    yield
    for path in [*codes.path.glob("results*.json"), *codes.path.glob("soft_labels*")]:
        path.unlink()


def evaluate(runs, **changes):
    arguments = {"networks": ["convnet"], "network_options": OPTIONS, "seeds": 2, "epochs": 2, "baselines": []}
    return glad.evaluate(runs, **{**arguments, "split": "validation", "device": "cpu", "full_epochs": 1, **changes})


def asked(runs, **changes):
    """The evaluation itself, before anything is computed."""
    arguments = {name: p.default for name, p in inspect.signature(glad.evaluate).parameters.items()}
    return resolve_config({**arguments, "runs": runs, "device": "cpu", "network_options": OPTIONS, **changes})


def untimed(cells):
    return [{key: value for key, value in cell.items() if key != "seconds"} for cell in cells]


def names(results):
    return list(dict.fromkeys(cell["set"] for cell in results["cells"]))


def test_rows_differences_and_the_file(codes):
    results = evaluate(codes, networks=["convnet", "alexnet"], baselines=["before", "herding"])
    rows = ["codes", "codes before optimisation", "real images by herding in pixels, 1 per class"]
    assert names(results) == list(results["summary"]) == rows
    assert [(e["set"], e["against"]) for e in results["differences"]] == [("codes", rows[1]), ("codes", rows[2])]
    by_seed = {(c["set"], c["network"], c["seed"]): c["accuracy"] for c in results["cells"]}
    for network, found in (("convnet", "same"), ("alexnet", "cross")):
        apart = [by_seed["codes", network, seed] - by_seed[rows[1], network, seed] for seed in (0, 1)]
        assert results["differences"][0][found]["mean"] == pytest.approx(sum(apart) / 2)
    assert results["written"] == [str(codes.path / "results.json")]
    written = read_json(codes.path / "results.json")
    assert written == {"settings": written["settings"], **{k: v for k, v in results.items() if k != "written"}}


def test_cells_of_the_first_version_stay_valid(codes):
    """The settings, written out as that version wrote them."""
    splits, images = load_data("fashion-mini", limit=LIMIT), codes.read_set()[0]

    def sha(tensor):
        return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:16]

    settings = {
        "epochs": 2,
        "split": "validation",
        "augmentation": "color_crop_cutout_flip_scale_rotate",
        "lr": None,
        "network_options": OPTIONS,
        "hashes": {"data": splits.train.digest, "tested": splits.validation.digest},
        "sets": {"codes": [sha(images), sha(codes.read_set("initial")[0])]},
    }
    cell = {"set": "codes", "network": "convnet", "seed": 1, "lr": 0.01, "accuracy": 0.125}
    write_json(codes.path / "results.json", {"settings": settings, "cells": [cell]})
    told = []
    results = evaluate(codes, on_cell=lambda cell, left: told.append((cell["seed"], left)))
    assert told == [(0, 0)]
    assert [cell["accuracy"] for cell in results["cells"] if cell["seed"] == 1] == [0.125]
    assert read_json(codes.path / "results.json")["settings"] == settings


def test_what_was_not_asked_for_again_is_kept(codes):
    first = evaluate(codes, networks=["convnet", "alexnet"])
    second = evaluate(codes, seeds=[0])
    content = read_json(codes.path / "results.json")
    assert content["cells"] == second["cells"] and len(content["kept"]) == 3
    told = []
    assert evaluate(codes, networks=["convnet", "alexnet"], on_cell=lambda *_: told.append(1)) == first and not told


def test_the_recipe_soft_labels_every_row_by_one_teacher(codes):
    hard = evaluate(codes, baselines=["random", "full"])
    results = evaluate(codes, recipe="soft", baselines=["random", "full"], full_epochs=2)
    assert names(results) == ["codes", "random real images, 1 per class", f"all {LIMIT} training images"]
    assert untimed(results["cells"]) != untimed(hard["cells"])
    data = load_data("fashion-mini", limit=LIMIT)
    teacher = open_teacher(data, "convnet", OPTIONS["convnet"], 2, torch.device("cpu"))
    assert results["teacher"] == {**teacher.settings, "validation_accuracy": teacher.accuracy}
    images = codes.read_set()[0]
    assert torch.equal(glad.load_distilled(codes.path).soft_labels, teacher.label(images))
    # What is trained on: the labels of each row's own images.
    trial = asked(codes, recipe="soft", full_epochs=2, baselines=["random", "full"])
    for row in trial.conditions.rows(0).values():
        assert torch.equal(row.data[1], teacher.label(row.data[0]))


def test_hybrids_are_compared_with_their_share_alone(codes):
    results = evaluate(codes, hybrid=[5, 0.5])
    both, alone = "codes + 5 % of the real images", "5 % of the real images alone"
    assert names(results)[:3] == ["codes", both, alone]
    assert [(e["set"], e["against"]) for e in results["differences"]][0] == (both, alone)
    trial = asked(codes, hybrid=[5.0], baselines=[])
    rows, share = trial.conditions.rows(3), share_of(trial.splits.train, 5, 3)
    assert torch.equal(rows[alone].data[0], share[0])
    assert torch.equal(rows[both].data[0], torch.cat([codes.read_set()[0], share[0]]))


def test_herding_works_in_the_features_of_a_teacher_that_is_named(codes):
    results = evaluate(codes, teacher="convnet", baselines=["herding"], seeds=1)
    assert names(results)[1] == "real images by herding in features of a trained convnet, 1 per class"
    assert read_json(codes.path / "results.json")["settings"]["teacher"]["epochs"] == 1
    trial = asked(codes, teacher="convnet", baselines=["herding"], full_epochs=1)
    row = trial.conditions.rows(0)[names(results)[1]]
    expected = herding_real(trial.splits.train, 1, 0, trial.teacher.embed)
    assert torch.equal(row.data[0], expected[0]) and torch.equal(row.data[1], expected[1])


@pytest.mark.parametrize(("recipe", "augmentation"), [("hard", "color_crop"), ("soft", "none")])
def test_scores_are_made_of_the_cells(codes, recipe, augmentation):
    results = evaluate(codes, recipe=recipe, augmentation=augmentation, scores=True)
    assert list(results["summary"]) == ["codes"]  # what is there for scores alone is in no table
    mean = {
        name: sum(cell["accuracy"] for cell in results["cells"] if cell["set"] == name) / 2 for name in names(results)
    }
    random = "random real images, 1 per class"
    full = f"all {LIMIT} training images, 1 epochs{', hard labels' * (recipe == 'soft')}"
    hard = "codes, hard labels" if recipe == "soft" else "codes"
    other = ", no augmentation" if augmentation != "none" else ", augmented"
    assert set(mean) == {"codes", hard, full, random, f"codes{other}", random + other}
    alpha = 0.5 * (mean["codes"] - mean[random]) - 0.5 * (mean[full] - mean[hard])
    beta = 0.5 * (mean["codes"] - mean[random]) + 0.5 * (mean[f"codes{other}"] - mean[random + other])
    for name, value in (("lrs", alpha), ("ars", beta)):
        assert results["scores"]["codes"][name] == pytest.approx(100 * (exp(value) - exp(-1)) / (exp(1) - exp(-1)))
    trial = asked(codes, recipe=recipe, augmentation=augmentation, scores=True, full_epochs=1)
    rows = trial.conditions.rows(0)
    assert rows[hard].data[1].dtype == rows[full].data[1].dtype == torch.int64
    plain = {name for name, row in rows.items() if row.protocol.strategy == "none"}
    assert f"codes{other}" in plain if augmentation != "none" else "codes" in plain
    assert rows[full].protocol.epochs == 1


def test_cost_is_told_in_three_sentences_and_measured_once(codes, monkeypatch):
    results = evaluate(codes, cost=True, reach=0.01, seeds=[4])
    entry = results["cost"]["codes"]
    full = results["cost"][f"all {LIMIT} training images, 1 epochs"]
    assert entry["seed"] == 4 and entry["race"]["reached"] and entry["race"]["updates"] >= 1
    assert entry["target"] == pytest.approx(0.01 * [c["accuracy"] for c in results["cells"]][-1])
    assert full["race"]["bytes"] == LIMIT * 784 and entry["race"]["bytes"] == 7840
    assert len(entry["sentences"]) == 3 and entry["distillation_seconds"] > 0
    monkeypatch.setattr(contest.cost, "race", lambda *_: 1 / 0)
    assert evaluate(codes, cost=True, reach=0.01, seeds=[4])["cost"] == results["cost"]
    with pytest.raises(ZeroDivisionError):
        evaluate(codes, cost=True, reach=0.02, seeds=[4])


def test_parts_give_what_one_call_gives(codes):
    given = {"networks": ["convnet", "alexnet"], "baselines": ["random"], "scores": True}
    whole = evaluate(codes, **given)
    for path in codes.path.glob("results*.json"):
        path.unlink()
    told = []
    for number in (1, 2, 3):
        some = evaluate(codes, **given, part=f"{number}/3", on_cell=lambda cell, left: told.append(key_of(cell)))
        assert some["written"] == [str(codes.path / f"results.part-{number}-of-3.json")]
    assert len(told) == len(set(told)) == len(whole["cells"]) and "scores" in some  # the last one has all cells
    keys = [key_of(cell) for cell in whole["cells"]]
    part = read_json(codes.path / "results.part-2-of-3.json")
    assert [key_of(cell) for cell in part["cells"]] == keys[1::3]
    assert not (codes.path / "results.json").exists()
    merged = evaluate(codes, **given, on_cell=lambda *_: 1 / 0)
    assert untimed(merged["cells"]) == untimed(whole["cells"])
    for name in ("summary", "differences", "scores"):
        assert merged[name] == whole[name]
    assert (codes.path / "results.json").exists()


def test_other_sets_stand_beside_runs_and_alone(codes, tmp_path):
    train = load_data("fashion-mini", limit=LIMIT).train
    indices = torch.cat([train.of_class(c)[:2] for c in range(10)])
    np.savez(tmp_path / "theirs.npz", images=train.raw(indices)[:, 0].numpy(), labels=train.labels[indices].numpy())
    both = evaluate([codes.path, tmp_path / "theirs.npz"], seeds=1, baselines=["random"])
    random = [f"random real images, {ipc} per class" for ipc in (1, 2)]
    assert names(both) == ["codes", "theirs", *random]
    assert {"set": "codes", "against": "theirs"}.items() <= both["differences"][0].items()
    own = read_json(tmp_path / "theirs.npz.results.json")
    assert names(own) == names(both)[1:]
    assert names(read_json(codes.path / "results.json")) == [names(both)[0], *names(both)[2:]]
    alone = evaluate(tmp_path / "theirs.npz", data="fashion-mini", limit=LIMIT, same="alexnet", seeds=1)
    assert alone["same"] == "alexnet" and alone["summary"]["theirs"]["cross"]["n"] == 1
    exported = tmp_path / "set"
    invoke("export", codes.path, "--out", exported)
    assert evaluate(exported, data="fashion-mini", limit=LIMIT, seeds=1)["same"] == "convnet"


def test_soft_labels_that_came_with_a_set_are_kept(codes, tmp_path):
    soft_labels.write(codes.path, codes.read_set()[0], torch.eye(10).roll(1, 0), {})
    invoke("export", codes.path, "--format", "safetensors", "--out", tmp_path / "theirs.safetensors")
    given = {"data": "fashion-mini", "limit": LIMIT, "seeds": 1}
    results = evaluate(tmp_path / "theirs.safetensors", recipe="soft", **given)
    assert results["own_labels"] == ["theirs"]
    assert "own_labels" not in evaluate(tmp_path / "theirs.safetensors", **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "harder"}, "recipe: 'harder' is unknown; choose from hard, soft"),
        ({"teacher": "vit"}, "a teacher is for the recipe soft and the baseline herding"),
        ({"full_epochs": 0}, "full_epochs must be at least 1, not 0"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"reach": 1.5}, "reach is 1.5: a share"),
        ({"hybrid": [0]}, r"hybrid is \[0.0\]: name shares"),
        ({"part": "5/4"}, "part is '5/4': name one of several, numbered from 1, such as 2/4"),
        ({"part": "half"}, "part is 'half'"),
        ({"part": "1/2", "cost": True}, "cost is measured in one process"),
        ({"scores": True, "networks": ["vit"]}, r"those of convnet, distilled with: add it \(--networks convnet\)"),
        ({"limit": 5}, r"limit goes with the name of the data \(--data\): a run knows its own"),
        ({"data": "fashion-mini"}, "was distilled from data"),
    ],
)
def test_mistakes_are_one_line(codes, changes, message):
    with pytest.raises((ValueError, RunError), match=message) as raised:
        evaluate(codes, **changes)
    assert "\n" not in str(raised.value)


def test_the_published_protocol_of_glad_trains_all_networks_at_one_rate(codes):
    assert PROTOCOLS["glad"].epochs == 1000 and PROTOCOLS["glad"].schedule == "cosine"
    results = evaluate(codes, networks=["convnet", "alexnet"], protocol="glad", seeds=1)
    assert [cell["lr"] for cell in results["cells"]] == [1e-3, 1e-3]


COMMAND = ["--networks", "convnet", "--network-option", "convnet.width=4", "--split", "validation", "--seeds", "1"]
COMMAND += ["--epochs", "1", "--full-epochs", "1", "--device", "cpu"]


def test_the_command_prints_tables_and_sentences(codes):
    options = ["--scores", "--cost", "--hybrid", "1", "--recipe", "soft", "--baselines", "herding"]
    output = invoke("evaluate", codes.path, *COMMAND, *options)
    for told in ("1 epochs, 1 seed, soft labels", "Paired differences", "LRS", "HLR", "ARS", "codes + 1 % of the real",
                 "features of a trained convnet", "To know", "Training on the full data", "The distillation took",
                 "Teacher: convnet, 1 epochs on the full data", "results.json"):  # fmt: skip
        assert told in output, told
    message = fails("evaluate", codes.path, *COMMAND, "--hybrid", "1;2")
    assert "hybrid is 1;2: name shares of the real images in per cent, such as 1,5,10" in message
    (codes.path.parent / "empty").mkdir(exist_ok=True)
    message = fails("evaluate", codes.path.parent / "empty", *COMMAND)
    assert "is not the folder of a run: for a set of images name the data that it stands for (--data NAME)" in message


def test_the_commands_and_options_of_the_docs_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "EVALUATION.md").read_text()
    for name in ("runs/codes", "their-images", "their-set.npz"):
        (tmp_path / name).mkdir(parents=True)
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [line.split() for line in blocks.splitlines() if line]
    assert len(lines) == 8
    for _, command, *arguments in lines:
        main.commands[command].make_context(command, arguments)
    told = CliRunner().invoke(main, ["evaluate", "--help"]).output
    named = set(re.findall(r"`(--[a-z][a-z-]+)", text))
    assert named and named <= set(re.findall(r"--[a-z][a-z-]+", told))
