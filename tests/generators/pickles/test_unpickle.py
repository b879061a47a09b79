"""Published pickles: read without running anything of them, with the same pixels."""

import hashlib
import json
from dataclasses import replace

import official_pickles
import pytest
import torch
from errors import naming
from fixtures import MISSING, ROOT, arrays, check, tiny_generator, tiny_specs
from fixtures import NETWORKS as FIXTURES
from official_pickles import SOURCE, Writer, attributes, chain
from pickled_calls import dumps
from published_pickles import LABELS, LAYER, NETWORKS, WRITERS, Z, equal

from generators import geometry, official, weights
from generators.weights import WeightsError


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_published_file_renders_the_same_pixels(tmp_path, network, protocol):
    generator = NETWORKS[network]()
    path = official_pickles.write(tmp_path / "g.pkl", generator, protocol, with_d=True)
    found = official.read(path)
    assert equal(found.generator, generator)
    weights.save(tmp_path / "g.safetensors", found.generator, **found.facts)
    loaded, metadata = weights.load(tmp_path / "g.safetensors")  # from here on without any pickle
    assert equal(loaded, generator)
    assert found.facts.items() <= metadata.items()


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("writer", WRITERS)
def test_the_ways_in_which_files_were_written(tmp_path, writer, protocol):
    generator = tiny_generator(specs=chain())
    path = official_pickles.write(tmp_path / "g.pkl", generator, protocol, writer=Writer(**WRITERS[writer]))
    assert equal(official.read(path).generator, generator)


def test_the_files_hold_every_opcode_that_pickle_writes(tmp_path):
    generator = tiny_generator()
    names = [official_pickles.write(tmp_path / "g.pkl", generator, p, with_d=True) for p in (3, 4)]
    used = official_pickles.opcodes(names[0])
    official_pickles.write(names[0], generator, 3, with_d=True)
    used |= official_pickles.opcodes(names[0])
    assert used >= {"NEWOBJ", "REDUCE", "BUILD", "SETITEMS", "SETITEM", "APPENDS", "APPEND", "ADDITEMS", "FROZENSET"}
    assert used >= {"GLOBAL", "STACK_GLOBAL", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "LONG_BINGET", "BINGET"}


def test_a_random_generator_of_glad_holds_g_alone(tmp_path):
    generator = tiny_generator()
    path = official_pickles.write(tmp_path / "g.pkl", generator, key="G", writer=Writer())
    found = official.read(path)
    assert equal(found.generator, generator)
    assert found.facts["source_format"] == "StyleGAN-XL pickle (G, 'SuperresGenerator')"


def test_the_average_comes_before_the_generator_in_training(tmp_path):
    first, second = tiny_generator(seed=1), tiny_generator(seed=2)
    (tmp_path / "g.pkl").write_bytes(dumps({"G": Writer().generator(first), "G_ema": Writer().generator(second)}))
    assert equal(official.read(tmp_path / "g.pkl").generator, second)
    (tmp_path / "g.pkl").write_bytes(dumps({"G": Writer().generator(first), "G_ema": None}))
    assert equal(official.read(tmp_path / "g.pkl").generator, first)


def test_tensors_that_share_a_storage_and_are_not_contiguous(tmp_path):
    generator = tiny_generator(specs=chain())
    for path in ("mapping.fc0", "mapping.fc1"):
        weight = generator.get_submodule(path).weight
        weight.data = weight.data.t().contiguous().t()
    layers = generator.synthesis.layers
    together = torch.cat([layer.bias.data for layer in layers])
    for layer, bias in zip(layers, together.split([len(layer.bias) for layer in layers]), strict=True):
        layer.bias.data = bias
    path = official_pickles.write(tmp_path / "g.pkl", generator)
    found = official.read(path).generator
    for parameter in generator.parameters():
        parameter.data = parameter.data.contiguous()  # the order of additions would follow the strides
    assert equal(found, generator)
    assert len({p.untyped_storage().data_ptr() for p in found.parameters()}) == len(list(found.parameters()))


def test_every_attribute_may_be_missing(tmp_path):
    generator = tiny_generator(specs=chain())
    found = official.read(official_pickles.write(tmp_path / "g.pkl", generator, stated=False)).generator
    assert torch.equal(found(Z, LABELS), generator(Z, LABELS))
    bare = weights.build({name: tensor.clone() for name, tensor in generator.state_dict().items()})
    assert [layer.spec for layer in found.synthesis.layers] == [layer.spec for layer in bare.synthesis.layers]


@MISSING
@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("network", FIXTURES)
def test_the_attributes_of_the_published_networks(tmp_path, network, protocol):
    """Every attribute as another implementation has it, and its pixels."""
    listed = json.loads((ROOT / f"{network}.json").read_text())
    generator, _ = weights.load(ROOT / f"{network}.safetensors")
    writer = Writer()
    pickled = writer.generator(generator)
    sizes = {key: listed[key] for key in ("z_dim", "c_dim", "w_dim", "num_ws", "img_resolution", "img_channels")}
    attributes(pickled).update(sizes)
    attributes(pickled, "synthesis").update(
        {key: listed[key] for key in ("layer_names", "output_scale", "margin_size")}
    )
    attributes(pickled, "synthesis.input").update(listed["input"])
    for name, stated in listed["layers"].items():
        stated = {k: v if k not in ("in_size", "out_size") else writer.array(v) for k, v in stated.items()}
        attributes(pickled, f"synthesis.{name}").update(stated)
    (tmp_path / "g.pkl").write_bytes(dumps({"G_ema": pickled}, protocol))
    found = official.read(tmp_path / "g.pkl").generator
    numbers = arrays(ROOT / f"{network}.npz")
    check(found.synthesis.synthesize(numbers["ws"]), numbers["img"])
    assert all(layer.spec.signals for layer in found.synthesis.layers)
    built = geometry.stem(32, 7, 1024, 64)
    if network.startswith("B1"):
        built = geometry.superres(geometry.stem(16, 7, 512, 40), 4, 2, 512, 40)
    ema = [listed["layers"][spec.name]["magnitude_ema_beta"] for spec in built]
    assert [layer.spec.critical for layer in found.synthesis.layers] == [spec.critical for spec in built]
    assert [layer.spec.ema_beta for layer in found.synthesis.layers] == ema


def paths(network, path=""):
    """Every attribute of every object in a pickled network."""
    state = attributes(network, path)
    yield from ((path, key) for key in state if not key.startswith("_"))
    for child in state["_modules"].pairs:
        yield from paths(network, f"{path}.{child}".lstrip("."))


def test_each_attribute_may_be_missing(tmp_path):
    """One of every kind of object at a time; together all of their attributes."""
    generator = tiny_generator(specs=chain())
    chosen = ("", "synthesis", "synthesis.input", "mapping.fc0", LAYER, "synthesis.L7_16_3")
    found = list(paths(Writer().generator(generator)))
    keys = [[key for path, key in found if path == where] for where in chosen]
    assert sum(map(len, keys)) > 60
    for i in range(max(map(len, keys))):
        network = Writer().generator(generator)
        missing = [(path, own[i]) for path, own in zip(chosen, keys, strict=True) if i < len(own)]
        for path, key in missing:
            del attributes(network, path)[key]
        (tmp_path / "g.pkl").write_bytes(dumps({"G_ema": network}))
        assert torch.equal(official.read(tmp_path / "g.pkl").generator(Z, LABELS), generator(Z, LABELS)), missing


@pytest.mark.parametrize(
    ("path", "stated", "message"),
    [
        ("", {"z_dim": 5}, "G_ema.z_dim 5 4"),
        ("", {"c_dim": 4}, "4 3"),
        ("", {"c_dim": 0}, "0 3"),
        ("", {"w_dim": 6}, "G_ema.w_dim 6 5"),
        ("", {"num_ws": 5}, "G_ema.num_ws 5 8"),
        ("", {"img_resolution": 32}, "G_ema.img_resolution 32 16"),
        ("", {"img_channels": 1}, "G_ema.img_channels 1 3"),
        ("synthesis", {"layer_names": ["L0_28_6"]}, "synthesis.layer_names 'L0_28_6'"),
        ("synthesis", {"margin_size": 9}, "margin 9 10"),
        ("synthesis", {"output_scale": 0}, "output_scale 0"),
        ("synthesis.input", {"size": 30}, "margin 10 11"),
        ("synthesis.input", {"size": [28, 30]}, "synthesis.input.size 28 30"),
        ("synthesis.input", {"channels": 7}, "synthesis.input.channels 7 6"),
        ("synthesis.input", {"bandwidth": 4.0}, "28 margin 10 bandwidth 4"),
        ("mapping.fc0", {"weight_gain": 1.0}, "mapping.fc0.weight_gain 1 0.00353553"),
        (LAYER, {"is_torgb": True}, "L4_36_5 to_rgb True False"),
        (LAYER, {"in_channels": 7}, "L4_36_5 in_channels 7 6"),
        (LAYER, {"out_channels": 7}, "L4_36_5 out_channels 7 5"),
        (LAYER, {"in_size": 30}, "L4_36_5 in_size 30 28"),
        (LAYER, {"out_size": [40, 40]}, "L4_36_5 out_size 40 36"),
        (LAYER, {"conv_kernel": 1}, "L4_36_5 kernel 1 3"),
        (LAYER, {"up_factor": 2}, "synthesis.L4_36_5 8 2 32"),
        (LAYER, {"up_factor": 2, "tmp_sampling_rate": 16}, "L4_36_5 up 2 4"),
        (LAYER, {"up_taps": 12}, "L4_36_5 up_taps 12 24"),
        (LAYER, {"down_factor": 4}, "L4_36_5 down 4 2"),
        (LAYER, {"down_taps": 24}, "L4_36_5 down_taps 24 12"),
        (LAYER, {"down_radial": True}, "L4_36_5 radial True False"),
        (LAYER, {"padding": [9, 8, 9, 8]}, "L4_36_5 padding [9, 8, 9, 8] [-6, -9"),
        (LAYER, {"padding": 9}, "L4_36_5 padding 9"),
        (LAYER, {"conv_clamp": -1}, "clamp -1 0"),
        (LAYER, {"conv_clamp": "high"}, "clamp 'high' 0"),
        (LAYER, {"magnitude_ema_beta": None}, "ema_beta None"),
        (LAYER, {"is_critically_sampled": 1}, "L4_36_5 critical 1"),
        (LAYER, {"out_sampling_rate": 32}, "L4_36_5 rates 8 32 4 2"),
        (LAYER, {"in_cutoff": 0.0}, "L4_36_5 signals cutoff 0.0"),
    ],
)
def test_what_attributes_and_tensors_tell_must_agree(tmp_path, path, stated, message):
    network = Writer().generator(tiny_generator(specs=chain()))
    attributes(network, path).update(stated)
    (tmp_path / "g.pkl").write_bytes(dumps({"G_ema": network}))
    with pytest.raises(WeightsError, match=naming(f"g.pkl {message}")):
        official.read(tmp_path / "g.pkl")


def test_filters_of_another_number_of_taps_another_margin_and_padding(tmp_path):
    """As no published network has them: everything comes from the file."""
    specs = tiny_specs()
    small = replace(specs[1], up_taps=8, down_taps=8, signals=None)
    low, high, _, _ = small.padding
    shifted = replace(small, pads=(low - 1, high + 1, low, high))
    generator = tiny_generator(specs=[specs[0], shifted, *specs[2:]])
    layer = generator.synthesis.layers[1]
    for kind in ("up", "down"):
        getattr(layer, f"{kind}_filter").copy_(torch.rand(8, generator=torch.Generator().manual_seed(3)))
    source = generator.synthesis.input
    source.rate, source.bandwidth = source.size - 2 * 9, 1.5
    path = official_pickles.write(tmp_path / "g.pkl", generator)
    found = official.read(path).generator
    assert equal(found, generator)
    assert (found.synthesis.input.rate, found.synthesis.input.bandwidth) == (10, 1.5)
    weights.save(tmp_path / "g.safetensors", found)
    assert equal(weights.load(tmp_path / "g.safetensors")[0], generator)


def test_what_the_file_says_of_itself(tmp_path):
    path = official_pickles.write(tmp_path / "imagenet.pkl", tiny_generator())
    facts = official.read(path).facts
    assert facts == {
        "source_file": "imagenet.pkl",
        "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "source_format": "StyleGAN-XL pickle (G_ema, 'SuperresGenerator')",
        "embedded_source_sha256": hashlib.sha256(SOURCE.encode()).hexdigest(),
        "float16_layers": "L0_28_6,L1_28_6,L3_28_6,L4_36_5,L5_36_3,L6_16_3,L7_16_3",
        "data": "imagenet128.zip",
        "license": official.LICENSE.to_json(),
    }
