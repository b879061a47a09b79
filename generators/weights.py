"""Generators as safetensors files: tensors, with the geometry that tensors do not tell as metadata."""

import json
import os
from collections.abc import Callable
from collections.abc import Mapping as Dict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from generators.files import ASSETS as ASSETS
from generators.files import EMBEDDED as EMBEDDED
from generators.files import WeightsError
from generators.recommendations import read_recommendations
from generators.settings import describe_settings, read_settings
from generators.stylegan_xl import Generator, Mapping, Synthesis

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
WORDS = 600  # characters of an error that names tensors, at most
UNTRAINED = (
    "it is untrained, its metadata state 0 steps: train it with `glad weights train`, or use the prior random, "
    "whose name says so"
)
KEY = "stylegan_xl"  # the metadata entry that holds what the tensors do not tell, as JSON


def build(state: Dict[str, Tensor], settings: Dict[str, Any] | None = None) -> Generator:
    """Make the generator that ``state`` (tensors by their published names) belongs to, out of these very tensors.

    ``settings`` holds what a bare state dict cannot: see ``generators.settings``. Tensors that are not float32
    become it; those that are, are the generator's afterwards, not copies. Raises ``ValueError`` naming the tensors that
    are missing, unknown or of another shape, on settings of another form, and where the two disagree.
    """
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.layout is not torch.strided:
            raise ValueError(f"{name[:WORDS]} is {_kind(tensor)}, not a dense tensor of floating-point numbers")
    stated = read_settings(state, {} if settings is None else settings)
    with torch.device("meta"):
        mapping = _mapping(state, len(stated.specs) + 1, stated.classes)
        # Without the signals: they would have filters designed that the file holds.
        bare = [replace(spec, signals=None) for spec in stated.specs]
        generator = Generator(mapping, Synthesis(bare, mapping.w_dim, stated.output_scale))
    for layer, spec in zip(generator.synthesis.layers, stated.specs, strict=True):
        layer.spec = spec
    source = generator.synthesis.input
    source.rate, source.bandwidth = source.size - 2 * stated.margin, stated.bandwidth
    try:
        generator.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())[:WORDS]) from error
    return generator


def _kind(value: Any) -> str:
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _mapping(state: Dict[str, Tensor], num_ws: int, classes: int | None) -> Mapping:
    """The mapping network that ``state`` belongs to; ``classes`` where a file states them."""
    needed = {
        "mapping.fc0.weight": [2],
        "mapping.embed.weight": [2],
        "mapping.w_avg": [1, 2],
        "synthesis.input.freqs": [2],
    }
    if absent := [name for name in needed if name not in state]:
        raise ValueError(f"tensors missing: {', '.join(absent)}")
    for name, dimensions in needed.items():
        if state[name].ndim not in dimensions:
            raise ValueError(f"{name} has the shape {list(state[name].shape)}")
    average, fc0, table = (state[f"mapping.{name}"] for name in ("w_avg", "fc0.weight", "embed.weight"))
    conditional = "mapping.embed_proj.weight" in state
    found = (average.shape[0] if average.ndim == 2 else None) if conditional else 0
    if classes is not None and (found not in (None, classes) or (conditional and not classes)):
        raise ValueError(f"{classes} classes are stated, the tensors have {'some' if found is None else found}")
    if found is None:
        found = table.shape[0] if classes is None else classes
    if found > table.shape[0]:
        raise ValueError(f"{found} classes are stated, the embedding has {table.shape[0]} rows")
    return Mapping(
        num_ws=num_ws,
        z_dim=fc0.shape[1] // (2 if conditional else 1),
        c_dim=found,
        w_dim=fc0.shape[0],
        layers=sum(f"mapping.fc{i}.weight" in state for i in range(len(state))),
        embedding=(table.shape[0], table.shape[1]),
        class_average=average.ndim == 2,
    )


def load(path: str | Path) -> tuple[Generator, dict[str, str]]:
    """Read a safetensors file of a generator: the network, frozen, in float32, and the file's metadata.

    Geometry comes from the tensors' names and shapes and from the metadata that ``save`` wrote, if it did. Raises
    ``WeightsError`` with the path when the file is missing, truncated, not safetensors, not a StyleGAN-XL
    generator, untrained by its own account, or when tensors and metadata disagree.
    """
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        read_recommendations(metadata)  # held to its form here, so that whoever takes it later can rely on it
        if metadata.get("steps") == "0":
            raise ValueError(UNTRAINED)
        generator = build(state, json.loads(metadata.get(KEY, "{}")))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not usable as generator weights: {error}") from error
    return generator.requires_grad_(False).eval(), metadata


def save(
    path: str | Path,
    generator: Generator,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], object] = lambda count: None,
    /,
    **metadata: str,
) -> None:
    """Write ``generator`` as safetensors; ``magnitude_ema``, frequencies and filters stay float32.

    ``progress`` hears the number of bytes of each tensor that is written. Equal input gives equal bytes, and a reader
    sees the old file or the new one, never a part. Raises ``ValueError`` on another ``dtype``, ``OSError`` when the
    file cannot be written; what was there before is kept then.
    """
    if dtype not in NAMES:
        raise ValueError(f"weights are written as one of {', '.join(map(str, NAMES))}, not {dtype}")
    exact = ("magnitude_ema", "_filter", "freqs", "phases", "transform")
    dtypes = {name: torch.float32 if name.endswith(exact) else dtype for name in generator.state_dict()}
    settings = json.dumps(describe_settings(generator), sort_keys=True, allow_nan=False)
    _write(Path(path), generator.state_dict(), dtypes, {**metadata, KEY: settings}, progress)


def _write(
    path: Path,
    tensors: Dict[str, Tensor],
    dtypes: Dict[str, torch.dtype],
    metadata: dict[str, str],
    progress: Callable[[int], object],
) -> None:
    """Write safetensors one tensor at a time, in the order of their names: the library's writer holds a second copy."""
    names = sorted(tensors, key=lambda name: (-dtypes[name].itemsize, name))  # wide ones first: all are aligned
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        begin, end = end, end + tensors[name].numel() * dtypes[name].itemsize
        header[name] = {"dtype": NAMES[dtypes[name]], "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in names:
                flat = tensors[name].detach().to("cpu", dtypes[name]).reshape(-1)
                progress(file.write(flat.view(torch.uint8).numpy().data))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)  # the new name, too, is to be on the disk
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
