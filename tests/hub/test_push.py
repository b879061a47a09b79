"""A set goes to a real server on the loopback through the Hub's real client, and comes back as it was."""

import hashlib
import json
import re
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from distilled_sets import fails, invoke
from errors import mentions
from hub_client import CLOSED
from hub_server import Fault
from huggingface_hub import constants
from pushed_sets import ROOT, card_of, front_of, laid, no_connection, push, pushed

import glad
from generators import store
from glad.formats import FORMATS

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client, of how it sends files


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
    assert mentions(message, "me/tiny public") and pushed(server) == before


def test_another_push_leaves_nothing_of_the_earlier_set(server, run):
    push(run, "--format", "folder", "--format", "safetensors")
    assert len([name for name in pushed(server) if name.startswith("set/")]) == 21
    server.commit("datasets/me/tiny", {"LICENSE": b"mine", "setup.py": b"mine too"})
    push(run, "--format", "parquet")
    assert sorted(pushed(server)) == [
        *("LICENSE", "README.md", "config.yaml", "pictures/first.png", "pictures/last.png", "set.parquet", "setup.py"),
    ]


def test_folders_load_and_other_forms_have_no_viewer(server, run, tmp_path):
    there = glad.load_distilled(run.path)
    for kind in ("parquet", "folder"):
        push(run, "--format", kind)
        folder = laid(pushed(server), tmp_path / kind / "tiny")
        assert datasets.get_dataset_config_names(str(folder)) == ["default"]
        assert datasets.get_dataset_split_names(str(folder), "default") == ["train"]
        cache = str(tmp_path / kind / "cache")
        train = datasets.load_dataset(str(folder), "default", split="train", cache_dir=cache)
        assert len(train) == 20 and train[0]["image"].size == (28, 28)
    assert sorted(train["label"]) == sorted(there.labels.tolist()) and len(train.features["label"].names) == 10
    card = card_of(run, formats=["npz", "codes"])
    assert front_of(card)["viewer"] is False and "configs" not in front_of(card) and "load_dataset" not in card
    assert 'glad.load_distilled("tiny/set.npz")' in card and "glad render tiny/codes.safetensors" in card
    for kind in FORMATS:
        assert glad.push(run, "me/tiny", formats=[kind], dry_run=True).files
    with pytest.raises(ValueError, match="unknown format 'tiff'"):
        card_of(run, formats=["tiff"])


@pytest.mark.parametrize("name", ["tiny", "me/../x", "me/x/y", "me/x.git", "me/x y"])
def test_a_name_that_cannot_be(run, name):
    with pytest.raises(store.FetchError, match=re.escape(name)) as caught:
        glad.push(run, name, dry_run=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("POST", "/api/repos/create", status=401), "login (401)"),
        (Fault("POST", "/api/repos/create", status=403), "token (403)"),
        (Fault("POST", "/preupload/", status=404), "repository (404)"),
        (Fault("POST", "/commit/", status=409, times=99), "someone"),
        (Fault("POST", "/commit/", status=429, times=99, headers={"Retry-After": "7"}), "7 s"),
        (Fault("POST", "/commit/", status=400), "(400)"),
    ],
)
def test_what_the_hub_answers_is_one_line(server, run, monkeypatch, fault, said):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    server.faults.append(fault)
    message = fails("push", run.path, "me/tiny", "--format", "npz")
    assert mentions(message, said) and "Error: me/tiny: " in message
    if fault.status in (401, 404, 409):
        assert f"{server.address}/datasets/me/tiny" in message
    assert not server.commits.get("datasets/me/tiny", [(0, {})])[-1][1]


def test_without_a_token_or_a_network(server, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "login (401)" in fails("push", run.path, "me/tiny", "--format", "npz")
    monkeypatch.setattr(constants, "ENDPOINT", CLOSED)
    assert "broke off or was refused" in fails("push", run.path, "me/tiny", "--format", "npz")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids the network" in fails("push", run.path, "me/tiny", "--format", "npz")


def test_the_python_of_the_docs_runs(server, run, monkeypatch):
    docs = (ROOT / "docs" / "EXPORT.md").read_text()
    (example,) = re.findall(r"```python\n(import glad\n\nupload.*?)```", docs, re.DOTALL)
    monkeypatch.chdir(run.path.parent.parent)
    names = {}
    exec(example.replace("runs/codes", str(run.path)), names)
    assert json.dumps([file.name for file in names["upload"].files]) and not names["upload"].address
