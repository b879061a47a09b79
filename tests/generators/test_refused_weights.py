"""Files that are no generator's are refused by an error that names them."""

import json

import pytest
import torch
from errors import naming
from fixtures import tiny_generator
from safetensors.torch import load_file, save_file

from generators.weights import KEY, WeightsError, build, load, save


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("mapping.w_avg"), "missing mapping.w_avg"),
        (lambda state: state.pop("synthesis.L0_28_6.bias"), "Missing synthesis.L0_28_6.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "Unexpected extra"),
        (lambda state: state.update({"mapping.fc1.bias": torch.zeros(4)}), "mapping.fc1.bias [4]"),
        (lambda state: state.pop("synthesis.L1_28_6.weight"), "L1_28_6"),
        (
            lambda state: state.update({"mapping.embed.weight": state["mapping.embed.weight"][:1].clone()}),
            "classes 1 rows",
        ),
    ],
)
def test_a_wrong_state_dict_is_named(tmp_path, change, message):
    state = tiny_generator().state_dict()
    change(state)
    with pytest.raises(ValueError, match=naming(message)):
        build(state)
    save_file(state, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsError, match=naming(f"wrong.safetensors {message}")):
        load(tmp_path / "wrong.safetensors")


def broken_file(path, kind):
    save(path, tiny_generator())
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "header only": whole[:100],
        "truncated": whole[:-7],
        "noise": b"\xff" * 64,
        "text": b"html",
    }
    path.write_bytes(contents[kind])


@pytest.mark.parametrize("kind", ["empty", "header only", "truncated", "noise", "text"])
def test_a_broken_file_is_named(tmp_path, kind):
    broken_file(tmp_path / "broken.safetensors", kind)
    with pytest.raises(WeightsError, match=naming("broken.safetensors")):
        load(tmp_path / "broken.safetensors")


def test_a_file_of_another_network_a_folder_and_a_missing_file_are_named(tmp_path):
    save_file({"fc.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=naming("other.safetensors synthesis layers")):
        load(tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"absent\.safetensors"):
        load(tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError, match=tmp_path.name):
        load(tmp_path)


@pytest.mark.parametrize("settings", ["{", "[]", '{"clamp": "high"}', '{"clamp": [1]}', '{"output_scale": null}'])
def test_metadata_that_makes_no_sense_are_refused(tmp_path, settings):
    save_file(tiny_generator().state_dict(), tmp_path / "g.safetensors", {"stylegan_xl": settings})
    with pytest.raises(WeightsError, match=r"g\.safetensors"):
        load(tmp_path / "g.safetensors")


def rewritten(path, **changes):
    """The generator's file with other settings."""
    _, metadata = load(path)
    settings = {**json.loads(metadata[KEY]), **changes}
    save_file(load_file(path), path, {**metadata, KEY: json.dumps(settings)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 4}, "4 3"),
        ({"classes": -1}, "-1 classes"),
        ({"margin": 14}, "28 margin 14"),
        ({"margin": "10"}, "margin '10'"),
        ({"bandwidth": 0}, "bandwidth 0"),
        ({"layers": []}, "form save"),
        ({"layers": {"L0_28_6": 3}}, "form save"),
        ({"layers": {"L9_28_6": {}}}, "['L9_28_6']"),
        ({"layers": {"L0_28_6": {"kernels": 3}}}, "layer L0_28_6 'kernels'"),
        ({"layers": {"L0_28_6": {"kernel": 1}}}, "layer L0_28_6 kernel 1 3"),
        (
            {"layers": {"L0_28_6": {"out_size": "28"}}},
            "layer L0_28_6 out_size '28' 28",
        ),
        ({"layers": {"L0_28_6": {"radial": 0}}}, "layer L0_28_6 radial 0 False"),
        ({"layers": {"L0_28_6": {"pads": [1, 2]}}}, "layer L0_28_6 padding [1, 2]"),
        ({"layers": {"L0_28_6": {"signals": [1, 2]}}}, "layer L0_28_6 signals [1, 2]"),
        ({"layers": {"L0_28_6": {"ema_beta": float("nan")}}}, "ema_beta nan"),
    ],
)
def test_metadata_that_contradict_the_tensors_are_named(tmp_path, changes, message):
    save(tmp_path / "g.safetensors", tiny_generator())
    rewritten(tmp_path / "g.safetensors", **changes)
    with pytest.raises(WeightsError, match=naming(f"g.safetensors {message}")):
        load(tmp_path / "g.safetensors")


def test_metadata_nested_without_end_are_refused(tmp_path):
    save_file(tiny_generator().state_dict(), tmp_path / "g.safetensors", {"stylegan_xl": "[" * 100_000})
    with pytest.raises(WeightsError, match=r"g\.safetensors"):
        load(tmp_path / "g.safetensors")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("mapping.fc0.weight", [5], "mapping.fc0.weight [5]"),
        ("mapping.embed.weight", [3], "mapping.embed.weight [3]"),
        ("mapping.w_avg", [], "mapping.w_avg []"),
        ("synthesis.L0_28_6.up_filter", [], "layer L0_28_6 filters"),
        ("synthesis.L0_28_6.down_filter", [12, 6], "layer L0_28_6 filters"),
        ("synthesis.L0_28_6.up_filter", [0], "layer L0_28_6 filter 0"),
        ("synthesis.L0_28_6.weight", [0, 6, 3, 3], "layer L0_28_6 weight"),
        ("synthesis.L0_28_6.weight", [6, 6, 3, 1], "synthesis.L0_28_6.weight"),
    ],
)
def test_tensors_of_a_strange_shape_are_named(name, shape, message):
    with pytest.raises(ValueError, match=naming(message)):
        build({**tiny_generator().state_dict(), name: torch.zeros(shape)})


@pytest.mark.parametrize(
    "value", [torch.zeros(5, dtype=torch.int64), torch.zeros(5, dtype=torch.complex64), "text", None]
)
def test_what_is_no_tensor_of_numbers_is_named(value):
    with pytest.raises(ValueError, match=naming("mapping.fc0.bias dense")):
        build({**tiny_generator().state_dict(), "mapping.fc0.bias": value})
