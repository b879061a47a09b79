"""The synthetic set in parts, one per class, of which each rank holds those of its own classes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from glad.ranks.group import Ranks
from glad.synthetic_set import SyntheticSet


class ShardedSet:
    """A set whose rows lie on several ranks; what is asked for as a whole, every rank must ask for.

    Args:
        ranks: Who shares it.
        parts: The rows of each class of this rank, as a set of their own.
        images: How many images each class has, of all ranks.
    """

    def __init__(self, ranks: Ranks, parts: Mapping[int, SyntheticSet], images: Sequence[int]) -> None:
        self.ranks, self.parts, self.sizes = ranks, dict(parts), list(images)
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

    @torch.no_grad()
    def images(self) -> Tensor:
        """Normalized images [N, C, H, W] of the whole set, without gradients."""
        return self.gather_images({c: part.images() for c, part in self.parts.items()})

    @property
    def labels(self) -> Tensor:
        """Labels of the whole set, int64 [N] or float [N, K], without gradients."""
        return torch.cat(self.ranks.gather({c: part.labels for c, part in self.parts.items()}, self.sizes))

    @property
    def latents(self) -> dict[str, Tensor]:
        """Latents of the whole set by name, without gradients: on the CPU of rank 0 alone; on others nothing.

        They come class by class, so that no device has to hold them all.
        """
        each = len(self.first) // len(next(iter(self.first.latents.values())))
        rows, found = [size // each for size in self.sizes], {}
        for name in self.first.latents:
            own = {c: part.latents[name] for c, part in self.parts.items()}
            kept = [tensor.cpu() for tensor in self.ranks.stream(own, rows) if self.ranks.rank == 0]
            if kept:
                found[name] = torch.cat(kept)
        return found

    def project(self) -> None:
        """Bring the latents into the range that the prior allows, if it sets one; in place, after a step."""
        for part in self.parts.values():
            part.project()
