"""Weights to the Hub, and what may not be passed on."""

import json

import pytest
from fixtures import tiny_generator
from hub_client import NAME, invoke
from safetensors.torch import load_file

from generators import catalog, hub, official, weights


@pytest.fixture
def own(tmp_path):
    weights.save(tmp_path / "mine.safetensors", tiny_generator(), data="digits", steps="12", recipe="a\nb|c")
    return tmp_path / "mine.safetensors"


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client, of its own way to send a file
def test_push_and_pull_again(server, own, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", server.token)
    output = invoke("weights", "push", str(own), "me/digits", "--license", "cc-by-4.0", "--private")
    commit, files = server.commits["me/digits"][-1]
    assert output.splitlines()[-1] == f"{server.address}/me/digits/commit/{commit}"
    assert files["mine.safetensors"] == own.read_bytes() and "me/digits" in server.private
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    digest = official.sha256(own)
    for fact in (digest, "| steps | 12 |", "| data | digits |", "| recipe | a, b\\|c |", "pull me/digits:mine"):
        assert fact in card
    assert hub.fetch("me/digits:mine.safetensors").read_bytes() == own.read_bytes()
    invoke("weights", "push", str(own), "me/digits", "--license", "cc-by-4.0")  # a repository that is there
    assert len(server.commits["me/digits"]) == 3


def test_a_dry_run_sends_nothing_and_shows_all(server, own):
    output = invoke("weights", "push", str(own), "me/digits", "--license", "mit", "--dry-run")
    assert f"me/digits: mine.safetensors, {own.stat().st_size:,} bytes" in output
    assert official.sha256(own) in output and "license: mit" in output and "Nothing was sent" in output
    assert not server.log


def test_push_without_a_token_or_with_a_wrong_name(server, own):
    output = invoke("weights", "push", str(own), "me/digits", "--license", "mit", code=1)
    assert "401" in output and "hf auth login" in output
    assert "me/../x" in invoke("weights", "push", str(own), "me/../x", "--license", "mit", code=1)


def saved(path, **metadata):
    weights.save(path, tiny_generator(), **metadata)
    return str(path)


def test_what_may_not_be_passed_on_stays_here(server, tmp_path, own):
    def refused(file, *options):
        return " ".join(invoke("weights", "push", file, "me/x", *options, code=1).split())

    assert "--license" in refused(str(own))
    unstated = saved(tmp_path / "a.safetensors", licence=catalog.UNSTATED.text)
    assert "must not be passed on: license of the weights unstated" in refused(unstated, "--license", "mit")
    converted = saved(tmp_path / "b.safetensors", license=official.LICENSE.to_json())
    assert "must not be passed on" in refused(converted, "--license", "mit")
    server.cards["org/repo"] = {}
    pulled = hub.fetch(NAME)
    assert NAME in refused(str(pulled), "--license", "mit")
    stated = saved(tmp_path / "c.safetensors", license="mit")
    assert "is under mit by its metadata, not under cc0-1.0" in refused(stated, "--license", "cc0-1.0")
    (tmp_path / "d.safetensors").write_text("no weights")
    assert "d.safetensors" in refused(str(tmp_path / "d.safetensors"), "--license", "mit")
    assert not [seen for seen in server.log if seen.method in ("POST", "PUT")]


@pytest.mark.parametrize(
    ("file", "front"),
    [
        (weights.EMBEDDED["fashion-mini"], "license: apache-2.0\n"),
        ({"license": "cc0"}, "license: cc0-1.0\n"),
        ({"license": "CC-BY-NC-4.0"}, "license: cc-by-nc-4.0\n"),
    ],
)
def test_what_states_its_license_needs_none(server, tmp_path, file, front):
    path = saved(tmp_path / "g.safetensors", **file) if isinstance(file, dict) else str(file)
    assert front in invoke("weights", "push", path, "me/x", "--dry-run")


def test_a_license_of_ones_own_has_a_name(server, own):
    output = invoke("weights", "push", str(own), "me/x", "--license", "ask me: first", "--dry-run")
    assert f"license: other\nlicense_name: {json.dumps('ask me: first')}\n" in output
    assert load_file(own)
