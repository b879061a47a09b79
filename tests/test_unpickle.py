"""Published pickles: read without running anything of them, with the same pixels; hostile ones refused."""

import hashlib
import json
import os
import pickle
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import official_pickles
import pytest
import torch
from click.testing import CliRunner
from fixtures import MISSING, ROOT, arrays, check, codes, tiny_generator, tiny_specs
from fixtures import NETWORKS as FIXTURES
from hostile_pickles import everything
from official_pickles import SOURCE, Call, Global, Writer, attributes, chain, dumps
from safetensors.torch import save_file

from generators import geometry, official, weights
from generators.inert import Budget, Made, Name, PickleError, Table, describe, name_of
from generators.numpy_values import read_value
from generators.torch_stream import TYPES, view_tensor
from generators.unpickle import load
from generators.weights import WeightsError
from glad.cli import main

Z, LABELS = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0])


sys.path.append(str(Path(__file__).parent.parent / "scripts"))
import fuzz_unpickle  # noqa: E402

DTYPES = [torch.float32, torch.float16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8]
DTYPES += [torch.uint8, torch.bool]


LAYER = "synthesis.L4_36_5"


def clamped(specs, *clamps):
    """``specs`` with other clamps, from the first on."""
    told = [*clamps, *(spec.clamp for spec in specs[len(clamps) :])]
    return [replace(spec, clamp=clamp) for spec, clamp in zip(specs, told, strict=True)]


NETWORKS = {
    "stem": lambda: tiny_generator(specs=geometry.stem(16, 6, 48, 6)),
    "radial stem": lambda: tiny_generator(specs=geometry.stem(16, 6, 48, 6, kernel=1, radial=True)),
    "chain": lambda: tiny_generator(specs=chain()),
    "chain of three": lambda: tiny_generator(specs=geometry.superres(chain(), 5, 2, 48, 6)),
    "unconditional": lambda: tiny_generator(specs=chain(), c_dim=0),
    "one average of all classes": lambda: tiny_generator(class_average=False),
    "no clamp in the stem": lambda: tiny_generator(specs=clamped(chain(), None, None)),
    "clamps that act": lambda: tiny_generator(specs=clamped(chain(), 0.5, None, 0.2)),
    "output scale": lambda: tiny_generator(specs=chain(), output_scale=0.5),
}
WRITERS = {
    "numpy by name": {},
    "numpy 2": {"package": "numpy._core.multiarray"},
    "numpy by dill 0.3.4": {"numpy": "indirect", "package": "numpy.core._multiarray_umath"},
    "arrays by a newer dill": {"numpy": "create_array", "package": "numpy._core._multiarray_umath"},
    "plain dictionaries": {"ordered": False},
    "plain numbers": {"scalars": False},
    "tensors of a processor": {"device": "cpu"},
}


def equal(found, generator):
    """Whether two generators have the same tensors and geometry, and render the same pixels of the same codes."""
    theirs, ours = found.state_dict(), generator.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    assert [layer.spec for layer in found.synthesis.layers] == [layer.spec for layer in generator.synthesis.layers]
    assert torch.equal(found.synthesis.synthesize(codes(generator)), generator.synthesis.synthesize(codes(generator)))
    assert torch.equal(found(Z, LABELS, 0.7), generator(Z, LABELS, 0.7))
    return True


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
    found = official.read(official_pickles.write(tmp_path / "g.pkl", generator, told=False)).generator
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
    for name, told in listed["layers"].items():
        told = {k: v if k not in ("in_size", "out_size") else writer.array(v) for k, v in told.items()}
        attributes(pickled, f"synthesis.{name}").update(told)
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
    ("path", "told", "message"),
    [
        ("", {"z_dim": 5}, "G_ema.z_dim is told to be 5, its tensors tell 4"),
        ("", {"c_dim": 4}, "4 classes are told, the tensors tell 3"),
        ("", {"c_dim": 0}, "0 classes are told, the tensors tell 3"),
        ("", {"w_dim": 6}, "G_ema.w_dim is told to be 6, its tensors tell 5"),
        ("", {"num_ws": 5}, "G_ema.num_ws is told to be 5, its tensors tell 8"),
        ("", {"img_resolution": 32}, "G_ema.img_resolution is told to be 32, its tensors tell 16"),
        ("", {"img_channels": 1}, "G_ema.img_channels is told to be 1, its tensors tell 3"),
        ("synthesis", {"layer_names": ["L0_28_6"]}, "synthesis.layer_names is told to be 'L0_28_6', its tensors tell"),
        ("synthesis", {"margin_size": 9}, "the margin is 9 by the synthesis, 10 by its input"),
        ("synthesis", {"output_scale": 0}, "output_scale is told to be 0, not a number above 0"),
        ("synthesis.input", {"size": 30}, "the margin is 10 by the synthesis, 11 by its input"),
        ("synthesis.input", {"size": [28, 30]}, "synthesis.input.size: the side of a square is expected, not 28, 30"),
        ("synthesis.input", {"channels": 7}, "synthesis.input.channels is told to be 7, its tensors tell 6"),
        ("synthesis.input", {"bandwidth": 4.0}, "28 pixels do not go with margin 10 and bandwidth 4"),
        ("mapping.fc0", {"weight_gain": 1.0}, "mapping.fc0.weight_gain is told to be 1, not 0.00353553"),
        (LAYER, {"is_torgb": True}, "L4_36_5: to_rgb is told to be True, its tensors tell False"),
        (LAYER, {"in_channels": 7}, "L4_36_5: in_channels is told to be 7, its tensors tell 6"),
        (LAYER, {"out_channels": 7}, "L4_36_5: out_channels is told to be 7, its tensors tell 5"),
        (LAYER, {"in_size": 30}, "L4_36_5: in_size is told to be 30, its tensors tell 28"),
        (LAYER, {"out_size": [40, 40]}, "L4_36_5: out_size is told to be 40, its tensors tell 36"),
        (LAYER, {"conv_kernel": 1}, "L4_36_5: kernel is told to be 1, its tensors tell 3"),
        (LAYER, {"up_factor": 2}, r"synthesis.L4_36_5: 8 samples times 2 are not the 32 that are told"),
        (LAYER, {"up_factor": 2, "tmp_sampling_rate": 16}, "L4_36_5: up is told to be 2, its tensors tell 4"),
        (LAYER, {"up_taps": 12}, "L4_36_5: up_taps is told to be 12, its tensors tell 24"),
        (LAYER, {"down_factor": 4}, "L4_36_5: down is told to be 4, its tensors tell 2"),
        (LAYER, {"down_taps": 24}, "L4_36_5: down_taps is told to be 24, its tensors tell 12"),
        (LAYER, {"down_radial": True}, "L4_36_5: radial is told to be True, its tensors tell False"),
        (LAYER, {"padding": [9, 8, 9, 8]}, r"L4_36_5: padding is told to be \[9, 8, 9, 8\], its sizes need \[-6, -9,"),
        (LAYER, {"padding": 9}, "L4_36_5: padding is told to be 9, its sizes need"),
        (LAYER, {"conv_clamp": -1}, "clamp is told to be -1, not a number above 0"),
        (LAYER, {"conv_clamp": "high"}, "clamp is told to be 'high', not a number above 0"),
        (LAYER, {"magnitude_ema_beta": None}, "ema_beta is told to be None"),
        (LAYER, {"is_critically_sampled": 1}, "L4_36_5: critical is told to be 1"),
        (LAYER, {"out_sampling_rate": 32}, "L4_36_5: rates 8 and 32 do not meet when they are resampled by 4 and 2"),
        (LAYER, {"in_cutoff": 0.0}, "L4_36_5: signals .* are no two signals: cutoff is told to be 0.0"),
    ],
)
def test_what_attributes_and_tensors_tell_must_agree(tmp_path, path, told, message):
    network = Writer().generator(tiny_generator(specs=chain()))
    attributes(network, path).update(told)
    (tmp_path / "g.pkl").write_bytes(dumps({"G_ema": network}))
    with pytest.raises(WeightsError, match=rf"g\.pkl: not readable as a generator: .*{message}"):
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
        "licence": official.LICENCE,
    }


class Rebuilt:
    """A persistent object of the test's own, for Python's unpickler."""

    def __init__(self, meta):
        self.state = meta["state"]


class Trusting(pickle.Unpickler):
    """Python's own unpickler, for files that the test wrote."""

    def find_class(self, module, name):
        known = {
            ("torch_utils.persistence", "_reconstruct_persistent_obj"): Rebuilt,
            ("dill._dill", "_load_type"): lambda name: set,
            ("dnnlib.util", "EasyDict"): dict,
        }
        return known.get((module, name)) or super().find_class(module, name)


@pytest.mark.parametrize("protocol", [3, 4])
def test_the_files_of_these_tests_are_pickles(tmp_path, protocol):
    """Python's unpickler, torch and numpy find in them what this reader finds: they are no private format."""
    generator = tiny_generator(specs=chain())
    writer = Writer(
        device="cpu", package="numpy._core.multiarray" if np.__version__ >= "2" else "numpy.core.multiarray"
    )
    path = official_pickles.write(tmp_path / "g.pkl", generator, protocol, writer=writer)
    with path.open("rb") as file:
        network = Trusting(file).load()["G_ema"]
    layer = network.state["_modules"]["synthesis"].state["_modules"]["L4_36_5"].state
    ours = generator.synthesis.layers[3]
    assert torch.equal(layer["_parameters"]["weight"], ours.weight)
    assert torch.equal(layer["_buffers"]["up_filter"], ours.up_filter)
    assert layer["in_size"].tolist() == [28, 28] and layer["out_cutoff"] == ours.spec.signals[1].cutoff


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize(
    "value", [np.float64(0.1), np.bool_(True), np.int64(-7), np.array([36, 36]), np.float32(2), np.zeros(2, "u1")]
)
def test_numbers_as_numpy_itself_pickles_them(value, protocol):
    node, _ = load(memoryview(pickle.dumps(value, protocol)))
    assert read_value(node) == value.tolist()
    assert type(read_value(node)) is type(value.tolist())


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_as_torch_itself_pickles_them(dtype, protocol):
    whole = (torch.arange(24).reshape(4, 6) % 5).to(dtype)
    for tensor in (whole, whole[1:3, ::2], whole.t(), whole[0, 0], whole[:0], torch.nn.Parameter(whole.float())):
        node, _ = load(memoryview(pickle.dumps(tensor, protocol)))
        view = view_tensor(node, Budget())
        assert torch.equal(torch.from_numpy(view.copy()), tensor.detach())


def test_every_type_of_storage_is_tried():
    assert len(DTYPES) == len(TYPES)


def test_names_are_exact_and_dots_mean_nothing():
    found = [
        load(memoryview(dumps(Global(module, name), protocol)))[0]
        for protocol in (3, 4)
        for module, name in (("torch._utils", "a.b"), ("torch", "_utils.a.b"))
    ]
    assert [name_of(name) for name in found] == [("torch._utils", "a.b"), ("torch", "_utils.a.b")] * 2
    assert all(isinstance(name, Name) for name in found)


def test_a_tree_is_inert_and_keeps_what_was_written():
    value = {
        "a": [1, (2.5, None)],
        "b": Call(Global("m", "C"), 1, state={"x": 1}, items=[3], pairs={"k": 4}),
        (1,): {5},
    }
    tree, end = load(memoryview(dumps(value) + b"more"))
    assert end == len(dumps(value))
    assert isinstance(tree, Table)
    (_, items), (_, made), (key, found) = tree
    assert items == [1, (2.5, None)] and key == (1,) and found == [5]
    assert isinstance(made, Made) and name_of(made.maker) == ("m", "C") and made.arguments == (1,)
    assert (made.items, made.pairs, made.state) == ([3], [("k", 4)], [("x", 1)])


def test_words_for_a_value_are_few():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    values = [
        deep,
        "x" * 10**6,
        2**2000,
        Name("m" * 1000, "n"),
        Made(Name("m", "n" * 1000), ()),
        Made(deep, deep),
        b"",
        1.5,
    ]
    assert max(len(describe(value)) for value in values) < 200


# Hostile files: read by a process of their own, whose memory is limited and whose audit hook tells what it executes.

READ_ALL = """
import json, re, resource, sys
from pathlib import Path
from generators import official
from generators.weights import WeightsError

FORBIDDEN = re.compile("os.(system|exec|fork|posix_spawn|spawn)|subprocess|pickle|ctypes|socket|exec|compile|open$")
names, genuine, armed = json.loads(sys.argv[1]), sys.argv[2], []

def hook(event, arguments):
    if armed and FORBIDDEN.match(event) and not (event == "open" and str(arguments[0]) in armed):
        print(json.dumps({armed[0]: f"FORBIDDEN {event} {arguments}"}), flush=True)

sys.addaudithook(hook)
official.read(genuine)  # whatever torch imports at its first use
status = Path("/proc/self/status")
for path in names:
    used = int(re.search(r"VmSize:\\s+(\\d+)", status.read_text())[1]) * 1024
    limit = used + 512 * 2**20 + Path(path).stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    armed.append(path)
    try:
        official.read(path)
        outcome = "read"
    except WeightsError as error:
        outcome = f"refused: {error}"
    except BaseException as error:
        outcome = repr(error)
    armed.clear()
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps([path, outcome]), flush=True)
"""
linux = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is limited by Linux's means")


def read_apart(folder, contents):
    """What a process with 512 MB beside each file says of ``contents``, in order; it must live to the end."""
    files = [folder / f"{i}.pkl" for i in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    genuine = official_pickles.write(folder / "genuine.pkl", tiny_generator(), with_d=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", READ_ALL, json.dumps([*map(str, files), str(genuine)]), str(genuine)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [path for path, _ in told] == [*map(str, files), str(genuine)]  # and nothing forbidden in between
    assert told[-1][1] == "read"
    return [outcome.replace(f"{path}: ", "", 1) for path, outcome in told[:-1]]


@linux
@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_hostile_file_runs_anything_or_takes_half_a_gigabyte(tmp_path, large):
    sentinel = tmp_path / "sentinel"
    cases = everything(f"echo executed > {sentinel}")
    cases = {name: case for name, case in cases.items() if name.startswith(("many", "deep", "wide")) == large}
    assert len(cases) > (10 if large else 150)
    outcomes = read_apart(tmp_path, [content for content, _ in cases.values()])
    for (name, (_, message)), outcome in zip(cases.items(), outcomes, strict=True):
        assert re.match(f"refused: not readable as a generator: .*(?:{message})", outcome), (name, outcome)
        assert len(outcome) < 600, name
        assert "\n" not in outcome, name
    assert not sentinel.exists()


def test_a_budget_covers_all_the_pickles_of_a_file():
    budget = Budget(10_000)
    load(memoryview(b"\x80\x04" + b"N0" * 10 + b"N."), 0, budget)
    with pytest.raises(PickleError, match="its objects would take more than 0 MB"):
        load(memoryview(b"\x80\x04" + b"N0" * 20 + b"N."), 0, budget)


# The fuzzer's cases are functions of a seed: a few of each kind, and whatever it finds.
SEEDS = [f"0/{case}" for case in range(40)]


def test_some_cases_of_the_fuzzer(tmp_path):
    files, outcomes = fuzz_unpickle.genuine(), set()
    for seed in SEEDS:
        _, content = fuzz_unpickle.draw(random.Random(seed), files, files)
        outcomes.add(fuzz_unpickle.check(tmp_path / "g.pkl", content))
    assert outcomes == {"read", "refused"}


# Other forms


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"G_ema": s, "G": 1}, lambda s: {"G": s}, lambda s: {"state_dict": s, "x": 1}]
)
def test_state_dicts_of_torch_save(tmp_path, zipped, wrap):
    generator = tiny_generator()
    torch.save(wrap(generator.state_dict()), tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)
    found = official.read(tmp_path / "g.pt")
    assert torch.equal(found.generator(Z, LABELS), generator(Z, LABELS))
    assert found.facts["source_format"] == "torch.save state dict"
    assert not any(parameter.requires_grad for parameter in found.generator.parameters())


class Harmful:
    def __reduce__(self):
        return os.system, ("echo executed",)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "a state dict is expected, not a list"),
        ({1: 2}, "a state dict is expected, not a dict"),
        ({"a": 1}, "a is a int, not a dense tensor"),
        ({"a": torch.zeros(2, dtype=torch.int64)}, "a is a tensor of torch.int64"),
        ({"a": torch.zeros(1).expand(10**9)}, "its tensors would take more than twice"),
        ({"a": torch.zeros(1)}, "no synthesis layers"),
        ({"a": Harmful()}, r"torch.load\(weights_only=True\): UnpicklingError"),
    ],
)
def test_other_contents_of_torch_save(tmp_path, zipped, content, message):
    torch.save(content, tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=rf"g\.pt: not readable as a generator: .*{message}"):
        official.read(tmp_path / "g.pt")


@pytest.mark.parametrize("zipped", [False, True])
def test_torch_files_that_are_cut_off(tmp_path, zipped):
    torch.save(tiny_generator().state_dict(), tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "g.pt").read_bytes()
    for part in range(1, 20):
        (tmp_path / "g.pt").write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(WeightsError, match=r"g\.pt: not readable as a generator: torch.load"):
            official.read(tmp_path / "g.pt")


def test_a_bare_safetensors_file_and_one_with_metadata(tmp_path):
    generator = tiny_generator()
    save_file(generator.state_dict(), tmp_path / "bare.safetensors")
    assert torch.equal(official.read(tmp_path / "bare.safetensors").generator(Z, LABELS), generator(Z, LABELS))
    weights.save(tmp_path / "ours.safetensors", tiny_generator(output_scale=0.5), licence="CC0", frame="2")
    found = official.convert(tmp_path / "ours.safetensors", tmp_path / "again.safetensors")
    loaded, metadata = weights.load(tmp_path / "again.safetensors")
    assert loaded.synthesis.output_scale == 0.5
    assert (metadata["licence"], metadata["frame"], metadata["source_format"]) == ("CC0", "2", "safetensors")
    assert metadata["source_sha256"] == official.sha256(tmp_path / "ours.safetensors") == found.facts["source_sha256"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (b"GIF89a" * 10, "it begins with b'GIF89aGI', as no pickle"),
        (b"\x10\0\0\0\0\0\0\0{" + b" " * 20, "not usable as generator weights"),
    ],
)
def test_files_of_another_form(tmp_path, content, message):
    (tmp_path / "g.pkl").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"g\.pkl: not readable as a generator: .*{message}"):
        official.read(tmp_path / "g.pkl")
    with pytest.raises(WeightsError, match=r"absent\.pkl: not readable"):
        official.read(tmp_path / "absent.pkl")
    with pytest.raises(WeightsError, match="not readable"):
        official.read(tmp_path)


def glad(*arguments):
    return CliRunner().invoke(main, ["weights", "import", *map(str, arguments)])


def test_the_command_writes_what_it_found(tmp_path):
    generator = tiny_generator()
    source = official_pickles.write(tmp_path / "g.pkl", generator, with_d=True)
    out = tmp_path / "g.safetensors"
    done = glad(source, "-o", out)
    assert done.exit_code == 0, done.output
    for words in (
        "16 px, 3 classes, 7 layers, 0.0 M parameters",
        hashlib.sha256(source.read_bytes()).hexdigest(),
        hashlib.sha256(SOURCE.encode()).hexdigest(),
        hashlib.sha256(out.read_bytes()).hexdigest(),
        official.LICENCE,
        "imagenet128.zip",
    ):
        assert words in done.output
    assert equal(weights.load(out)[0], generator)
    again = out.read_bytes()
    assert glad(source, "-o", out, "--force").exit_code == 0
    assert out.read_bytes() == again


def test_the_command_replaces_nothing_silently(tmp_path):
    source = official_pickles.write(tmp_path / "g.pkl", tiny_generator())
    out = tmp_path / "g.safetensors"
    out.write_text("mine")
    for arguments, message in [
        ((source, "-o", out), "g.safetensors exists; --force replaces it"),
        ((source, "-o", tmp_path / "g.pt"), "the file to write must be called OUT.safetensors"),
        ((source, "-o", tmp_path / "no" / "g.safetensors"), "no does not exist"),
        ((out, "-o", out, "--force"), "g.safetensors is the file to read; write to another"),
    ]:
        done = glad(*arguments)
        assert (done.exit_code, out.read_text()) == (1, "mine")
        assert message in " ".join(done.output.split())


def test_the_command_answers_a_hostile_file_in_one_line(tmp_path):
    (tmp_path / "g.pkl").write_bytes(
        dumps({"G_ema": Call(Global("os", "system"), f"touch {tmp_path / 'sentinel'}")}, 3)
    )
    done = glad(tmp_path / "g.pkl", "-o", tmp_path / "g.safetensors")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("Error: ") and "which no generator needs" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.pkl"]
