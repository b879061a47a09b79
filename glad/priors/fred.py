"""FreD: images as a few coefficients of their cosine transform (Shin et al., NeurIPS 2023).

Per class, the ``frequencies`` at which its real images vary most are kept, the same for all channels; their
coefficients are learned, and all others are zero. The transform here is the orthonormal DCT-II, as two products with a
constant matrix; the release's is not normalized, so its learning rates are divided by 4 N^2 for images of side N. Rates
for objectives that the release does not have are those of MTT (AST), DM (DataDAM, CF, NCFM) and DC (LGM).

Up to 32 pixels DM's published rate, 244 at 32 and 319 at 28, is not the default. The orthonormal transform leaves
distances as they are, so what is stable for pixels, 1, is stable times the images in a class's mean, which are 12 at 28
pixels. At 319 the first step throws images out of their range, and short runs do not come back (the paper: 20,000).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SMALL = 32  # pixels up to which 64 frequencies and the first rates are published; beyond, an eighth, and the second
RATES = {"dc": (1e3, 1e5), "dm": (1e6, 1e6), "mtt": (1e8, 1e9)}
SHORT = {"dm": 10.0}
"""What is taken up to 32 pixels in place of the published rate, as it is."""
SAME_AS = {"ast": "mtt", "datadam": "dm", "cf": "dm", "ncfm": "dm", "lgm": "dc"}


class FreD:
    """Images of N rows ``{"coefficients": [N, C, k], "classes": int16 [N]}``; classes say which frequencies are meant.

    Args:
        real: ``real(c, n, rng)`` gives n normalized images of class c, [n, C, H, W], distinct.
        resolution: Side of an image in pixels.
        channels: Channels of an image.
        class_counts: Training images of each class: all of them say which frequencies vary.
        device: Where images are rendered.
        frequencies: How many are kept; by default 64 up to 32 pixels (published for DM and MTT; 32 for DC), an
            eighth of all above.
    """

    def __init__(
        self,
        real: Callable[[int, int, torch.Generator], Tensor],
        resolution: int,
        channels: int,
        class_counts: Sequence[int],
        device: torch.device,
        frequencies: int | None = None,
    ) -> None:
        count = frequencies if frequencies is not None else 64 if resolution <= SMALL else resolution**2 // 8
        if not 1 <= count <= resolution**2:
            raise ValueError(f"fred keeps 1 to {resolution**2} frequencies of {resolution} pixels, not {count}")
        self._real, self._counts, self.resolution = real, class_counts, resolution
        self.basis = cosine_basis(resolution).to(device)
        self.positions = torch.zeros(len(class_counts), count, dtype=torch.int32, device=device)
        self.floats_per_row = channels * count
        size = 4 * resolution**2
        published = {name: of[resolution > SMALL] / size for name, of in RATES.items()}
        chosen = {**published, **(SHORT if resolution <= SMALL else {})}
        rates = {name: {"coefficients": rate} for name, rate in chosen.items()}
        self.learning_rates = {**rates, **{name: rates[other] for name, other in SAME_AS.items()}}

    @torch.no_grad()
    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """The coefficients of real images, and which frequencies are theirs: chosen here, for the classes given."""
        found = torch.empty(0)
        for c in classes.unique().tolist():
            images = self._real(c, self._counts[c], rng).to(self.basis)
            spectrum = self._transform(images.mean(1)).flatten(1).double()
            self.positions[c] = spectrum.var(0).argsort(descending=True, stable=True)[: self.positions.shape[1]]
            rows = (classes == c).nonzero().flatten()
            if len(rows) > len(images):
                raise ValueError(
                    f"fred starts from real images: class {c} has {len(images)}, {len(rows)} were asked for"
                )
            kept = self._transform(images[: len(rows)]).flatten(2)[:, :, self.positions[c].long()]
            found = found if len(found) else kept.new_empty(len(classes), *kept.shape[1:])
            found[rows.to(found.device)] = kept
        return {"coefficients": found, "classes": classes.to(found.device, torch.int16)}

    def __call__(self, coefficients: Tensor, classes: Tensor) -> Tensor:
        """Normalized images [N, C, H, W]."""
        where = self.positions[classes.long()].long()[:, None].expand_as(coefficients)
        spectrum = coefficients.new_zeros(*coefficients.shape[:2], self.resolution**2).scatter(2, where, coefficients)
        basis = self.basis.to(coefficients.dtype)
        return basis.T @ spectrum.unflatten(2, (self.resolution, self.resolution)) @ basis

    def _transform(self, images: Tensor) -> Tensor:
        return self.basis @ images @ self.basis.T

    def provenance(self) -> None:
        """There are no weights behind a transform."""

    def tensors(self) -> dict[str, Tensor]:
        """The frequencies of each class, int32 [K, k], as places in the flattened spectrum; they do not learn."""
        return {"positions": self.positions}


def cosine_basis(size: int) -> Tensor:
    """The orthonormal DCT-II of ``size`` values as a matrix, float32 [size, size]; its transpose is its inverse."""
    steps = torch.arange(size, dtype=torch.float64)
    basis = (math.pi / size * (steps + 0.5) * steps[:, None]).cos() * math.sqrt(2 / size)
    basis[0] = math.sqrt(1 / size)
    return basis.float()
