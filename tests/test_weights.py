"""Generators as files: round trips, geometry from bare tensors, and errors that name the file."""

from dataclasses import replace

import pytest
import torch
from fixtures import codes, tiny_generator, tiny_specs
from safetensors.torch import load_file, save_file

from generators.weights import WeightsError, build, load, save

Z, LABELS = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0])


@pytest.mark.parametrize("options", [{}, {"c_dim": 0}, {"class_average": False}, {"specs": tiny_specs(radial=True)}])
def test_a_round_trip_is_exact(tmp_path, options):
    generator = tiny_generator(**options)
    save(tmp_path / "g.safetensors", generator, licence="CC0", steps="12")
    loaded, metadata = load(tmp_path / "g.safetensors")
    assert loaded.state_dict().keys() == generator.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), generator.state_dict().values(), strict=True)
    )
    assert torch.equal(loaded.synthesis.synthesize(codes(generator)), generator.synthesis.synthesize(codes(generator)))
    if options.get("class_average", True):  # a single average does not tell how many classes there are
        assert torch.equal(loaded(Z, LABELS, 0.7), generator(Z, LABELS, 0.7))
    assert (metadata["licence"], metadata["steps"]) == ("CC0", "12")


def test_a_loaded_generator_is_frozen(tmp_path):
    save(tmp_path / "g.safetensors", tiny_generator().requires_grad_(True))
    generator, _ = load(tmp_path / "g.safetensors")
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_half_precision_is_within_its_rounding_and_filters_stay_exact(tmp_path):
    generator = tiny_generator()
    save(tmp_path / "g.safetensors", generator, torch.float16)
    exact = ("magnitude_ema", "_filter", "freqs", "phases", "transform")
    stored = load_file(tmp_path / "g.safetensors")
    assert {t.dtype for name, t in stored.items() if name.endswith(exact)} == {torch.float32}
    assert {t.dtype for name, t in stored.items() if not name.endswith(exact)} == {torch.float16}
    loaded = load(tmp_path / "g.safetensors")[0].state_dict()
    for name, tensor in generator.state_dict().items():
        assert loaded[name].dtype == torch.float32
        torch.testing.assert_close(loaded[name], tensor, rtol=0 if name.endswith(exact) else 2**-11, atol=2**-24)


@pytest.mark.parametrize(("clamp", "scale"), [(None, 0.25), (256.0, 1.0), (0.1, 0.5)])
def test_clamp_and_output_scale_survive(tmp_path, clamp, scale):
    specs = [replace(spec, clamp=clamp) for spec in tiny_specs()]
    generator = tiny_generator(specs=specs, output_scale=scale)
    save(tmp_path / "g.safetensors", generator)
    loaded, _ = load(tmp_path / "g.safetensors")
    assert [layer.spec.clamp for layer in loaded.synthesis.layers] == [clamp] * 7
    assert loaded.synthesis.output_scale == scale
    assert torch.equal(loaded(Z, LABELS), generator(Z, LABELS))


def test_a_stem_without_clamp_under_a_head_with_one_survives(tmp_path):
    specs = [replace(spec, clamp=None if position < 2 else 256.0) for position, spec in enumerate(tiny_specs())]
    save(tmp_path / "g.safetensors", tiny_generator(specs=specs))
    loaded, _ = load(tmp_path / "g.safetensors")
    assert [layer.spec.clamp for layer in loaded.synthesis.layers] == [None] * 2 + [256.0] * 5


def test_a_bare_file_gets_the_published_constants(tmp_path):
    generator = tiny_generator()
    save_file(generator.state_dict(), tmp_path / "g.safetensors")
    loaded, metadata = load(str(tmp_path / "g.safetensors"))
    assert metadata == {}
    assert torch.equal(loaded(Z, LABELS), generator(Z, LABELS))


def test_filters_come_from_the_file(tmp_path):
    generator = tiny_generator()
    generator.synthesis.layers[0].up_filter.mul_(1.5)
    save(tmp_path / "g.safetensors", generator)
    loaded, _ = load(tmp_path / "g.safetensors")
    assert torch.equal(loaded.synthesis.layers[0].up_filter, generator.synthesis.layers[0].up_filter)


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
