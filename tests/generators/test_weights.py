"""Generators as files: round trips, and the geometry that bare tensors and settings give."""

import json
import os
from dataclasses import asdict, replace

import pytest
import torch
from errors import naming
from fixtures import codes, tiny_generator, tiny_specs
from safetensors.torch import load_file, save_file

from generators.settings import describe_settings
from generators.weights import EMBEDDED, KEY, build, load, save

Z, LABELS = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0])


@pytest.mark.parametrize("options", [{}, {"c_dim": 0}, {"class_average": False}, {"specs": tiny_specs(radial=True)}])
def test_a_round_trip_is_exact(tmp_path, options):
    generator = tiny_generator(**options)
    save(tmp_path / "g.safetensors", generator, license="CC0", steps="12")
    loaded, metadata = load(tmp_path / "g.safetensors")
    assert loaded.state_dict().keys() == generator.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), generator.state_dict().values(), strict=True)
    )
    assert torch.equal(loaded.synthesis.synthesize(codes(generator)), generator.synthesis.synthesize(codes(generator)))
    if options.get("class_average", True):  # a single average does not tell how many classes there are
        assert torch.equal(loaded(Z, LABELS, 0.7), generator(Z, LABELS, 0.7))
    assert (metadata["license"], metadata["steps"]) == ("CC0", "12")


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


def test_the_whole_geometry_survives(tmp_path):
    specs = [replace(spec, ema_beta=0.5 + i / 100, clamp=None if i % 2 else 1.5) for i, spec in enumerate(tiny_specs())]
    low, high = specs[1].padding[:2]
    specs[1] = replace(specs[1], pads=(low - 2, high + 2, low, high))
    generator = tiny_generator(specs=specs, class_average=False)
    generator.synthesis.input.rate, generator.synthesis.input.bandwidth = 12, 1.25
    save(tmp_path / "g.safetensors", generator)
    loaded, _ = load(tmp_path / "g.safetensors")
    assert [layer.spec for layer in loaded.synthesis.layers] == specs  # with the signals, for a stage on top
    assert (loaded.synthesis.input.rate, loaded.synthesis.input.bandwidth) == (12, 1.25)
    assert loaded.mapping.c_dim == 3  # which a single average does not tell
    assert torch.equal(loaded(Z, LABELS), generator(Z, LABELS))
    assert describe_settings(loaded) == describe_settings(generator)


@pytest.mark.parametrize("clamp", [None, 0.5, [None, None, 256.0, 256.0, 256.0, 0.1, 256.0]])
def test_a_file_from_before_still_loads(tmp_path, clamp):
    """Clamps for all layers or by layer, and nothing else of a layer."""
    generator = tiny_generator()
    settings = json.dumps({"clamp": clamp, "output_scale": 0.5, "margin": 10})
    save_file(generator.state_dict(), tmp_path / "g.safetensors", {"stylegan_xl": settings, "frame": "2"})
    loaded, metadata = load(tmp_path / "g.safetensors")
    assert [layer.spec.clamp for layer in loaded.synthesis.layers] == (
        clamp if isinstance(clamp, list) else [clamp] * 7
    )
    assert (loaded.synthesis.output_scale, metadata["frame"]) == (0.5, "2")


def test_the_embedded_generator_loads_and_is_written_again(tmp_path):
    generator, metadata = load(EMBEDDED["fashion-mini"])
    assert {layer.spec.clamp for layer in generator.synthesis.layers} == {None}
    assert generator.mapping.c_dim == 10
    save(tmp_path / "g.safetensors", generator, **{key: value for key, value in metadata.items() if key != KEY})
    again, _ = load(tmp_path / "g.safetensors")
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), generator.state_dict().values(), strict=True)
    )
    assert [layer.spec for layer in again.synthesis.layers] == [layer.spec for layer in generator.synthesis.layers]


def test_building_copies_nothing():
    state = tiny_generator().state_dict()
    assert build(state).mapping.fc0.weight.data_ptr() == state["mapping.fc0.weight"].data_ptr()


def test_equal_generators_give_equal_bytes_of_a_valid_file(tmp_path):
    for i, name in enumerate(["a", "b", "a"]):
        metadata = {"b": "1", "a": "2"} if i else {"a": "2", "b": "1"}
        save(
            tmp_path / f"{i}.safetensors", tiny_generator(), torch.float16 if name == "b" else torch.float32, **metadata
        )
    first, second, third = ((tmp_path / f"{i}.safetensors").read_bytes() for i in range(3))
    assert first == third != second
    header = json.loads(first[8 : 8 + int.from_bytes(first[:8], "little")])
    assert list(header["__metadata__"]) == ["a", "b", "stylegan_xl"]
    begins = [entry["data_offsets"][0] for name, entry in header.items() if name != "__metadata__"]
    assert begins == sorted(begins)
    assert (8 + int.from_bytes(second[:8], "little")) % 8 == 0


def test_progress_counts_every_byte(tmp_path):
    counted = []
    save(tmp_path / "g.safetensors", tiny_generator(), torch.float32, counted.append)
    assert sum(counted) == sum(4 * tensor.numel() for tensor in tiny_generator().state_dict().values())


class StopError(Exception):
    """What a test interrupts with."""


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save(tmp_path / "g.safetensors", tiny_generator())
    before = (tmp_path / "g.safetensors").read_bytes()

    def stop(_):
        raise StopError

    for path in ("g.safetensors", "new.safetensors"):
        with pytest.raises(StopError):
            save(tmp_path / path, tiny_generator(seed=1), torch.float32, stop)
    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(StopError):
        save(tmp_path / "g.safetensors", tiny_generator(seed=1))
    assert [path.name for path in tmp_path.iterdir()] == ["g.safetensors"]
    assert (tmp_path / "g.safetensors").read_bytes() == before
    with pytest.raises(OSError, match="absent"):
        save(tmp_path / "absent" / "g.safetensors", tiny_generator())


def test_a_type_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ValueError, match=naming("torch.bfloat16 torch.int8")):
        save(tmp_path / "g.safetensors", tiny_generator(), torch.int8)
    save(tmp_path / "g.safetensors", tiny_generator(), torch.bfloat16)
    assert load_file(tmp_path / "g.safetensors")["mapping.fc0.weight"].dtype == torch.bfloat16


def test_settings_hold_every_field_of_a_layer():
    generator = tiny_generator()
    stated = describe_settings(generator)["layers"]
    assert list(stated) == generator.synthesis.layer_names
    for layer in generator.synthesis.layers:
        assert {"name": layer.spec.name, **stated[layer.spec.name]} == asdict(layer.spec)
