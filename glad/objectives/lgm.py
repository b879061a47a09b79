"""LGM, linear gradient matching (Cazenavette, Torralba & Sitzmann, "Dataset Distillation for Pre-Trained
Self-Supervised Vision Models", NeurIPS 2025).

For those who train a linear classifier on a frozen backbone. In each iteration a random classifier stands on the
features, and real and synthetic images are to give its weights gradients of one direction. The gradient of the
cross-entropy is known, (softmax - one-hot)^T features / n, so the images' gradient is one backward pass through the
backbone, where the paper goes through a gradient that autograd took. The backbone is an expert with its last weights,
of several experts one drawn in each iteration; or a network of one's own that is frozen already
(``glad.networks.backbone``). The paper switches the levels of its images on one by one; here all are
there from the start (``glad.priors.pyramid``).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from glad.microbatch import batch_norms, microbatch_size
from glad.objectives.trajectory import with_parameters
from glad.rng import normal
from glad.settings.numbers import AT_LEAST_ZERO

ASPECT = 4 / 3  # of a crop, at most; at least its inverse


class LGM:
    """Match the gradients of random linear classifiers on an expert's features.

    Args:
        real: ``real(c, n, rng)`` gives n real images of class c, normalized [n, C, H, W].
        network: ``network(rng)`` makes a network of the experts' kind; without experts a frozen one.
        segment: ``segment(rng, max_start_epoch, length)`` gives a segment of an expert's trajectory; None without
            experts.
        batch: Real images per class and iteration; each is seen once.
        views: How often each synthetic image is seen, each time augmented anew.
        flip: Chance that an image is mirrored; 0 where a mirrored image is another class.
        smallest_crop: Least share of an image's area that a crop shows, by default that of 224 pixels; small images
            want more. 1 for no crops.
        noise: Deviation of the noise on normalized images; 0 for none.
    """

    by_class: ClassVar[bool] = False  # the classifier sees all classes
    learning_rates: ClassVar[Mapping[str, float]] = {"pixels": 2e-3}
    optimizers: ClassVar[Mapping[str, str]] = {"pixels": "adam"}

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        network: Callable[[torch.Generator], Any],
        segment: Callable[[torch.Generator, int, int], Any] | None = None,
        batch: int = 64,
        views: int = 10,
        flip: float = 0.5,
        smallest_crop: float = 0.08,
        noise: float = 0.2,
    ) -> None:
        if min(batch, views) < 1 or noise not in AT_LEAST_ZERO:
            raise ValueError(
                f"lgm needs batch and views of at least 1 and noise of at least 0, not {batch}, {views} and {noise}"
            )
        if not 0 <= flip <= 1 or not 0 < smallest_crop <= 1:
            raise ValueError(
                f"lgm needs flip in [0, 1] and smallest_crop above 0 and at most 1, not {flip} and {smallest_crop}"
            )
        self.real, self.network, self.segment, self.batch, self.views = real, network, segment, batch, views
        self.flip, self.smallest_crop, self.noise = flip, smallest_crop, noise
        self._frozen = None if segment else _require_frozen(network(torch.Generator().manual_seed(0)))

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term: 1 minus the cosine between the gradients. Batch norm has the statistics of the real images."""
        classes, count = labels.unique().tolist(), self.batch
        real = torch.cat([self.real(c, count, step.rng(f"real {c}")) for c in classes]).to(images.device)
        backbone = self._backbone(real, step)
        shape = [*backbone.classifier.weight.shape]
        weight = normal(shape, step.rng("classifier")).to(images)
        with torch.no_grad():
            parts = self._augment(real, step.rng("augment real")).split(
                microbatch_size(backbone, images.device, len(real))
            )
            theirs = torch.cat([backbone.embed(part) for part in parts])
            of_real = torch.tensor(classes, device=images.device).repeat_interleave(count)
            target = classifier_gradient(theirs, of_real, weight)
        seen = self._augment(images.repeat_interleave(self.views, 0), step.rng("augment"))
        ours = classifier_gradient(backbone.embed(seen), labels.repeat_interleave(self.views), weight)
        yield 1 - F.cosine_similarity(ours.flatten(), target.flatten(), dim=0)

    def _backbone(self, real: Tensor, step: Any) -> Any:
        """The frozen network, or one with the last weights of an expert in evaluation mode."""
        if self.segment is None:
            return self._frozen
        whole = self.segment(step.rng("segment"), 1, 0)
        network = with_parameters(self.network(step.rng("network")), whole.checkpoint(whole.remaining), real.device)
        if norms := batch_norms(network):
            for norm in norms:
                norm.momentum = None  # running statistics are then exactly those of what was seen
            with torch.no_grad():
                network.train()(real)
        return network.eval()

    def _augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return random_views(images, rng, self.flip, self.smallest_crop, self.noise)

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is kept between iterations."""
        return {}


def _require_frozen(network: Any) -> Any:
    """``network``, whose blocks must not learn; ``ValueError`` that says what can be a backbone."""
    if any(parameter.requires_grad for parameter in network.blocks.parameters()):
        raise ValueError(
            "lgm needs a trained backbone: train an expert with `glad experts train --count 1 --out FOLDER` and name "
            "the folder (--experts FOLDER), or name a function that makes a glad.networks.backbone.FrozenBackbone "
            "(--network module:function)"
        )
    return network.requires_grad_(False).eval()


def classifier_gradient(features: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """The gradient of a linear classifier's cross-entropy in its weights and, last, its bias of 0: [K, D + 1].

    The cross-entropy of features [N, D] with labels int64 [N] under ``weight`` [K, D] is the mean over classes of that
    of each class, so that classes of different numbers of images count alike.
    """
    counts = labels.bincount(minlength=len(weight))
    residual = (features @ weight.t()).softmax(1) - F.one_hot(labels, len(weight))
    residual = residual / (counts[labels] * (counts > 0).sum())[:, None]
    return residual.t() @ F.pad(features, (0, 1), value=1.0)


def random_views(images: Tensor, rng: torch.Generator, flip: float, smallest_crop: float, noise: float) -> Tensor:
    """Images [N, C, H, W], each mirrored by chance, cropped, resized to where it was, and with noise."""
    chance, area, aspect, y, x = torch.rand(len(images), 5, generator=rng).to(images).unbind(1)
    side = (smallest_crop + (1 - smallest_crop) * area).sqrt()
    stretch = ((2 * aspect - 1) * math.log(ASPECT) / 2).exp() if smallest_crop < 1 else torch.ones_like(aspect)
    width, height = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    mirrored = torch.where(chance < flip, -1.0, 1.0).to(images)
    none = torch.zeros_like(x)
    across = torch.stack([mirrored * width, none, (2 * x - 1) * (1 - width)], 1)
    down = torch.stack([none, height, (2 * y - 1) * (1 - height)], 1)
    grid = F.affine_grid(torch.stack([across, down], 1), list(images.shape), align_corners=False)
    seen = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return seen + noise * normal(list(images.shape), rng).to(images) if noise else seen
