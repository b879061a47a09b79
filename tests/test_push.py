"""A set goes to a real server on the loopback through the Hub's real client, and comes back as it was."""

import hashlib
import io
import json
import re
import shutil
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import yaml
from distilled_sets import distil, fails, invoke
from fixtures import tiny_generator
from hub_server import Fault, serving
from huggingface_hub import DatasetCard, constants, utils
from PIL import Image
from test_hub import CLOSED, point_client_to

import glad
from generators import catalog, store, weights
from glad.evaluation import soft_labels
from glad.formats import FORMATS
from glad.publishing import without_paths
from glad.randomness import generator
from glad.run_folder import Run
from glad.runs import read_json, write_json

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client, of how it sends files
SMALL = {"limit": 60, "objective_options": {"batch": 4}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Codes of the embedded generator, two images a class."""
    return distil(tmp_path_factory.mktemp("runs") / "codes", ipc=2, **SMALL)


@pytest.fixture
def copy(run, tmp_path):
    """The same run in a folder that a test may change."""
    shutil.copytree(run.path, tmp_path / "runs" / "codes")
    return Run(tmp_path / "runs" / "codes")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An empty Hub, the client turned to it with a token."""
    with serving() as (served, address):
        served.address = address
        point_client_to(monkeypatch, address, tmp_path)
        monkeypatch.setenv("HF_TOKEN", served.token)
        yield served
        utils.close_session()


@contextmanager
def no_connection():
    """A connection, even to the loopback, fails the test."""

    def refuse(*_):
        pytest.fail("a connection was made")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


def push(run, *options):
    return invoke("push", run.path, "me/tiny", *options)


def card_of(run, **options):
    """The card, by a dry run."""
    return glad.push(run, "me/tiny", dry_run=True, **options).card


def front_of(card):
    return yaml.safe_load(card.split("---\n")[1])


def pushed(server, repo="me/tiny"):
    """The files of the last commit."""
    return server.commits[f"datasets/{repo}"][-1][1]


def laid(files, folder):
    """``files`` written below ``folder``."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def change(run, file, **entries):
    """Replace entries of a JSON file of the run, or of its settings."""
    path = run.path / file
    if file == "config.yaml":
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **entries}))
    else:
        write_json(path, {**read_json(path), **entries})


# What goes


def test_a_dry_run_sends_nothing_and_shows_exactly_what_goes(server, run):
    with no_connection():
        output = push(run, "--dry-run")
    assert not server.log and "Nothing was sent" in output and "# tiny" in output and "license: mit" in output
    shown = re.findall(r"me/tiny: (\S+), ([\d,]+) bytes, SHA-256 (\w{64})", output)
    push(run)
    gone = [(name, f"{len(b):,}", hashlib.sha256(b).hexdigest()) for name, b in sorted(pushed(server).items())]
    assert shown == gone


def test_one_commit_holds_the_set_its_card_pictures_and_settings(server, run):
    output = push(run, "--private")
    (_, first), (commit, files) = server.commits["datasets/me/tiny"]
    assert not first and "datasets/me/tiny" in server.private
    assert output.endswith(f"{server.address}/datasets/me/tiny/commit/{commit}")
    assert sorted(files) == [
        "README.md",
        "codes.safetensors",
        "config.yaml",
        "pictures/first.png",
        "pictures/last.png",
        "set.parquet",
        "set.safetensors",
    ]
    card = files["README.md"].decode()
    for name, content in files.items():
        if name != "README.md":
            assert f"| {name} | {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |" in card


def test_it_loads_back_by_the_words_of_its_card(server, run, tmp_path, monkeypatch):
    push(run)
    laid(pushed(server), tmp_path / "me" / "tiny")
    (tmp_path / "tiny").symlink_to(tmp_path / "me" / "tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", Path("tiny/README.md").read_text(), re.DOTALL):
        exec(block, names)
    there, train = glad.load_distilled(run.path), names["train"]
    assert train.features["label"].names == list(there.classes) and train["label"] == there.labels.tolist()
    eight = (there.pixels.clamp(0, 1) * 255).round().byte()
    assert all(np.array_equal(np.asarray(row["image"]), eight[i, 0].numpy()) for i, row in enumerate(train))
    assert torch.equal(names["loaded"].images, there.images)
    assert torch.equal(glad.load_distilled("tiny/codes.safetensors").images, there.images)
    assert glad.load_distilled("tiny/set.parquet").labels.tolist() == there.labels.tolist()


def test_the_settings_distil_the_same_set_again(server, run, tmp_path):
    push(run)
    laid(pushed(server), tmp_path / "tiny")
    invoke("distill", "--config", tmp_path / "tiny" / "config.yaml", "--out", tmp_path / "again")
    for name in ("initial.safetensors", "synset.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (run.path / name).read_bytes()


def test_what_is_to_be_private_does_not_go_to_a_public_repository(server, run):
    push(run, "--format", "npz")
    before = pushed(server)
    message = fails("push", run.path, "me/tiny", "--private", "--format", "parquet")
    assert "me/tiny is there and public: nothing was sent" in message and pushed(server) == before


def test_another_push_leaves_nothing_of_the_earlier_set(server, run):
    push(run, "--format", "folder", "--format", "safetensors")
    assert len([name for name in pushed(server) if name.startswith("set/")]) == 21
    server.commit("datasets/me/tiny", {"LICENSE": b"mine", "setup.py": b"mine too"})
    push(run, "--format", "parquet")
    assert sorted(pushed(server)) == [
        *("LICENSE", "README.md", "config.yaml", "pictures/first.png", "pictures/last.png", "set.parquet", "setup.py"),
    ]


def test_folders_load_and_other_forms_have_no_viewer(server, run, tmp_path):
    push(run, "--format", "folder")
    folder = laid(pushed(server), tmp_path / "tiny")
    train = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    there = glad.load_distilled(run.path)
    assert sorted(train["label"]) == sorted(there.labels.tolist()) and len(train.features["label"].names) == 10
    card = card_of(run, formats=["npz", "codes"])
    assert front_of(card)["viewer"] is False and "configs" not in front_of(card) and "load_dataset" not in card
    assert 'glad.load_distilled("tiny/set.npz")' in card and "glad render tiny/codes.safetensors" in card
    for kind in FORMATS:
        assert glad.push(run, "me/tiny", formats=[kind], dry_run=True).files
    with pytest.raises(ValueError, match="unknown format 'tiff'"):
        card_of(run, formats=["tiff"])


# What the card says


def test_the_client_finds_the_card_valid(server, run):
    text = card_of(run)
    card = DatasetCard(text)
    card.validate(repo_type="dataset")
    assert card.data.license == "mit" and card.data.task_categories == ["image-classification"]
    assert card.data.size_categories == ["n<1K"] and "dataset-distillation" in card.data.tags
    assert front_of(text)["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "set.parquet"}]}
    ]


def test_the_card_tells_how_the_set_was_made_and_its_limits(run):
    card, hashes = card_of(run), run.inputs["hashes"]
    facts = [
        *("20 synthetic images of 10 classes", "| objective | dm |", "| prior | fashion-mini |", "| iterations | 2 |"),
        *("| images per class | 2 |", "| seed | 0 |", "batch 4", f"glad {glad.__version__}", "w 0.03"),
        *(hashes["data"], hashes["weights"], "at 28 × 28 pixels", "of the values were clipped", "](pictures/last.png)"),
        *("copyright © 2017 Zalando SE", "Apache-2.0 (commercial use allowed, passing on allowed)"),
    ]
    for fact in facts:
        assert fact in card, fact
    lost = glad.push(run, "me/x", formats=["parquet"], dry_run=True).card
    cost = FORMATS["parquet"].card(glad.load_distilled(run.path)).cost
    assert f"{cost.mean:.3g}/255 on average" in lost and f"{100 * cost.clipped:.3g} % of the values" in lost


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
    for name, title in (("codes", "**this set**"), ("codes before optimisation", "codes before optimisation")):
        entry = results["summary"][name]
        cells = [entry["same"], entry["networks"]["vit"], entry["cross"]]
        shown = " | ".join(f"{100 * cell['mean']:.1f} ± {100 * cell['std']:.1f}" for cell in cells)
        assert f"| {title} | {shown} |" in card
    assert "| trained on | convnet (distilled with) | vit | unseen networks |" in card
    assert "Accuracy in % on validation images" in card and "over 2 seeds (0, 1)" in card
    assert "epochs 2" in card and "lr\\_same 0.01" in card and "depth 1" in card and "not been evaluated" not in card


def test_results_of_another_set_or_unfinished_stay_out(evaluated):
    path = evaluated.path / "results.json"
    good = read_json(path)
    for content, why in (
        ({**good, "settings": {**good["settings"], "sets": {"codes": ["0", "0"]}}}, "of another state of the set"),
        ({key: good[key] for key in ("settings", "cells")}, "of an unfinished evaluation"),
    ):
        write_json(path, content)
        with pytest.warns(UserWarning, match=why):
            assert "has not been evaluated" in card_of(evaluated)
    for content in ([], {**good, "seeds": None}, {**good, "summary": {"codes": {}}}):
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
    with pytest.warns(UserWarning, match="of another state of the set"):
        assert "## Checks" not in card_of(copy, formats=["npz"])
    for other in ([], {"verdicts": ["text"]}, {"schema": 2}):
        write_json(path, other)
        assert "## Checks" not in card_of(copy, formats=["npz"])
    path.write_text("{")
    assert "audit.json: cannot be read" in fails("push", copy.path, "me/x", "--dry-run")


HOSTILE = ("--- b", "a: 'b' \"c\" #d", "[x](y) <b> | `z` *e* & f")


@pytest.fixture
def foreign(tmp_path):
    """A run from a folder whose classes have names that YAML, Markdown and HTML would read, and pixels as prior."""
    rng = np.random.default_rng(0)
    for name in HOSTILE:
        (tmp_path / "home" / "my data" / name).mkdir(parents=True)
        for i in range(8):
            image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            image.save(tmp_path / "home" / "my data" / name / f"{i}.png")
    options = {"prior": "pixels", "objective_options": {"batch": 2}, "root": tmp_path / "home"}
    return distil(tmp_path / "home" / "runs" / "pixels", data=str(tmp_path / "home" / "my data"), **options)


def test_any_class_name_comes_through_and_no_path_does(server, foreign, tmp_path):
    push(foreign, "--licence", "cc-by-4.0")
    files = pushed(server)
    card = files["README.md"].decode()
    assert "--- b, \\[x\\](y) \\<b\\> \\| \\`z\\` \\*e\\* \\& f, a: 'b' \"c\" \\#d." in card
    assert front_of(card)["license"] == "cc-by-4.0" and "licence not known to glad" in card
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
    assert without_paths(config) == {
        "data": "./set.npz",
        "prior": "./g.safetensors",
        "prior_options": {"codes": "./codes.npz", "other": ["./x.pt", "a/b", 1, None]},
        "objective": "module:Class",
    }
    hub = {"data": "fashion-mini", "prior": "org/repo:g.safetensors@main"}
    assert without_paths(hub) == hub


def test_pictures_are_no_larger_than_a_page_and_may_be_missing(server, copy):
    Image.new("RGB", (4000, 400)).save(copy.path / "grid_000002.png")
    (copy.path / "grid_000000.png").unlink()
    push(copy, "--format", "npz")
    with Image.open(io.BytesIO(pushed(server)["pictures/last.png"])) as image:
        assert image.size == (1600, 160)
    assert "pictures/first.png" not in pushed(server)["README.md"].decode()


def test_whitened_sets_and_soft_labels_say_so(tmp_path):
    whitened = distil(tmp_path / "zca", prior="pixels", zca=True, **SMALL)
    labels = torch.rand(10, 10, generator=generator("push tests")).softmax(1)
    soft_labels.write(whitened.path, whitened.read_set()[0], labels, {"network": "convnet"})
    card = card_of(whitened)
    assert (
        "`images` are whitened (ZCA)" in card and "here that is undone" in card and "| whitened (zca) | True |" in card
    )
    assert "in Parquet `soft_label`" in card


# What may not go


def refused(run, *options):
    output = fails("push", run.path, "me/x", "--dry-run", *options)
    assert output.startswith("Error: ")
    return output


def test_data_of_unknown_licence_need_one(server, foreign):
    message = "the licence of the data ./my data is not known here: say with --licence"
    assert message in refused(foreign)
    assert "license: other license_name: ask-me-first " in push(foreign, "--licence", "Ask me: first", "--dry-run")


def test_weights_that_state_no_licence_keep_the_set_here(server, tmp_path):
    (tmp_path / "home").mkdir()
    weights.save(tmp_path / "home" / "mine.safetensors", tiny_generator(), data="digits")
    prior = str(tmp_path / "home" / "mine.safetensors")
    run = distil(tmp_path / "home" / "run", prior=prior, classes=[0, 1, 2], iterations=1, lr=0.01, **SMALL)
    for licence in ((), ("--licence", "mit"), ("--permission", " ")):
        message = refused(run, *licence)
        assert "no licence is known of its weights ./mine.safetensors that allows passing on" in message
        assert "passing on not stated" in message and "say with --permission whose consent you have" in message
    assert not server.log
    push(run, "--permission", "they are my *own*")
    files = pushed(server)
    assert "| permission | they are my \\*own\\* (so says who published the set) |" in files["README.md"].decode()
    assert "codes.safetensors" in files
    for name, content in files.items():
        assert str(tmp_path).encode() not in content, name


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (catalog.UNSTATED.in_words(), "licence of the weights unstated"),
        (catalog.Licence("strict", redistribution=False).in_words(), "passing on forbidden"),
        ("passing on allowed", "(passing on allowed)"),  # not in the words of a run
        (None, "not recorded by the run"),
    ],
)
def test_only_words_that_allow_passing_on_count(copy, told, said):
    found = {} if told is None else {**copy.inputs["weights"], "licence": told}
    change(copy, "inputs.json", weights=found)
    for options in ((), ("--licence", "mit"), ("--format", "parquet")):
        message = refused(copy, *options)
        assert "its weights fashion-mini" in message and said in message


def test_non_commercial_weights_make_no_commercial_set(copy):
    words = catalog.read_licence("cc-by-nc-4.0").in_words()
    change(copy, "inputs.json", weights={**copy.inputs["weights"], "licence": words})
    for options in ((), ("--licence", "cc-by-4.0"), ("--licence", "my own")):
        message = refused(copy, *options)
        assert (
            "not known to forbid commercial use: the licence of its weights fashion-mini does not allow it" in message
        )
    card = card_of(copy, licence="CC-BY-NC-4.0")
    assert front_of(card)["license"] == "cc-by-nc-4.0" and words in card
    assert front_of(card_of(copy, permission="their author"))["license"] == "mit"


def test_what_is_no_finished_run_is_refused(copy, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "is not the folder of a run" in refused(Run(tmp_path / "empty"))
    (tmp_path / "empty" / "config.yaml").write_text("colour: red")
    assert "the run is not finished" in refused(Run(tmp_path / "empty"))
    inputs = (copy.path / "inputs.json").read_text()
    (copy.path / "inputs.json").unlink()
    assert "inputs.json: cannot be read" in refused(copy)
    (copy.path / "inputs.json").write_text(inputs)
    change(copy, "config.yaml", iterations=5)
    assert "has done 2 of 5 iterations" in refused(copy)


# The Hub


@pytest.mark.parametrize("name", ["tiny", "me/../x", "me/x/y", "me/x.git", "me/x y"])
def test_a_name_that_cannot_be(run, name):
    with pytest.raises(store.FetchError, match=re.escape(name)) as caught:
        glad.push(run, name, dry_run=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("POST", "/api/repos/create", status=401), "asks for a login (401)"),
        (Fault("POST", "/api/repos/create", status=403), "your token may not do that (403)"),
        (Fault("POST", "/preupload/", status=404), "no such repository or file (404)"),
        (Fault("POST", "/commit/", status=409, times=99), "someone else changed"),
        (Fault("POST", "/commit/", status=429, times=99, headers={"Retry-After": "7"}), "wait 7 s and try again"),
        (Fault("POST", "/commit/", status=400), "the Hub does not take it (400)"),
    ],
)
def test_what_the_hub_answers_is_one_line(server, run, monkeypatch, fault, said):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    server.faults.append(fault)
    message = fails("push", run.path, "me/tiny", "--format", "npz")
    assert said in message and "Error: me/tiny: " in message
    if fault.status in (401, 404, 409):
        assert f"{server.address}/datasets/me/tiny" in message
    assert not server.commits.get("datasets/me/tiny", [(0, {})])[-1][1]


def test_without_a_token_or_a_network(server, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "asks for a login (401)" in fails("push", run.path, "me/tiny", "--format", "npz")
    monkeypatch.setattr(constants, "ENDPOINT", CLOSED)
    assert "broke off or was refused" in fails("push", run.path, "me/tiny", "--format", "npz")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids the network" in fails("push", run.path, "me/tiny", "--format", "npz")


def test_the_python_of_the_docs_runs(server, run, monkeypatch):
    docs = (ROOT / "docs" / "EXPORT.md").read_text()
    (example,) = re.findall(r"```python\n(import glad\n\nparcel.*?)```", docs, re.DOTALL)
    monkeypatch.chdir(run.path.parent.parent)
    names = {}
    exec(example.replace("runs/codes", str(run.path)), names)
    assert json.dumps([file.name for file in names["parcel"].files]) and not names["parcel"].address
