"""The synthetic set: latents and labels, rendered by a prior chunk by chunk."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.checkpoint import checkpoint

from glad.priors.base import Prior
from glad.priors.description import PriorDescription
from glad.runs import html


class SyntheticSet:
    """Rows of latents, the prior that makes images of them, and the images' labels.

    Latents of floats are learned; those of whole numbers or booleans, such as indices and masks, stay as they are.
    Labels are int64 [N], or float [N, K], a weight per class (soft labels). Soft labels that require grad are learned
    along with the latents. With ``logits`` the labels that are given are logits: those of the set are their softmax.

    There are as many labels as images: ``images_per_row`` of the prior times as many as rows. ``images()`` renders
    ``chunk`` rows at a time. The graphs of all chunks are kept for the backward pass when they fit into ``memory``
    bytes; otherwise each chunk is rendered again there, so that peak memory is one chunk's. Either way the gradient is
    that of rendering everything at once.
    """

    def __init__(
        self,
        prior: Prior,
        latents: Mapping[str, Tensor],
        labels: Tensor,
        chunk: int = 10,
        memory: int = 2 * 2**30,
        logits: bool = False,
    ) -> None:
        description = PriorDescription(prior)
        each, self._project = description.images_per_row, description.project
        rows = {name: len(tensor) for name, tensor in latents.items()} | {"labels": len(labels) / each}
        if len(set(rows.values())) != 1:
            counts = {name: len(tensor) for name, tensor in [*latents.items(), ("labels", labels)]}
            raise ValueError(f"latents and labels differ in their number of rows: {counts}, {each} images per row")
        if chunk < 1:
            raise ValueError(f"a chunk has at least 1 row, not {chunk}")
        if "labels" in latents:
            raise ValueError("a latent cannot be called labels, which the set has besides")
        self.prior, self.chunk, self.memory = prior, chunk, memory
        self.label_parameters, self._logits = _own_labels(labels), logits
        self.latents = {
            name: tensor.detach().clone().requires_grad_(tensor.is_floating_point()) for name, tensor in latents.items()
        }
        self._keeps_graphs: bool | None = None

    def __len__(self) -> int:
        """The number of images."""
        return len(self.label_parameters)

    @property
    def labels(self) -> Tensor:
        """Int64 [N], or float [N, K]; differentiable in ``label_parameters``, which are the same or their logits."""
        return self.label_parameters.softmax(1) if self._logits else self.label_parameters

    @torch.no_grad()
    def _repr_html_(self) -> str:
        """What a notebook shows: images of rows evenly apart, a column per class; black and white are the extremes."""
        rows = len(next(iter(self.latents.values())))
        each = len(self) // rows
        kept = torch.tensor(html.evenly(rows, max(1, html.SHOWN // each)))
        labels = self.labels.unflatten(0, (rows, each))[kept].flatten(0, 1)
        few = SyntheticSet(
            self.prior, {name: tensor[kept] for name, tensor in self.latents.items()}, labels, self.chunk
        )
        shown = few.images()
        low, high = shown.min(), shown.max()
        pixels = (shown - low) / (high - low).clamp(min=1e-12)
        count = labels.shape[1] if labels.is_floating_point() else int(labels.max()) + 1
        facts = {"images": len(self), **{f"latents {name}": list(t.shape) for name, t in self.latents.items()}}
        grid = html.images(pixels, labels, [f"class {c}" for c in range(count)], len(self))
        return html.section("synthetic set", facts, grid)

    def tensors(self) -> dict[str, Tensor]:
        """What is learned of the set, by name: latents of floats, and ``labels`` where they require grad."""
        return {name: t for name, t in {**self.latents, "labels": self.label_parameters}.items() if t.requires_grad}

    @torch.no_grad()
    def project(self) -> None:
        """Bring the latents into the range that the prior allows, if it sets one; in place, after a step."""
        if self._project is not None:
            for name, tensor in self._project(**self.latents).items():
                self.latents[name].copy_(tensor)

    def images(self) -> Tensor:
        """Normalized images [N, C, H, W], differentiable in the latents and in the prior's learned tensors."""
        again = torch.is_grad_enabled() and not self.keeps_graphs()
        render = self._render_again_in_backward if again else self._render
        images = torch.cat([render(rows) for rows in self._chunks()])
        if len(images) != len(self):
            raise ValueError(f"the prior rendered {len(images)} images for {len(self)} labels: see its images_per_row")
        return images

    def _render(self, rows: dict[str, Tensor]) -> Tensor:
        return self.prior(**rows)

    def keeps_graphs(self) -> bool:
        """Whether the graphs of all chunks fit into the memory budget, measured once on the first."""
        if self._keeps_graphs is None:
            chunks = self._chunks()
            self._keeps_graphs = self._graph_bytes(chunks[0]) * len(chunks) <= self.memory
        return self._keeps_graphs

    def _chunks(self) -> list[dict[str, Tensor]]:
        parts = {name: tensor.split(self.chunk) for name, tensor in self.latents.items()}
        return [dict(zip(parts, rows, strict=True)) for rows in zip(*parts.values(), strict=True)]

    def _render_again_in_backward(self, rows: dict[str, Tensor]) -> Tensor:
        names = list(rows)

        def render(*tensors: Tensor) -> Tensor:
            return self.prior(**dict(zip(names, tensors, strict=True)))

        return checkpoint(render, *rows.values(), use_reentrant=False, preserve_rng_state=False)

    def _graph_bytes(self, rows: dict[str, Tensor]) -> int:
        """Bytes that the graph of one chunk holds for itself: those that are freed with it, so no shared weights."""
        held: dict[int, tuple[StorageWeakRef, int]] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = StorageWeakRef(storage), storage.nbytes()
            return tensor.detach()  # a node that holds its own output would never be freed

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            images = self.prior(**rows)
        del images
        return sum(size for reference, size in held.values() if reference.expired())


def _own_labels(labels: Tensor) -> Tensor:
    """A copy that requires grad where ``labels`` do; ``ValueError`` unless they are int64 [N] or float [N, K]."""
    soft = labels.is_floating_point()
    if labels.ndim != (2 if soft else 1) or not (soft or labels.dtype == torch.int64):
        raise ValueError(f"labels are int64 [N], or soft ones float [N, K], not {labels.dtype} {list(labels.shape)}")
    if soft and not bool(labels.isfinite().all()):
        raise ValueError("soft labels must be finite")
    return labels.detach().clone().requires_grad_(labels.requires_grad)
