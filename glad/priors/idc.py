"""IDC, multi-formation: a stored image is a sheet of smaller ones (Kim et al., ICML 2022).

Each stored image is cut into ``factor`` x ``factor`` tiles, and each tile is enlarged to a whole image. The release
couples this with a matching of gradients of its own, in a network that is trained on real images between matches; here
any objective sees the enlarged images, with its learning rate of pixels: a number of a tile moves as many pixels more
as each image counts less in a mean. Tiles that overhang are continued in mid-gray, where the release pads with zeros.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

LARGE = 128  # pixels up to which the published factor is 2; above it is 3


class IDC:
    """Images cut out of stored ones: ``{"pixels": [N, C, H, W]}`` gives N * ``factor`` ** 2 images.

    Args:
        real: ``real(c, n, rng)`` gives n normalized images of class c, [n, C, H, W], distinct.
        normalize: Maps pixels in [0, 1] to what networks see.
        resolution: Side of an image in pixels.
        channels: Channels of an image.
        factor: Tiles along a side; by default the published 2 up to 128 pixels, 3 above.
    """

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        normalize: Callable[[Tensor], Tensor],
        resolution: int,
        channels: int,
        factor: int | None = None,
    ) -> None:
        chosen = factor if factor is not None else 2 if resolution <= LARGE else 3
        if not 1 <= chosen <= resolution:
            raise ValueError(f"idc cuts {resolution} pixels into 1 to {resolution} tiles along a side, not {chosen}")
        self._real, self.factor, self.resolution = real, chosen, resolution
        self.side = -(-resolution // chosen)
        self.images_per_row, self.floats_per_row = chosen**2, channels * resolution**2
        levels = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(-1, channels, resolution, resolution)
        low, self._gray, high = normalize(levels)
        plain = torch.equal(low, low[:, :1, :1].expand_as(low))
        self._range = (low, high) if plain else None  # whitened images (ZCA) have none

    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """``{"pixels": [N, C, H, W]}``: each tile another real image, made small."""
        count, present = self.images_per_row, classes.unique().tolist()
        images = torch.cat([self._real(c, count * int((classes == c).sum()), rng) for c in present])
        rows = classes.argsort(stable=True).argsort()  # from sorted by class to their own order
        return {"pixels": self.encode(images)["pixels"][rows]}

    def __call__(self, pixels: Tensor) -> Tensor:
        """The tiles of each row, line by line, as normalized images [N * images_per_row, C, H, W]."""
        wide, f, s = self.side * self.factor, self.factor, self.side
        if wide > self.resolution:
            gray = self._gray.to(pixels)[:, :1, :1].expand(len(pixels), -1, wide, wide)
            canvas = gray.clone()
            canvas[:, :, : self.resolution, : self.resolution] = pixels
            pixels = canvas
        tiles = pixels.unflatten(3, (f, s)).unflatten(2, (f, s))  # [N, C, f, s, f, s]
        tiles = tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        return F.interpolate(tiles, size=[self.resolution] * 2, mode="bilinear", align_corners=False)

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """The rows whose tiles are ``images``, normalized [N * images_per_row, C, H, W], made small."""
        f = self.factor
        tiles = F.interpolate(images, size=[self.side] * 2, mode="bilinear", antialias=True, align_corners=False)
        sheet = tiles.unflatten(0, (-1, f, f)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return {"pixels": sheet[:, :, : self.resolution, : self.resolution].contiguous()}

    def project(self, pixels: Tensor) -> dict[str, Tensor]:
        """Clamp to the range of images; whitened images (ZCA) have none and stay."""
        if self._range is None:
            return {"pixels": pixels}
        low, high = (level.to(pixels) for level in self._range)
        return {"pixels": torch.minimum(torch.maximum(pixels, low), high)}

    def provenance(self) -> None:
        """There are no weights behind tiles."""

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is shared."""
        return {}
