"""Licenses as fields, and the one reader of the forms that older files have."""

import json

import pytest
from errors import naming

from generators import store
from generators.license import NOT_RECORDED, License, license_of, read_license
from generators.provenance import OWN_FILE, Weights

NC = License("cc-by-nc-4.0", "CC-BY-NC-4.0", commercial=False, redistribution=True)


def test_fields_come_back_as_they_went():
    for license in (NC, read_license("CC0"), read_license("ask me"), License(None, "x (y)", None, False)):
        assert license_of({"license": license.fields()}) == license
        assert license_of({"license": license.to_json()}) == license  # of a file's metadata, which are strings
    assert set(NC.fields()) == {"id", "text", "commercial", "redistribution"}


@pytest.mark.parametrize(
    ("record", "license"),
    [
        ({"licence": "CC-BY-NC-4.0 (commercial use forbidden, passing on allowed)"}, NC),
        (
            {"licence": "none needed: made from a seed (commercial use allowed, passing on allowed)"},
            License(None, "none needed: made from a seed", True, True),
        ),
        ({"licence": "a (b) (commercial use not stated, passing on forbidden)"}, License(None, "a (b)", None, False)),
        ({"licence": "mit"}, License("mit", "mit", True, True)),  # the record of a download, metadata of a file
        ({"license": "cc0"}, License("cc0-1.0", "cc0", True, True)),  # metadata of files of others
        (
            {"licence": "x (commercial use maybe, passing on allowed)"},
            License(None, "x (commercial use maybe, passing on allowed)"),
        ),
        ({"licence": "passing on allowed"}, License(None, "passing on allowed")),
        ({"license": "{ask me}"}, License(None, "{ask me}")),
        ({"license": NC.fields(), "licence": "mit"}, NC),
        ({"license": ""}, NOT_RECORDED),
        ({}, NOT_RECORDED),
    ],
)
def test_every_form_that_a_file_may_have(record, license):
    assert license_of(record) == license


@pytest.mark.parametrize(
    "change", [{"commercial": "allowed"}, {"redistribution": 1}, {"text": None}, {"id": 3}, {"commercial": []}]
)
def test_fields_of_another_kind_are_refused(change):
    for stated in ({**NC.fields(), **change}, json.dumps({**NC.fields(), **change})):
        with pytest.raises(ValueError, match=naming("id text commercial redistribution")):
            license_of({"license": stated})


def test_provenance_comes_back_and_old_records_are_read():
    ours = Weights("me.safetensors", OWN_FILE, "ab", NC, file="/home/me.safetensors")
    assert Weights.read(json.loads(json.dumps(ours.fields()))) == ours
    old = {"name": "me.safetensors", "source": "the file /home/me.safetensors", "sha256": "ab"}
    assert Weights.read({**old, "licence": NC.in_words()}) == ours
    assert Weights.read({**old, "license": NC.fields()}).source == "the file /home/me.safetensors"  # new: only words


def test_the_record_of_an_old_download_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("GLAD_WEIGHTS_CACHE", str(tmp_path))
    stated = {"path": "g", "sha256": "1", "original": "2", "source": "Hub", "revision": "3"}
    store.path_of("a/b:g.pkl", ".json").write_text(json.dumps({"name": "a/b:g.pkl", **stated, "licence": "mit"}))
    record = store.read_record("a/b:g.pkl")
    assert record == store.Record(name="a/b:g.pkl", **stated, license=read_license("mit"))
    store.write_record(record)
    assert json.loads(store.path_of("a/b:g.pkl", ".json").read_text())["license"]["id"] == "mit"
    assert store.read_record("a/b:g.pkl") == record
    store.path_of("a/b:g.pkl", ".json").write_text('["no record"]')
    with pytest.raises(store.FetchError, match=naming("a--b--g.pkl-fad224c4.json record")):
        store.read_record("a/b:g.pkl")
