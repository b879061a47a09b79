"""Durable files: a reader sees the old content or the new, never a part, whenever the writer is killed."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from glad.runs.disk import reason_of

METADATA = "__metadata__"


class RunError(RuntimeError):
    """A run folder that cannot be used, with its path and the way out."""


def write_durably(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Write ``content`` under a temporary name in the same folder, flush it to the disk, rename it to ``path``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def writing(path: Path, kept: str = "what was there before is kept") -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``RunError``: which file, why not, what to do, and what is ``kept``."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {reason_of(error, path)}; {kept}") from error


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, durably; NaN is refused with ``ValueError``, since JSON has none."""
    write_durably(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; ``RunError`` with the path when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """Write ``tensors`` and string ``metadata`` as one safetensors file, durably; equal content gives equal bytes.

    What lies on a CPU is written from there, without a copy of the file in memory.
    """
    header = _header(tensors, metadata)
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # what follows stays aligned
    names = (name for name in header if name != METADATA)
    write_durably(path, chain([len(text).to_bytes(8, "little"), text], (_bytes_of(tensors[name]) for name in names)))


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Any]:
    """What stands before the numbers of a safetensors file: the order, types, shapes and places of its ``tensors``."""
    empty = save({name: tensor.detach().new_empty(0, device="cpu") for name, tensor in tensors.items()})
    header, end = json.loads(empty[8:]), 0
    for name, entry in header.items():
        begin, end = end, end + tensors[name].nbytes
        entry |= {"shape": list(tensors[name].shape), "data_offsets": [begin, end]}
    sorted_metadata = {METADATA: dict(sorted(metadata.items()))}
    return {**sorted_metadata, **header} if metadata else {**header, **sorted_metadata}


def _bytes_of(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: tensors and metadata; ``RunError`` with the path when missing or damaged."""
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def below(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors called ``PART/NAME``, by NAME."""
    head = f"{part}/"
    return {name.removeprefix(head): tensor for name, tensor in tensors.items() if name.startswith(head)}


def read_number(metadata: Mapping[str, str], name: str, path: Path) -> float:
    """The number called ``name`` in the metadata of the file at ``path``; ``RunError`` when there is none."""
    try:
        found = float(metadata[name])
    except (KeyError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise RunError(f"{path} is damaged: its {name} is {metadata.get(name)!r}, no number")
    return found


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file to read some of its tensors; ``RunError`` with the path where that fails."""
    try:
        with safe_open(str(path), "pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error


def read_step_size(path: Path) -> float | None:
    """Read the student's step size from the state of a run whose objective learned one; None where it did not.

    The metadata name its tensor; states of older versions call it ``objective/alpha``.
    """
    with open_tensors(path) as file:
        name = (file.metadata() or {}).get("step_size", "objective/alpha")
        return float(file.get_tensor(name)) if name in file.keys() else None  # noqa: SIM118 (not a dict)


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str = "optimizer") -> dict[str, Tensor]:
    """The tensors of an optimizer's state (moments, step counts), named by position."""
    return {
        f"{prefix}/{index}/{key}": value
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimizer"
) -> None:
    """Put back what ``optimizer_tensors`` returned; learning rates stay those of ``optimizer``."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        head, *rest = name.split("/")
        if head == prefix and len(rest) == 2 and rest[0].isdecimal():
            state.setdefault(int(rest[0]), {})[rest[1]] = value.clone()
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
