"""Values of pickles, as pickle, numpy and torch themselves write and read them."""

import pickle

import numpy as np
import official_pickles
import pytest
import torch
from fixtures import tiny_generator
from official_pickles import Writer, chain
from pickled_calls import Call, Global, dumps

from generators.inert import Made, MemoryBudget, Name, Table, describe, name_of
from generators.numpy_values import read_value
from generators.torch_stream import TYPES, view_tensor
from generators.unpickle import load

DTYPES = [torch.float32, torch.float16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8]
DTYPES += [torch.uint8, torch.bool]


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
        view = view_tensor(node, MemoryBudget())
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
