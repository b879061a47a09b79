"""Rows that lie in the host's memory or in a file while they are not in use (``--offload``).

Latents, their gradients and their moments are most of the memory of a large set. A step needs those of one class at a
time, which are brought to the device, and put back when they have changed. No arithmetic is done elsewhere, so the
bytes are those of a run whose rows stay on the device.
"""

import mmap
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from glad.runs.storage import writing
from glad.settings.distill import DistillSettings
from glad.synthetic_set import SyntheticSet

BLOCK = 2**32  # bytes of a file that are mapped together; no space is taken before it is asked for


class Resident:
    """Rows stay on the device.

    Attributes:
        keeps_graphs: Whether images keep their graphs behind ``at_hand``.
    """

    keeps_graphs = True

    def place(self, part: SyntheticSet) -> None:
        """Put the latents of a class to where they lie while they are not in use."""

    @contextmanager
    def at_hand(self, part: SyntheticSet) -> Iterator[None]:
        """Have the latents of a class on the device inside the block; gradients that come are kept behind it."""
        yield

    def gradient(self, latent: Tensor) -> Tensor | None:
        """The gradient that has come last, on the device."""
        return latent.grad

    def keep_moment(self, latent: Tensor, name: str, moment: Tensor) -> Tensor:
        """A moment of a latent, where it lies while it is not in use."""
        return moment.to(latent.device)

    def step(self, optimizer: torch.optim.Optimizer, parts: Iterable[SyntheticSet]) -> None:
        """Take a step of ``optimizer`` and project what it changed."""
        optimizer.step()
        for part in parts:
            part.project()

    def rest(self) -> None:
        """Give back what memory rows have taken that are not in use."""

    def whole(self, name: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """Memory of the host for the latents of all classes that are called ``name``."""
        return torch.empty(shape, dtype=like.dtype)


class Offload(Resident):
    """Rows lie in the host's memory or in a file.

    Args:
        device: Where they are used.
        scratch: The file; the host's memory if None.
    """

    keeps_graphs = False

    def __init__(self, device: torch.device, scratch: "Scratch | None" = None) -> None:
        self._device, self._scratch = device, scratch
        self._places: dict[tuple[object, str], Tensor] = {}
        self._gradients: dict[Tensor, Tensor] = {}

    def _put(self, owner: object, name: str, value: Tensor) -> Tensor:
        """A copy of ``value`` in the place of ``name`` of ``owner``, which is made when it is first asked for."""
        if (owner, name) not in self._places:
            self._places[owner, name] = self._make(value)
        return self._places[owner, name].copy_(value)

    def _make(self, like: Tensor) -> Tensor:
        return torch.empty_like(like, device="cpu") if self._scratch is None else self._scratch.make(like)

    def rest(self) -> None:
        """Give back what memory the pages of the file have taken."""
        if self._scratch is not None:
            self._scratch.rest()

    def _fetch(self, value: Tensor) -> Tensor:
        return value.to(self._device, copy=True)

    def place(self, part: SyntheticSet) -> None:
        """Put the latents of a class away."""
        for latent in part.latents.values():
            latent.data = self._put(latent, "value", latent.data)
        self.rest()

    @contextmanager
    def at_hand(self, part: SyntheticSet) -> Iterator[None]:
        """Have the latents of a class on the device inside the block, and put gradients away that have come."""
        places = {latent: latent.data for latent in part.latents.values()}
        try:
            for latent, place in places.items():
                latent.data = self._fetch(place)
            yield
        finally:
            for latent, place in places.items():
                grad, latent.grad = latent.grad, None
                latent.data = place
                self._gradients.pop(latent, None)
                if grad is not None:
                    self._gradients[latent] = self._put(latent, "gradient", grad)
            self.rest()

    def gradient(self, latent: Tensor) -> Tensor | None:
        """The gradient that has come last, on the device."""
        if latent.grad is not None or latent not in self._gradients:
            return latent.grad  # of labels, which stay
        return self._fetch(self._gradients[latent])

    def keep_moment(self, latent: Tensor, name: str, moment: Tensor) -> Tensor:
        """A moment of a latent, put away."""
        placed = (latent, "value") in self._places
        return self._put(latent, name, moment) if placed else super().keep_moment(latent, name, moment)

    def step(self, optimizer: torch.optim.Optimizer, parts: Iterable[SyntheticSet]) -> None:
        """Take the step of all that stays on the device, then of the latents, class after class."""
        optimizer.step()
        stay = [tensor for group in optimizer.param_groups for tensor in group["params"] if tensor.grad is not None]
        grads = [tensor.grad for tensor in stay]
        for tensor in stay:
            tensor.grad = None  # so that the steps below leave it alone
        for part in parts:
            self._step(optimizer, part)
        for tensor, grad in zip(stay, grads, strict=True):
            tensor.grad = grad

    def _step(self, optimizer: torch.optim.Optimizer, part: SyntheticSet) -> None:
        places = {latent: latent.data for latent in part.latents.values()}
        for latent, place in places.items():
            latent.data, state = self._fetch(place), optimizer.state[latent]
            if latent in self._gradients:
                latent.grad = self._fetch(self._gradients.pop(latent))
            state.update({key: self._fetch(moment) for key, moment in _moments(state)})
        optimizer.step()
        part.project()
        for latent, place in places.items():
            state = optimizer.state[latent]
            state.update({key: self._put(latent, key, moment) for key, moment in _moments(state)})
            latent.data, latent.grad = place.copy_(latent.data), None
        self.rest()

    def whole(self, name: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """Memory for the latents of all classes that are called ``name``, where rows lie."""
        if (None, name) not in self._places:
            self._places[None, name] = self._make(torch.empty(shape, dtype=like.dtype, device="meta"))
        return self._places[None, name]


class Scratch:
    """Tensors in files of a folder that have no name, so that they end with the process.

    Args:
        folder: Which is made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._used, self._blocks = folder, 0, list[mmap.mmap]()

    def make(self, like: Tensor) -> Tensor:
        """A tensor of the shape, strides and type of another.

        Raises:
            RunError: The disk has no room for it.
        """
        shape = torch.empty_like(like, device="meta")
        size = -(-shape.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        with writing(self._folder):  # where the disk is full, now, and not by a signal when a page is written
            if not self._blocks or self._used + size > len(self._blocks[-1]):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file, self._used = tempfile.TemporaryFile(dir=self._folder), 0  # noqa: SIM115
                weakref.finalize(self, self._file.close)
                self._file.truncate(max(size, BLOCK))
                self._blocks.append(mmap.mmap(self._file.fileno(), max(size, BLOCK)))
            os.posix_fallocate(self._file.fileno(), self._used, size)
        flat = torch.frombuffer(self._blocks[-1], dtype=like.dtype, count=like.numel(), offset=self._used)
        self._used += size
        return flat.as_strided(shape.shape, shape.stride())

    def rest(self) -> None:
        """Give the memory back that the pages took which were read or written; the files keep what they hold."""
        for block in self._blocks:
            block.madvise(mmap.MADV_DONTNEED)


def place_of_rows(settings: DistillSettings, device: torch.device) -> Resident:
    """Where the rows of a run lie while they are not in use.

    Args:
        settings: Of the run.
        device: Where they are used.

    Raises:
        ValueError: They are there already.
    """
    if settings.offload == "none":
        return Resident()
    if settings.offload == "disk":
        return Offload(device, Scratch(settings.folder))
    if device.type == "cpu":
        raise ValueError("--offload host is for GPUs: on a CPU the rows are in the host's memory; take --offload disk")
    return Offload(device)


def _moments(state: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """What of an optimizer's ``state`` is as large as the tensor; a count of steps has no size."""
    return [(key, value) for key, value in state.items() if isinstance(value, Tensor) and value.ndim > 0]
