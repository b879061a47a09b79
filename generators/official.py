"""Generators in the files they are published in: pickles, state dicts of ``torch.save``, bare safetensors.

Nothing of a file is run: ``generators.official_pickle`` reads pickles, torch its own with ``weights_only=True``.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from generators import weights
from generators.files import WeightsError, sha256
from generators.license import License
from generators.official_pickle import read_official
from generators.stylegan_xl import Generator

LICENSE = License(
    None,
    "license of the weights unstated; the code they come with is for research and evaluation only; "
    "ask before commercial use",
)
ZIP, LEGACY, PICKLE = b"PK\x03\x04", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80"
WRAPPERS = ("G_ema", "G", "state_dict")  # names under which a checkpoint may hold the state dict


@dataclass(frozen=True)
class Found:
    """A generator, frozen, in float32, and where it comes from as metadata of its new file."""

    generator: Generator
    facts: dict[str, str]


def read(path: str | Path, progress: Callable[[int], object] = lambda count: None) -> Found:
    """Read the generator in a file of any known form.

    ``progress`` hears how many more bytes have been hashed. Raises ``WeightsError`` with the path when the file is
    missing, damaged, hostile or of something else, and when what it states of the generator does not agree.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        name = path.name.encode(errors="replace").decode()  # metadata are UTF-8
        facts = {"source_file": name, "source_sha256": sha256(path, progress)}
        generator, own = _read(path, data)
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise WeightsError(f"{path}: not readable as a generator: {reason}") from error
    return Found(generator.requires_grad_(False).eval(), own | facts)


def convert(path: str | Path, out: str | Path, progress: Callable[[int], object] = lambda count: None) -> Found:
    """Read the generator in ``path`` and write it to ``out`` (safetensors); ``progress`` hears of bytes of both.

    Raises what ``read`` and ``generators.weights.save`` do.
    """
    found = read(path, progress)
    weights.save(out, found.generator, torch.float32, progress, **found.facts)
    return found


def _read(path: Path, data: memoryview) -> tuple[Generator, dict[str, str]]:
    """The generator in ``data``, the file ``path``, and what it says of itself; the first bytes tell the form."""
    head = bytes(data[:64])
    if head.startswith((ZIP, LEGACY)):
        return _read_torch(path, len(data), zipped=head.startswith(ZIP)), {"source_format": "torch.save state dict"}
    if head.startswith(PICKLE):
        generator, facts = read_official(data)
        return generator, {**facts, "license": LICENSE.to_json()}
    if head[8:9] == b"{":
        generator, facts = weights.load(path)
        facts.pop(weights.KEY, None)
        return generator, {**facts, "source_format": "safetensors"}
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError("it is a web page: what was meant to be downloaded is not there")
    raise ValueError(f"it begins with {head[:8]!r}, as no pickle, torch.save or safetensors file does")


def _read_torch(path: Path, size: int, zipped: bool) -> Generator:
    """The generator of a state dict, or of a checkpoint that holds one under a usual name, with torch's own reader."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # torch answers damaged files with almost any exception, and here each means that
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().split("\n")[0]
        raise ValueError(f"torch.load(weights_only=True): {type(error).__name__}: {reason[:200]}") from error
    if isinstance(loaded, dict):
        loaded = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), dict)), loaded)
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise ValueError(f"a state dict is expected, not a {type(loaded).__name__}")
    tensors = [tensor for tensor in loaded.values() if isinstance(tensor, torch.Tensor)]
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors) > 2 * size:
        raise ValueError(f"its tensors would take more than twice the {size} bytes of the file")
    return weights.build(loaded)
