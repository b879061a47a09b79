"""ZCA whitening with an exact inverse: decorrelates all pixels of an image while staying as close as it can to it.

As in the releases of MTT, AST and DATM it is fitted to pixels in [0, 1], with 0.1 added to each eigenvalue, and nothing
is normalized before or after. Earlier versions of this package fitted it to pixels normalized by mean and deviation,
whose variance is about 16 times as large, so that the 0.1 regularized that much less; their runs are opened with it.
"""

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
    ``eps`` it was fitted with, not the matrices: their last bits differ between processors. ``standardized`` says that
    the images were normalized by mean and deviation first.
    """

    mean: Tensor
    matrix: Tensor
    inverse: Tensor
    digest: str
    standardized: bool = False
    _placed: dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def fit(cls, batches: Iterable[Tensor], key: str, eps: float = 0.1, standardized: bool = False) -> "ZCA":
        """Learn the whitening of ``batches`` of images, float32 [n, C, H, W], pixels in [0, 1].

        ``key`` names the images (their digest). Memory and time grow with D^2 and D^3: 12,288 is a sensible limit.
        ``standardized``: the images are normalized by mean and deviation, as earlier versions had them.
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
        what = "zca" if standardized else "zca of pixels"  # the digest of earlier versions stays what it was
        digest = hashlib.sha256(f"{what}\0{key}\0{eps!r}".encode()).hexdigest()
        return cls(mean.float(), matrix.float(), inverse.float(), digest, standardized)

    def whiten(self, images: Tensor) -> Tensor:
        """Whiten images [n, C, H, W]; differentiable, on any device, same shape and dtype."""
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
