"""Weights that were pulled: trusted as they were first, listed, recorded in runs."""

import hashlib
from pathlib import Path

import pytest
import torch
from errors import naming
from fixtures import tiny_generator
from hub_client import NAME, fails, invoke
from huggingface_hub import constants

import glad
from generators import catalog, hub, official, store, weights
from glad.data.splits import load_data
from glad.priors.resolve import resolve_prior


def test_a_file_that_changed_here_is_refused(server, content):
    path = hub.fetch(NAME)
    path.write_bytes(content[:-1] + b"x")
    fails(NAME, str(path), "has changed", f"`glad weights pull {NAME} --again`")
    assert hub.fetch(NAME, again=True).read_bytes() == content
    assert hub.fetch(NAME).read_bytes() == content


def test_a_file_that_changed_there_is_refused(server, content, tmp_path):
    before = hub.obtain(NAME)
    weights.save(tmp_path / "other.safetensors", tiny_generator(seed=1))
    server.commit("org/repo", {"g.safetensors": (tmp_path / "other.safetensors").read_bytes()})
    line = fails(NAME, "as it was the first time", again=True)
    assert hub.obtain(NAME) == before and before.file.read_bytes() == content
    Path(line.partition("delete ")[2].partition(")")[0]).unlink()
    assert hub.obtain(NAME, again=True).sha256 == official.sha256(tmp_path / "other.safetensors") != before.sha256


def test_an_official_file_that_changed_leaves_the_first_one(server, catalogd, content):
    before = hub.obtain(catalogd(at_hub=None))
    server.official["tiny.safetensors"] = content[:-1] + b"x"
    fails("tiny", "as it was the first time", again=True)
    assert hub.obtain("tiny") == before and before.file.read_bytes() == content


def test_a_file_that_is_gone_comes_back_and_a_broken_record_is_named(server, content, tmp_path):
    path = hub.fetch(NAME)
    store.discard(path)
    assert hub.fetch(NAME).read_bytes() == content
    (lock,) = (tmp_path / "cache").glob("*.lock")
    lock.unlink()
    lock.mkdir()  # a cache that is only read has no place for locks
    assert hub.fetch(NAME).read_bytes() == content
    (record,) = (tmp_path / "cache").glob("*.json")
    record.write_text("{")
    fails(NAME, str(record), "delete it")


def test_a_cache_that_cannot_be_written_to(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLAD_WEIGHTS_CACHE", str(tmp_path / "file" / "cache"))
    fails(NAME, "cannot be written to", "GLAD_WEIGHTS_CACHE")


def test_pull_says_the_license_first(server, content):
    server.cards["org/repo"] = {}
    lines = invoke("weights", "pull", NAME).splitlines()
    assert lines[0] == f"{NAME}: no license stated (commercial use not stated, passing on not stated)"
    assert hashlib.sha256(content).hexdigest() in lines[2]
    assert lines[-1] == f"Use it with `glad distill --prior {NAME}`."
    assert "needs no download: comes with glad" in invoke("weights", "pull", "fashion-mini")
    assert "no weights called 'imagenet'" in invoke("weights", "pull", "imagenet", code=1)


def test_pull_shows_progress_of_an_official_download(server, catalogd, content):
    output = invoke("weights", "pull", catalogd(at_hub=None))
    assert "1/1" in output and output.startswith("tiny: mit (commercial use allowed")


def test_list_shows_what_is_here(server, catalogd):
    assert NAME not in invoke("weights", "list")
    path = hub.fetch(NAME)
    table = invoke("weights", "list")
    assert all(name in table for name in catalog.CATALOG) and f"  {NAME}: apache-2.0 (commercial use allowed" in table
    assert "px any classes 0" in " ".join(invoke("weights", "list", "taesd").split())
    stated = invoke("weights", "list", NAME)
    assert str(path) in stated and "0.0 MB" in stated and official.sha256(path) in stated
    pinned = f"{NAME}@{server.first}"  # the same bytes by another name
    hub.fetch(pinned)
    (line,) = [line for line in invoke("weights", "list").splitlines() if "apache-2.0" in line and NAME in line]
    assert set(line.partition(": apache")[0].strip().split(", ")) == {NAME, pinned}
    path.unlink()
    assert "deleted" in invoke("weights", "list")


def test_a_run_records_weights_source_and_license(server, tmp_path):
    server.cards["org/repo"] = {"license": "cc-by-nc-4.0"}
    words = "cc-by-nc-4.0 (commercial use forbidden, passing on allowed)"
    with pytest.warns(UserWarning) as notes:
        run = glad.distill(
            prior=NAME,
            limit=40,
            iterations=1,
            learning_rate=0.01,
            class_map="guess",
            network_options={"width": 8},
            objective_options={"batch": 2},
            out=tmp_path / "run",
            device="cpu",
        )
    assert [str(note.message) for note in notes].count(f"{NAME}: {words}") == 1
    assert run.inputs["weights"] == {
        "name": NAME,
        "source": f"{server.address}/org/repo/blob/{server.first}/g.safetensors",
        "license": {"id": "cc-by-nc-4.0", "text": "cc-by-nc-4.0", "commercial": False, "redistribution": True},
        "sha256": run.inputs["hashes"]["weights"],
    }
    assert words in (run.path / "config.yaml").read_text().splitlines()[0]
    assert run.config["prior"] == NAME


def test_a_prior_that_is_not_here_without_network(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in (NAME, "imagenet128"):
        with pytest.warns(UserWarning, match=naming("commercial")):
            output = open_prior_fails(name)
        assert f"`glad weights pull {name}`" in output


def open_prior_fails(name):
    with pytest.raises(store.FetchError) as caught:
        resolve_prior(name, load_data("fashion-mini", limit=20).train, {}, torch.device("cpu"))
    return str(caught.value)
