"""Protocols of one's own: as objects, under a name and in files; what makes no sense is said in one line."""

import json
from dataclasses import replace

import pytest
from errors import mentions, naming

from glad.evaluation import PROTOCOLS, Protocol, list_protocols, read_protocol, register_protocol
from glad.evaluation.protocol import resolve_protocol

MINE = Protocol(epochs=7, learning_rates={"vit": 0.5}, average_decay=0.0, schedule="step")


@pytest.fixture(autouse=True)
def names(monkeypatch):
    monkeypatch.setattr(PROTOCOLS, "_entries", dict(PROTOCOLS))


def test_a_registered_protocol_is_known_by_its_name():
    assert register_protocol("mine", MINE) is MINE and list_protocols("m*") == ["mine"]
    assert resolve_protocol("mine") == ("mine", MINE) == resolve_protocol(replace(MINE))
    register_protocol("mine", replace(MINE))  # the same once more
    with pytest.raises(ValueError, match=naming("'mine' Protocol")):
        register_protocol("mine", replace(MINE, epochs=8))
    with pytest.raises(ValueError, match=naming("'mine.yaml' .yaml")):
        register_protocol("mine.yaml", MINE)
    assert resolve_protocol(replace(MINE, epochs=8))[0] == "custom"


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "mine.json"])
def test_a_file_says_all_or_some_of_the_fields(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(MINE.to_dict()))
    assert resolve_protocol(tmp_path / name) == (name, MINE) == resolve_protocol(str(tmp_path / name))
    (tmp_path / name).write_text(json.dumps({"epochs": 20, "learning_rate_seen": "1e-3"}))  # as YAML reads 1e-3
    assert read_protocol(tmp_path / name) == Protocol(epochs=20, learning_rate_seen=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epochs: [", "mine.yaml read"),
        ("- 1", "mine.yaml FIELD: VALUE"),
        ("epoch: 3", "mine.yaml epoch epochs"),
        ("zzz: 3", "mine.yaml zzz epochs, learning_rate_seen"),
        ("epochs: many", "mine.yaml epochs 'many' int"),
        ("learning_rates: 0.1", "learning_rates network 0.1"),
        ("learning_rates: {vit: fast}", "learning_rates.vit 'fast' float"),
        ("learning_rates: {vitt: 0.1}", "learning_rates 'vitt' convnet"),
        ("epochs: 0", "epochs 1 0"),
        ("batch: 0", "batch 1 0"),
        ("momentum: -1", "momentum 0 -1.0"),
        ("learning_rate_seen: .nan", "learning_rate_seen 0 nan"),
        ("learning_rate_cross: .inf", "learning_rate_cross finite 0 inf"),
        ("learning_rates: {vit: -1}", "learning_rates.vit 0 -1.0"),
        ("momentum: 1", "momentum 0 below 1 1.0"),
        ("average_decay: 1", "average_decay [0, 1) 1.0"),
        ("norm: layer", "norm 'layer' instance, batch, none"),
        ("schedule: linear", "schedule 'linear' cosine, step"),
        ("augmentation: color_blur", "augmentation 'blur' 'color_blur'"),
    ],
)
def test_a_file_that_makes_no_sense_is_said(tmp_path, content, message):
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(ValueError) as raised:
        read_protocol(tmp_path / "mine.yaml")
    assert mentions(raised.value, message) and "\n" not in str(raised.value)


def test_what_is_no_protocol_is_said(tmp_path):
    with pytest.raises(ValueError, match=naming("none.yaml")):
        resolve_protocol(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match=naming("'none' default dc glad")):
        resolve_protocol("none")


def test_learning_rates_in_place_of_the_protocol_s():
    assert MINE.with_learning_rates(None, "convnet") is MINE
    one = MINE.with_learning_rates(0.25, "convnet")
    assert [one.learning_rate(name, "convnet") for name in ("convnet", "vit", "vgg11")] == [0.25] * 3
    some = MINE.with_learning_rates({"convnet": 0.125, "vgg11": 1.0}, "convnet")
    assert [some.learning_rate(name, "convnet") for name in ("convnet", "vit", "vgg11")] == [0.125, 0.5, 1.0]
