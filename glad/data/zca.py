"""ZCA whitening with an exact inverse: decorrelates all pixels of an image while staying as close as it can to it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ZCA:
    """The map ``x -> (x - mean) W`` on flattened images, with ``W = U diag((s + eps)^-1/2) U^T`` and its inverse.

    ``s`` and ``U`` are the eigenvalues and eigenvectors of the covariance of the images it was fitted to. ``mean`` is
    float32 [D]; ``matrix`` and ``inverse`` are float32 [D, D], with D = C * H * W. ``digest`` names the data and the
    ``eps`` it was fitted with, not the matrices: their last bits differ between processors.
    """

    mean: Tensor
    matrix: Tensor
    inverse: Tensor
    digest: str
    _placed: dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def fit(cls, batches: Iterable[Tensor], key: str, eps: float = 0.1) -> "ZCA":
        """Learn the whitening of ``batches`` of normalized images [n, C, H, W].

        ``key`` names the images (their digest). Memory and time grow with D^2 and D^3: 12,288 is a sensible limit.
        """
        count, total, outer = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for batch in batches:
            rows = batch.flatten(1).double()
            count, total, outer = count + len(rows), total + rows.sum(0), outer + rows.T @ rows
        if not count:
            raise ValueError("ZCA needs at least one image, got none")
        mean = total / count
        covariance = (outer - count * torch.outer(mean, mean)) / max(count - 1, 1)
        values, vectors = torch.linalg.eigh(covariance)
        scale = (values.clamp(min=0) + eps).sqrt()
        matrix, inverse = (vectors / scale) @ vectors.T, (vectors * scale) @ vectors.T
        digest = hashlib.sha256(f"zca\0{key}\0{eps!r}".encode()).hexdigest()
        return cls(mean.float(), matrix.float(), inverse.float(), digest)

    def whiten(self, images: Tensor) -> Tensor:
        """Whiten normalized images [n, C, H, W]; differentiable, on any device, same shape and dtype."""
        mean, matrix, _ = self._on(images)
        return ((images.flatten(1) - mean) @ matrix).view(images.shape)

    def unwhiten(self, images: Tensor) -> Tensor:
        """Undo ``whiten``."""
        mean, _, inverse = self._on(images)
        return (images.flatten(1) @ inverse + mean).view(images.shape)

    def _on(self, images: Tensor) -> tuple[Tensor, ...]:
        place = images.device, images.dtype
        if place not in self._placed:
            # A tensor first made in inference mode could never take part in a backward pass later.
            with torch.inference_mode(False):
                self._placed[place] = tuple(x.to(*place) for x in (self.mean, self.matrix, self.inverse))
        return self._placed[place]
