"""The synthetic set in parts, one per class, of which each rank holds those of its own classes."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from glad.ranks.group import Ranks
from glad.ranks.offload import Resident
from glad.synthetic_set import SyntheticSet


class ShardedSet:
    """A set whose rows lie on several ranks; what is asked for as a whole, every rank must ask for.

    Args:
        ranks: Who shares it.
        parts: The rows of each class of this rank, as a set of their own.
        images: How many images each class has, of all ranks.
        rows: Where the latents lie while they are not in use; they are there already.
    """

    def __init__(self, ranks: Ranks, parts: Mapping[int, SyntheticSet], images: Sequence[int], rows: Resident) -> None:
        self.ranks, self.parts, self.sizes, self.rows = ranks, dict(parts), list(images), rows
        self.first = next(iter(self.parts.values()))
        self.prior = self.first.prior
        self.learns_labels = self.first.label_parameters.requires_grad

    def __len__(self) -> int:
        """The number of images, of all ranks."""
        return sum(self.sizes)

    def tensors(self) -> dict[str, list[Tensor]]:
        """What is learned of this rank's rows, by name: a tensor for each class."""
        return {name: [part.tensors()[name] for part in self.parts.values()] for name in self.first.tensors()}

    def gather_images(self, rendered: Mapping[int, Tensor]) -> Tensor:
        """Images [N, C, H, W] of the whole set, given those of this rank's classes; without gradients."""
        return torch.cat(self.ranks.gather(rendered, self.sizes))

    def render(self) -> dict[int, Tensor]:
        """Images of each class of this rank, differentiable where the latents stay on the device."""
        return {c: self._render(part) for c, part in self.parts.items()}

    def _render(self, part: SyntheticSet) -> Tensor:
        with self.rows.at_hand(part), torch.set_grad_enabled(torch.is_grad_enabled() and self.rows.keeps_graphs):
            return part.images()

    @contextmanager
    def graph_of(self, c: int, rendered: dict[int, Tensor]) -> Iterator[Tensor]:
        """The images of a class with their graph, inside the block: those ``rendered``, or else rendered now."""
        part = self.parts[c]
        with self.rows.at_hand(part):
            yield rendered.pop(c) if self.rows.keeps_graphs and rendered else part.images()

    @torch.no_grad()
    def images(self) -> Tensor:
        """Normalized images [N, C, H, W] of the whole set, without gradients."""
        return self.gather_images(self.render())

    @property
    def labels(self) -> Tensor:
        """Labels of the whole set, int64 [N] or float [N, K], without gradients."""
        return torch.cat(self.ranks.gather({c: part.labels for c, part in self.parts.items()}, self.sizes))

    @property
    def latents(self) -> dict[str, Tensor]:
        """Latents of the whole set by name, without gradients: of rank 0 alone, not on a device; on others nothing.

        They come class by class, so that no device has to hold them all.
        """
        each = len(self.first) // len(next(iter(self.first.latents.values())))
        rows, found = [size // each for size in self.sizes], {}
        for name in self.first.latents:
            own = {c: part.latents[name] for c, part in self.parts.items()}
            stream, first = self.ranks.stream(own, rows), self.first.latents[name]
            if self.ranks.rank == 0:
                found[name] = self.rows.whole(name, [sum(rows), *first.shape[1:]], first)
                for place, tensor in zip(found[name].split(rows), stream, strict=True):
                    place.copy_(tensor)
                    self.rows.rest()
            else:
                deque(stream, maxlen=0)
        return found

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take a step of ``optimizer``, and bring the latents into the range that the prior allows, if it sets one."""
        self.rows.step(optimizer, self.parts.values())
