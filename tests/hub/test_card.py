"""What the card of a set says of it."""

import hashlib
import io
import re

import datasets
import pytest
import torch
import yaml
from distilled_sets import distill, fails
from errors import naming
from huggingface_hub import DatasetCard, DatasetCardData
from PIL import Image
from pushed_sets import HOSTILE, SMALL, card_of, front_of, laid, push, pushed

import glad
from glad.formats import FORMATS
from glad.hub.paths import strip_paths
from glad.rng import rng_for
from glad.runs import soft_labels
from glad.runs.storage import read_json, write_json

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client, of how it sends files


def test_the_client_finds_the_card_valid(server, run):
    text = card_of(run)
    card = DatasetCard(text)
    card.validate(repo_type="dataset")
    assert isinstance(card.data, DatasetCardData) and card.data.to_dict() == front_of(text)
    assert card.data.license == "mit" and card.data.task_categories == ["image-classification"]
    assert card.data.size_categories == ["n<1K"] and "dataset-distillation" in card.data.tags
    assert front_of(text)["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "set.parquet"}]}
    ]


def test_the_card_tells_how_the_set_was_made_and_its_limits(run):
    card, hashes = card_of(run), run.inputs["hashes"]
    facts = [
        *("20 synthetic images of 10 classes", "| objective | dm |", "| prior | fashion-mini |", "| iterations | 2 |"),
        *(
            "| images per class (rows of latents) | 2 |",
            "| seed | 0 |",
            "batch 4",
            f"glad {glad.__version__}",
            "w 0.03",
        ),
        *(hashes["data"], hashes["weights"], "at 28 × 28 pixels", "of the values were clipped", "](pictures/last.png)"),
        *("copyright © 2017 Zalando SE", "Apache-2.0 (commercial use allowed, passing on allowed)"),
    ]
    for fact in facts:
        assert fact in card, fact
    lost = glad.push(run, "me/x", formats=["parquet"], dry_run=True).card
    cost = FORMATS["parquet"].card(glad.load_distilled(run.path)).cost
    assert f"{cost.mean:.3g}/255 on average" in lost and f"{100 * cost.clipped:.3g} % of the values" in lost


def test_a_set_of_the_embedded_photographs_has_their_license(tmp_path):
    options = {"data": "clothing-mini", "resolution": 16, "prior": "pixels"}
    card = card_of(distill(tmp_path / "photographs", ipc=1, objective_options={"batch": 4}, **options))
    assert front_of(card)["license"] == "cc0-1.0" and "A. Grigorev" in card


def test_front_matter_that_the_hub_would_read_otherwise_is_refused(run, monkeypatch):
    monkeypatch.setattr(DatasetCardData, "to_yaml", lambda *_, **__: "license: other")
    with pytest.raises(ValueError, match=naming("{'license': 'other'}")):
        card_of(run, formats=["npz"])


def test_without_an_evaluation_it_claims_nothing(run):
    card = card_of(run)
    assert "has not been evaluated" in card and "glad evaluate again" in card
    assert not re.search(r"accuracy|\d ±", card, re.IGNORECASE)


@pytest.fixture
def evaluated(copy):
    options = {"convnet": {"width": 8}, "vit": {"width": 16, "depth": 1}}
    glad.evaluate(
        copy.path,
        networks=["convnet", "vit"],
        network_options=options,
        seeds=2,
        epochs=2,
        baselines=["before"],
        split="validation",
        device="cpu",
    )
    return copy


def test_results_come_with_spread_and_protocol(evaluated):
    card = card_of(evaluated)
    results = read_json(evaluated.path / "results.json")
    for name, title in (("set:codes", "**this set**"), ("before:codes", "codes before optimization")):
        entry = results["summary"][name]
        cells = [entry["seen"], entry["networks"]["vit"], entry["cross"]]
        shown = " | ".join(f"{100 * cell['mean']:.1f} ± {100 * cell['std']:.1f}" for cell in cells)
        stored = f"{results['stored'][name]['per_class']:,.0f}"
        assert f"| {title} | {stored} | {shown} |" in card
    assert "| trained on | bytes per class | convnet (seen) | vit | cross-architecture |" in card
    assert "Accuracy in % on validation images" in card and "over 2 seeds (0, 1)" in card
    assert (
        "epochs 2" in card
        and "learning\\_rate\\_seen 0.01" in card
        and "depth 1" in card
        and "not been evaluated" not in card
    )


def test_results_on_test_images_come_before_those_of_tuning(evaluated):
    small = {"networks": ["convnet"], "network_options": {"convnet": {"width": 8}}, "seeds": 1, "epochs": 1}
    for split in ("test", "validation"):
        glad.evaluate(evaluated.path, **small, baselines=[], split=split, device="cpu")
    card = card_of(evaluated)
    assert "Accuracy in % on test images" in card and "one seed" in card and "epochs 1" in card


def test_results_of_another_set_or_unfinished_stay_out(evaluated):
    path = evaluated.path / "results.json"
    good = read_json(path)
    unfinished = {key: good[key] for key in ("format", "settings", "config", "rows", "cells")}
    for content, why in (
        (
            {**good, "settings": {**good["settings"], "sets": {"codes": {"hashes": ["0", "0"]}}}},
            "of another state of the set",
        ),
        (unfinished, "of an unfinished evaluation"),
    ):
        write_json(path, content)
        with pytest.warns(UserWarning, match=why):
            assert "has not been evaluated" in card_of(evaluated)
    for content in ([], {**good, "seeds": None}, {**good, "summary": {"set:codes": {}}}):
        write_json(path, content)
        assert "is not what `glad evaluate` writes" in fails("push", evaluated.path, "me/x", "--dry-run")


def test_verdicts_of_an_audit_of_this_set_are_told(copy):
    digest = hashlib.sha256((copy.path / "synset.safetensors").read_bytes()).hexdigest()
    verdicts = {"memorisation": "None of 20 | is <near>.", "provenance": str(copy.path), "later": {"no": "text"}}
    path = copy.path / "audit.json"
    write_json(path, {"verdicts": verdicts, "provenance": {"synset_sha256": digest}, "more": 1})
    card = card_of(copy, formats=["npz"])
    assert "## Checks\n\n- memorisation: None of 20 \\| is \\<near\\>.\n\n" in card
    assert "was not measured" not in card and str(copy.path) not in card
    write_json(path, {"verdicts": verdicts, "provenance": {"synset_sha256": "0"}})
    with pytest.warns(UserWarning, match=naming("another state")):
        assert "## Checks" not in card_of(copy, formats=["npz"])
    for other in ([], {"verdicts": ["text"]}, {"schema": 2}):
        write_json(path, other)
        assert "## Checks" not in card_of(copy, formats=["npz"])
    path.write_text("{")
    assert "audit.json: cannot be read" in fails("push", copy.path, "me/x", "--dry-run")


def test_any_class_name_comes_through_and_no_path_does(server, foreign, tmp_path):
    push(foreign, "--license", "cc-by-4.0")
    files = pushed(server)
    card = files["README.md"].decode()
    assert "--- b, \\[x\\](y) \\<b\\> \\| \\`z\\` \\*e\\* \\& f, a: 'b' \"c\" \\#d." in card
    assert front_of(card)["license"] == "cc-by-4.0" and "license not known to glad" in card
    assert "the weights" not in card and "codes.safetensors" not in files
    folder = laid(files, tmp_path / "tiny")
    train = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert train.features["label"].names == sorted(HOSTILE)
    config = yaml.safe_load(files["config.yaml"])
    assert config["data"] == "./my data" and not {"root", "out", "experts"} & config.keys()
    for name, content in files.items():
        assert str(tmp_path).encode() not in content and b"/home" not in content, name


def test_settings_name_no_place_on_the_disk():
    config = {
        "data": "/home/me/set.npz",
        "prior": "../weights/g.safetensors",
        "root": "/home/me",
        "out": "/home/me/runs/x",
        "experts": "runs/experts",
        "prior_options": {"codes": "C:\\Users\\me\\codes.npz", "other": ["~/x.pt", "a/b", 1, None]},
        "objective": "module:Class",
    }
    assert strip_paths(config) == {
        "data": "./set.npz",
        "prior": "./g.safetensors",
        "prior_options": {"codes": "./codes.npz", "other": ["./x.pt", "a/b", 1, None]},
        "objective": "module:Class",
    }
    hub = {"data": "fashion-mini", "prior": "org/repo:g.safetensors@main"}
    assert strip_paths(hub) == hub


def test_pictures_are_no_larger_than_a_page_and_may_be_missing(server, copy):
    Image.new("RGB", (4000, 400)).save(copy.path / "grid_000002.png")
    (copy.path / "grid_000000.png").unlink()
    push(copy, "--format", "npz")
    with Image.open(io.BytesIO(pushed(server)["pictures/last.png"])) as image:
        assert image.size == (1600, 160)
    assert "pictures/first.png" not in pushed(server)["README.md"].decode()


def test_whitened_sets_and_soft_labels_say_so(tmp_path):
    whitened = distill(tmp_path / "zca", prior="pixels", zca=True, **SMALL)
    labels = torch.rand(10, 10, generator=rng_for("push tests")).softmax(1)
    soft_labels.write(whitened.path, whitened.read_set()[0], labels, {"network": "convnet"})
    card = card_of(whitened)
    assert (
        "`images` are whitened (ZCA)" in card and "here that is undone" in card and "| whitened (zca) | True |" in card
    )
    assert "in Parquet `soft_label`" in card
