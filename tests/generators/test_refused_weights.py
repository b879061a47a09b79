"""Files that are no generator's are refused by an error that names them."""

import json

import pytest
import torch
from fixtures import tiny_generator
from safetensors.torch import load_file, save_file

from generators.weights import KEY, WeightsError, build, load, save


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("mapping.w_avg"), "tensors missing: mapping.w_avg"),
        (lambda state: state.pop("synthesis.L0_28_6.bias"), "Missing key.*synthesis.L0_28_6.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "Unexpected key.*extra"),
        (lambda state: state.update({"mapping.fc1.bias": torch.zeros(4)}), r"mapping.fc1.bias.*\[4\]"),
        (lambda state: state.pop("synthesis.L1_28_6.weight"), "L1_28_6"),
    ],
)
def test_a_wrong_state_dict_is_named(tmp_path, change, message):
    state = tiny_generator().state_dict()
    change(state)
    with pytest.raises(ValueError, match=message):
        build(state)
    save_file(state, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsError, match=rf"wrong\.safetensors: not usable as generator weights: .*{message}"):
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
    with pytest.raises(WeightsError, match=r"broken\.safetensors: not usable as generator weights"):
        load(tmp_path / "broken.safetensors")


def test_a_file_of_another_network_a_folder_and_a_missing_file_are_named(tmp_path):
    save_file({"fc.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors.*no synthesis layers"):
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
        ({"classes": 4}, "4 classes are told, the tensors tell 3"),
        ({"classes": -1}, "settings tell -1 classes"),
        ({"margin": 14}, "28 pixels do not go with margin 14"),
        ({"margin": "10"}, "do not go with margin '10'"),
        ({"bandwidth": 0}, "bandwidth is told to be 0"),
        ({"layers": []}, "not of the form written by save"),
        ({"layers": {"L0_28_6": 3}}, "not of the form written by save"),
        ({"layers": {"L9_28_6": {}}}, r"settings of layers \['L9_28_6'\] that the tensors lack"),
        ({"layers": {"L0_28_6": {"kernels": 3}}}, "layer L0_28_6: unknown setting 'kernels'"),
        ({"layers": {"L0_28_6": {"kernel": 1}}}, "layer L0_28_6: kernel is told to be 1, its tensors tell 3"),
        (
            {"layers": {"L0_28_6": {"out_size": "28"}}},
            "layer L0_28_6: out_size is told to be '28', its tensors tell 28",
        ),
        ({"layers": {"L0_28_6": {"radial": 0}}}, "layer L0_28_6: radial is told to be 0, its tensors tell False"),
        ({"layers": {"L0_28_6": {"pads": [1, 2]}}}, r"layer L0_28_6: padding is told to be \[1, 2\], its sizes need"),
        ({"layers": {"L0_28_6": {"signals": [1, 2]}}}, r"layer L0_28_6: signals \[1, 2\] are no two signals"),
        ({"layers": {"L0_28_6": {"ema_beta": float("nan")}}}, "ema_beta is told to be nan"),
    ],
)
def test_metadata_that_contradict_the_tensors_are_named(tmp_path, changes, message):
    save(tmp_path / "g.safetensors", tiny_generator())
    rewritten(tmp_path / "g.safetensors", **changes)
    with pytest.raises(WeightsError, match=rf"g\.safetensors: not usable as generator weights: .*{message}"):
        load(tmp_path / "g.safetensors")


def test_metadata_nested_without_end_are_refused(tmp_path):
    save_file(tiny_generator().state_dict(), tmp_path / "g.safetensors", {"stylegan_xl": "[" * 100_000})
    with pytest.raises(WeightsError, match=r"g\.safetensors"):
        load(tmp_path / "g.safetensors")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("mapping.fc0.weight", [5], r"mapping.fc0.weight has the shape \[5\]"),
        ("mapping.embed.weight", [3], r"mapping.embed.weight has the shape \[3\]"),
        ("mapping.w_avg", [], r"mapping.w_avg has the shape \[\]"),
        ("synthesis.L0_28_6.up_filter", [], "layer L0_28_6: filters of shape"),
        ("synthesis.L0_28_6.down_filter", [12, 6], "layer L0_28_6: filters of shape"),
        ("synthesis.L0_28_6.up_filter", [0], "layer L0_28_6: a filter of 0 taps"),
        ("synthesis.L0_28_6.weight", [0, 6, 3, 3], "layer L0_28_6: weight"),
        ("synthesis.L0_28_6.weight", [6, 6, 3, 1], "size mismatch for synthesis.L0_28_6.weight"),
    ],
)
def test_tensors_of_a_strange_shape_are_named(name, shape, message):
    with pytest.raises(ValueError, match=message):
        build({**tiny_generator().state_dict(), name: torch.zeros(shape)})


@pytest.mark.parametrize(
    "value", [torch.zeros(5, dtype=torch.int64), torch.zeros(5, dtype=torch.complex64), "text", None]
)
def test_what_is_no_tensor_of_numbers_is_named(value):
    with pytest.raises(ValueError, match=r"mapping.fc0.bias is a .*, not a dense tensor of floating-point numbers"):
        build({**tiny_generator().state_dict(), "mapping.fc0.bias": value})
