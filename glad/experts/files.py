"""Experts on disk: one safetensors file each, grown row by row, and read row by row.

``checkpoints`` [epochs + 1, P] are the parameters at the start and after every epoch, ``accuracy`` [epochs + 1] is
theirs on the validation images. While an expert is trained its file is called ``.partial`` and has its final size from
the start; beside it lies what an interrupted training needs to go on, in full precision.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from glad.experts import mismatch
from glad.runs.arithmetic import arithmetic, resume_arithmetic
from glad.runs.storage import RunError, read_number, read_tensors, write_tensors, writing

DTYPES = {"float32": (torch.float32, "F32"), "bfloat16": (torch.bfloat16, "BF16")}
KEY = "expert"  # the metadata entry that holds what an expert is, as JSON
LONGEST = 1 << 24  # bytes of a header that are read; a damaged length would be any number
FORM = "data_form"  # the part of it that files of earlier versions lack


class ExpertError(RunError):
    """Experts that are missing, damaged, or of another run, data set or network: one line that says which."""


def _header(rows: int, parameters: int, dtype: str, about: Mapping[str, Any]) -> bytes:
    """A safetensors header for ``accuracy`` and ``checkpoints``, with its length before it."""
    itemsize, end = DTYPES[dtype][0].itemsize, rows * 4
    header = {
        "__metadata__": {KEY: json.dumps(about, sort_keys=True)},
        "accuracy": {"dtype": "F32", "shape": [rows], "data_offsets": [0, end]},
        "checkpoints": {
            "dtype": DTYPES[dtype][1],
            "shape": [rows, parameters],
            "data_offsets": [end, end + rows * parameters * itemsize],
        },
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # the numbers stay aligned
    return len(text).to_bytes(8, "little") + text


def _stated(header: bytes) -> dict[str, Any]:
    """What a header says of an expert, and its ``dtype``; nothing where it is damaged."""
    try:
        found = json.loads(header)
        names = {stored: name for name, (_, stored) in DTYPES.items()}
        return {**json.loads(found["__metadata__"][KEY]), "dtype": names[found["checkpoints"]["dtype"]]}
    except (ValueError, KeyError, TypeError):
        return {}


def file_size(rows: int, parameters: int, dtype: str, about: Mapping[str, Any]) -> int:
    """Bytes of an expert's file."""
    return len(_header(rows, parameters, dtype, about)) + rows * (4 + parameters * DTYPES[dtype][0].itemsize)


@dataclass
class ExpertFile:
    """An expert's file while it is trained; ``about`` says what it is, as JSON has it."""

    path: Path
    rows: int
    parameters: int
    dtype: str
    about: Mapping[str, Any]

    @property
    def partial(self) -> Path:
        """The file as it grows."""
        return self.path.with_suffix(".partial")

    @property
    def state(self) -> Path:
        """What an interrupted training goes on from."""
        return self.path.with_suffix(".state")

    @cached_property
    def header(self) -> bytes:
        """The file's first bytes, by which a partial file is known as the same expert's."""
        return _header(self.rows, self.parameters, self.dtype, self.about)

    def begin(self) -> tuple[int, dict[str, Tensor]] | None:
        """Make the file, or find an interrupted one: the epochs behind it and its state.

        Raises ``ExpertError`` when the file is another expert's.
        """
        if self.partial.exists() and self.state.exists():
            self.require_same()
            self._take_header()
            tensors, metadata = read_tensors(self.state)
            resume_arithmetic(json.loads(metadata.get("arithmetic", "null")), str(self.partial))
            return int(read_number(metadata, "epoch", self.state)), tensors
        with writing(self.partial, "finished experts are kept"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._allocate()
        return None

    def require_same(self) -> None:
        """Raise ``ExpertError``, naming what differs, where the partial file is that of another training."""
        if self.partial.exists():
            with self.partial.open("rb") as file:
                start = file.read(min(int.from_bytes(file.read(8), "little"), LONGEST))
            if said := mismatch.difference(_stated(start), {**self.about, "dtype": self.dtype}):
                raise ExpertError(f"{self.partial} {said}, or delete the file, which is not finished")

    def discard(self) -> None:
        """Remove the partial file and its state, from which no training can go on."""
        self.partial.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def _take_header(self) -> None:
        """Go on with the header of the partial file, which says less where an earlier version began it."""
        with self.partial.open("rb") as file:
            start = file.read(len(self.header))
        former = {name: value for name, value in self.about.items() if name != FORM}
        for about in (self.about, former):
            header = _header(self.rows, self.parameters, self.dtype, about)
            if start.startswith(header):
                self.about, self.header = about, header
                return
        raise ExpertError(f"{self.partial} is of another recipe, network or data: choose another folder (--out FOLDER)")

    def _allocate(self) -> None:
        with self.partial.open("wb") as file:
            file.write(self.header)
            file.truncate(file_size(self.rows, self.parameters, self.dtype, self.about))

    def write(self, epoch: int, parameters: Tensor, accuracy: float, state: Mapping[str, Tensor]) -> None:
        """Write the row of ``epoch`` and what training goes on from, durably; the last row completes the file."""
        row = parameters.to(DTYPES[self.dtype][0]).view(torch.uint8).numpy().tobytes()
        with writing(self.partial, "the epochs before this one are kept"), self.partial.open("r+b") as file:
            file.seek(len(self.header) + 4 * epoch)
            file.write(torch.tensor([accuracy]).numpy().tobytes())
            file.seek(len(self.header) + 4 * self.rows + len(row) * epoch)
            file.write(row)
            file.flush()
            os.fsync(file.fileno())
        if epoch + 1 < self.rows:
            write_tensors(self.state, state, epoch=str(epoch), arithmetic=json.dumps(arithmetic()))
            return
        self.partial.replace(self.path)
        self.state.unlink(missing_ok=True)


@dataclass(frozen=True)
class Segment:
    """A segment of an expert's trajectory, from ``epoch`` on; checkpoints are read when they are asked for."""

    checkpoint: Callable[[int], Tensor]
    """``checkpoint(i)``: the parameters ``i`` epochs later, float32 [P]."""
    epoch: int
    remaining: int
    """Epochs from there to the expert's end."""


class Expert:
    """A finished expert, mapped: only the rows that are asked for are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safe_open(str(path), "pt").__enter__()
            self.about: dict[str, Any] = json.loads((self._file.metadata() or {})[KEY])
            self._rows = self._file.get_slice("checkpoints")
            self.epochs, self.parameters = self._rows.get_shape()[0] - 1, self._rows.get_shape()[1]
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise ExpertError(f"{path} is not an expert that glad wrote: {error}") from error

    @property
    def dtype(self) -> str:
        """The number format of the stored parameters, a name in ``DTYPES``."""
        stored = self._rows.get_dtype()
        return next(name for name, (_, known) in DTYPES.items() if known == stored)

    @property
    def accuracy(self) -> list[float]:
        """Validation accuracy at the start and after every epoch, in [0, 1]."""
        return self._file.get_tensor("accuracy").tolist()

    def checkpoint(self, epoch: int) -> Tensor:
        """The parameters after ``epoch`` epochs, float32 [P]; a copy."""
        if not 0 <= epoch <= self.epochs:
            raise ExpertError(f"{self.path} has epochs 0 to {self.epochs}, {epoch} was asked for")
        return self._rows[epoch : epoch + 1][0].float().clone()


def expert_paths(folder: Path) -> list[Path]:
    """The finished experts of a folder, in order."""
    return sorted(folder.glob("expert_*.safetensors"))


class Experts:
    """The experts of a folder, all of one kind."""

    def __init__(
        self, folder: Path, needed: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        """Open every expert of ``folder``; ``ExpertError`` naming what differs from ``needed``, and from ``data``."""
        if not (paths := expert_paths(folder)):
            raise ExpertError(f"there are no experts in {folder}: train some with glad experts train --out {folder}")
        self.experts = [Expert(path) for path in paths]
        for expert in self.experts:
            for name, value in (needed or {}).items():
                if (found := expert.about.get(name)) != value:
                    remedy = mismatch.remedy(name, expert.about, data or {})
                    raise ExpertError(f"{expert.path} was trained with {name} {found}, this run has {value}{remedy}")

    def __len__(self) -> int:
        return len(self.experts)

    @property
    def epochs(self) -> int:
        """How many epochs each of them has at least."""
        return min(expert.epochs for expert in self.experts)

    def segment(self, rng: torch.Generator, max_start_epoch: int, length: int, min_start_epoch: int = 0) -> Segment:
        """Draw a segment of ``length`` epochs of a random expert.

        Args:
            rng: The generator that expert and epoch are drawn from.
            max_start_epoch: The segment starts at an epoch before this one.
            length: Its epochs.
            min_start_epoch: The segment starts at this epoch or after it.

        Raises:
            ExpertError: Where a segment might reach beyond the expert's end.
        """
        expert = self.experts[int(torch.randint(len(self.experts), (), generator=rng))]
        epoch = int(torch.randint(min_start_epoch, max_start_epoch, (), generator=rng))
        needed = max_start_epoch - 1 + length
        if needed > expert.epochs:
            raise ExpertError(
                f"{expert.path} has {expert.epochs} epochs: starts below {max_start_epoch} and {length} epochs of "
                f"matching need {needed}"
            )
        return Segment(lambda i: expert.checkpoint(epoch + i), epoch, expert.epochs - epoch)
