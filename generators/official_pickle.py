"""StyleGAN-XL's published pickles: from the inert tree of their objects to a generator (Sauer et al., SIGGRAPH 2022).

A file is a dictionary with 'G_ema' or 'G', an object that was pickled with the source text of its class. The released
reader compiles that text; here it is hashed. Sizes, filters and clamps come layer by layer from the attributes of the
objects, every one of which may be missing; what attributes and tensors both tell must agree.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

import torch
from torch import Tensor

from generators.inert import Made, MemoryBudget, PickleError, Table, describe, made_by
from generators.mapping import FullyConnected
from generators.numpy_values import read_value
from generators.stylegan_xl import Generator
from generators.torch_stream import view_tensor
from generators.unpickle import load
from generators.weights import build

PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")
EMBEDDING = ("torch.nn.modules.sparse", "Embedding")
ORDERED = ("collections", "OrderedDict")

ENTRIES, LONGEST = 500, 200  # of a dictionary that is read: how many, and characters of a name
MODULES = 500  # of a generator
DEPTH = 4  # of a module inside the generator
LAYER = {  # attributes of a layer, and the fields of LayerSpec that they tell
    "is_torgb": "to_rgb",
    "is_critically_sampled": "critical",
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "in_size": "in_size",
    "out_size": "out_size",
    "conv_kernel": "kernel",
    "conv_clamp": "clamp",
    "magnitude_ema_beta": "ema_beta",
    "up_factor": "up",
    "up_taps": "up_taps",
    "down_factor": "down",
    "down_taps": "down_taps",
    "down_radial": "radial",
    "padding": "pads",
}
SIGNAL = {"sampling_rate": "rate", "cutoff": "cutoff", "half_width": "half_width"}


@dataclass
class Module:
    """One object of the file: where it is, its class, the source text it brought, attributes and tensors."""

    path: str
    kind: str
    source: str | None
    attributes: dict[str, Any]
    tensors: dict[str, Any]
    children: dict[str, Any]

    def values(self, *keys: str) -> dict[str, Any]:
        """Those of the attributes ``keys`` that the object has."""
        found = {}
        for key in keys:
            if key in self.attributes:
                try:
                    found[key] = read_value(self.attributes[key])
                except PickleError as error:
                    raise PickleError(f"{self.path}.{key}: {error}") from error
        return found

    def numbers(self, *keys: str) -> dict[str, int | float]:
        """The same, where each must be a finite number."""
        found = self.values(*keys)
        for key, value in found.items():
            if type(value) not in (int, float) or not abs(value) < 2**53:
                raise PickleError(f"{self.path}.{key}: a number is expected, not {describe(value)}")
        return found

    def side(self, key: str) -> int | None:
        """The side of a square, given as one number or as two equal ones; None where the object does not tell it."""
        value = self.values(key).get(key)
        if value is None:
            return None
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) != 2 or sides[0] != sides[1] or type(sides[0]) is not int:
            stated = ", ".join(map(describe, sides[:4]))
            raise PickleError(f"{self.path}.{key}: the side of a square is expected, not {stated}")
        return sides[0]


def read_official(data: memoryview) -> tuple[Generator, dict[str, str]]:
    """The generator in the pickle ``data``, and what the file says of where it comes from, as metadata.

    Raises ``PickleError`` on a file that is damaged, hostile or of something else, and ``ValueError`` where its
    attributes and tensors disagree.
    """
    budget = MemoryBudget()
    top, _ = load(data, 0, budget)
    if not isinstance(top, Table):
        raise PickleError(f"a dictionary of networks is expected, not {describe(top)}")
    entries = _entries(top, "the file")
    key = next((key for key in ("G_ema", "G") if entries.get(key) is not None), None)
    if key is None:
        raise PickleError(
            f"neither 'G_ema' nor 'G' is among {', '.join(map(describe, list(entries)[:8])) or 'nothing'}"
        )
    modules = _modules(entries[key], key)
    generator = build(_state(modules, budget, len(data)), _settings(modules))
    _compare(generator, modules)
    root = modules[""]
    facts = {"source_format": f"StyleGAN-XL pickle ({key}, {root.kind[:80]!r})"}
    if root.source is not None:
        facts["embedded_source_sha256"] = hashlib.sha256(root.source.encode()).hexdigest()
    halves = [name for name in generator.synthesis.layer_names if _half(modules[f"synthesis.{name}"])]
    facts["float16_layers"] = ",".join(halves)  # of the released code on a GPU; all of them are float32 here
    return generator, facts | _training_data(entries.get("training_set_kwargs"))


def _entries(node: Any, what: str) -> dict[str, Any]:
    """A dictionary with text keys, plain or ordered."""
    if made_by(node, ORDERED) and not node.arguments:
        node = node.pairs or Table()
    if not isinstance(node, Table):
        raise PickleError(f"{what}: a dictionary is expected, not {describe(node)}")
    if len(node) > ENTRIES:
        raise PickleError(f"{what}: a dictionary of {len(node)} entries; at most {ENTRIES} are expected")
    for key, _ in node:
        if not isinstance(key, str) or len(key) > LONGEST:
            raise PickleError(f"{what}: a dictionary with {describe(key)} for a key, where short texts are expected")
    return dict(node)


def _module(node: Any, path: str) -> Module:
    """The object at ``path``: one of the file's own classes, or torch's embedding."""
    kind: Any
    source: Any
    kind, source, state = "Embedding", None, node.state if isinstance(node, Made) else None
    if made_by(node, PERSISTENT) and len(node.arguments) == 1 and state is None:
        meta = _entries(node.arguments[0], f"the description of {path}")
        kind, source, state = (meta.get(key) for key in ("class_name", "module_src", "state"))
        if meta.get("type") != "class" or not isinstance(kind, str):
            raise PickleError(f"{path} is described as {describe(meta.get('type'))} {describe(kind)}, not as a class")
    elif not made_by(node, EMBEDDING):
        raise PickleError(f"{path}: a network is expected, not {describe(node)}")
    attributes = _entries(state, f"the state of {path}")
    parameters, buffers, children = (
        _entries(attributes.pop(key, Table()), f"{path}.{key}") for key in ("_parameters", "_buffers", "_modules")
    )
    return Module(path, kind, source if isinstance(source, str) else None, attributes, parameters | buffers, children)


def _modules(generator: Any, key: str) -> dict[str, Module]:
    """All objects inside ``generator``, which the file holds under ``key``, by their path; its own is ''."""
    found: dict[str, Module] = {}
    waiting: list[tuple[str, Any]] = [("", generator)]
    while waiting:
        path, node = waiting.pop()
        if len(found) == MODULES or path.count(".") >= DEPTH:
            raise PickleError(f"{key} holds more than {MODULES} objects, or nests them more than {DEPTH} deep")
        found[path] = _module(node, path or key)
        children = found[path].children.items()
        waiting += [(f"{path}.{name}".lstrip("."), child) for name, child in children if child is not None]
    return found


def _state(modules: Mapping[str, Module], budget: MemoryBudget, size: int) -> dict[str, Tensor]:
    """The tensors of all objects, as copies; together they cannot be much larger than the file of ``size`` bytes."""
    views, left = {}, 2 * size
    for path, module in modules.items():
        for name, node in module.tensors.items():
            if node is None:
                continue
            whole = f"{path}.{name}".lstrip(".")
            try:
                views[whole] = view_tensor(node, budget)
            except PickleError as error:
                raise PickleError(f"{whole}: {error}") from error
            left -= views[whole].nbytes
            if left < 0:
                raise PickleError(f"its tensors would take more than twice the {size} bytes of the file")
    return {name: torch.from_numpy(view.astype(view.dtype.newbyteorder("="), "C")) for name, view in views.items()}


def _settings(modules: Mapping[str, Module]) -> dict[str, Any]:
    """What the objects' attributes tell, as ``generators.settings`` has it."""
    if absent := [path for path in ("mapping", "synthesis", "synthesis.input") if path not in modules]:
        raise PickleError(f"the generator has no {absent[0]}")
    synthesis, source = modules["synthesis"], modules["synthesis.input"]
    settings: dict[str, Any] = {**synthesis.numbers("output_scale"), **source.numbers("bandwidth")}
    stated = {**synthesis.numbers("margin_size"), **modules[""].numbers("c_dim")}
    settings |= {key: stated[name] for key, name in (("margin", "margin_size"), ("classes", "c_dim")) if name in stated}
    size, rate = source.side("size"), source.numbers("sampling_rate").get("sampling_rate")
    if size is not None and rate is not None:
        margin = (size - rate) / 2
        if margin != settings.setdefault("margin", int(margin)):
            raise ValueError(f"the margin is {settings['margin']} by the synthesis, {margin:g} by its input")
    names = [name for name, node in synthesis.children.items() if name != "input" and node is not None]
    return settings | {"layers": {name: _layer(modules[f"synthesis.{name}"]) for name in names}}


def _layer(module: Module) -> dict[str, Any]:
    """What the attributes of one layer tell."""
    stated = {LAYER[key]: value for key, value in module.values(*LAYER).items()}
    sides = {key: module.side(key) for key in ("in_size", "out_size")}
    stated |= {key: side for key, side in sides.items() if side is not None}
    if module.tensors.get("down_filter") is None:
        stated.pop("radial", None)  # a layer may be meant to have a radial filter and yet need none
    signals = []
    for side in ("in", "out"):
        values = module.numbers(*(f"{side}_{key}" for key in SIGNAL))
        signal = {SIGNAL[key.removeprefix(f"{side}_")]: float(value) for key, value in values.items()}
        signals.append(signal | {key: stated.get(f"{side}_{key}") for key in ("size", "channels")})
    if all(len(signal) == 5 and None not in signal.values() for signal in signals):
        stated["signals"] = signals
    rates = module.numbers("in_sampling_rate", "tmp_sampling_rate", "up_factor")
    if len(rates) == 3 and rates["in_sampling_rate"] * rates["up_factor"] != rates["tmp_sampling_rate"]:
        raise ValueError(
            f"{module.path}: {rates['in_sampling_rate']:g} samples times {rates['up_factor']:g} "
            f"are not the {rates['tmp_sampling_rate']:g} that are stated"
        )
    return stated


def _half(module: Module) -> bool:
    return module.values("use_fp16").get("use_fp16") is True


def _compare(generator: Generator, modules: Mapping[str, Module]) -> None:
    """Hold what the attributes tell of the whole against the generator that the tensors made."""
    mapping, synthesis = generator.mapping, generator.synthesis
    ours: dict[str, dict[str, Any]] = {
        "": {
            "z_dim": mapping.z_dim,
            "c_dim": mapping.c_dim,
            "w_dim": mapping.w_dim,
            "num_ws": mapping.num_ws,
            "img_resolution": generator.resolution,
            "img_channels": generator.channels,
        },
        "synthesis": {"layer_names": synthesis.layer_names, "num_ws": synthesis.num_ws},
        "synthesis.input": {"channels": synthesis.input.weight.shape[0]},
    }
    for path, expected in ours.items():
        for key, stated in modules[path].values(*expected).items():
            if stated != expected[key]:
                words = ", ".join(map(describe, stated)) if isinstance(stated, list) else describe(stated)
                raise ValueError(f"{modules[path].path}.{key} is stated as {words}, its tensors have {expected[key]}")
    if (size := modules["synthesis.input"].side("size")) not in (None, synthesis.input.size):
        raise ValueError(f"synthesis.input.size is stated as {size}, its first layer takes {synthesis.input.size}")
    for path, layer in generator.named_modules():
        stated = modules[path].numbers("weight_gain") if isinstance(layer, FullyConnected) else {}
        for gain in stated.values():
            if not math.isclose(gain, expected_gain := layer.rate / math.sqrt(layer.weight.shape[1]), rel_tol=1e-5):
                raise ValueError(f"{path}.weight_gain is stated as {gain:g}, not {expected_gain:g}")


def _training_data(node: Any) -> dict[str, str]:
    """The name of the data that the file says it was trained on, without the folders of its author's disk."""
    pairs = node.pairs if isinstance(node, Made) else node
    paths = [value for key, value in pairs[:ENTRIES] if key == "path"] if isinstance(pairs, Table) else []
    name = PureWindowsPath(paths[-1][:4096]).name if paths and isinstance(paths[-1], str) else ""
    return {"data": name} if name.isprintable() and name else {}
