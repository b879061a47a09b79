"""Pixels as whole numbers of 8 or 16 bits, and what that costs."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class QuantizationLoss:
    """What storing cost, in units of 1/255.

    ``mean`` and ``max`` are over the absolute errors of all values; ``clipped`` is the share of values (0 to 1) that
    lay outside the range that can be stored, and ``outside`` how far the furthest did.
    """

    mean: float = 0.0
    max: float = 0.0
    clipped: float = 0.0
    outside: float = 0.0


@dataclass(frozen=True)
class Levels:
    """Whole numbers 0 to 2^bits - 1 that stand for pixels from ``low`` to ``high``; what lies outside is clipped."""

    bits: int
    low: float = 0.0
    high: float = 1.0

    def quantize(self, pixels: Tensor) -> np.ndarray:
        """Float pixels [N, C, H, W] as uint8 or uint16 [N, H, W, C]."""
        share = ((pixels.double() - self.low) / (self.high - self.low)).clamp(0, 1)
        whole = (share * (2**self.bits - 1)).round().permute(0, 2, 3, 1)  # [N, C, H, W] -> [N, H, W, C]
        return whole.contiguous().numpy().astype(np.uint8 if self.bits == 8 else np.uint16)

    def pixels(self, stored: np.ndarray) -> Tensor:
        """Undo ``quantize`` as far as that goes: float32 [N, C, H, W]."""
        share = torch.from_numpy(stored.astype(np.float64)) / (2**self.bits - 1)
        return (self.low + (self.high - self.low) * share).float().permute(0, 3, 1, 2).contiguous()

    def cost(self, pixels: Tensor) -> QuantizationLoss:
        """What is lost of float ``pixels`` [N, C, H, W]."""
        exact = pixels.double()
        error = 255 * (self.pixels(self.quantize(pixels)) - exact).abs()
        outside = 255 * torch.maximum(self.low - exact, exact - self.high).clamp(min=0)
        clipped = float((outside > 0).double().mean())
        return QuantizationLoss(float(error.mean()), float(error.max()), clipped, float(outside.max()))


def eight_bits(pixels: Tensor) -> Levels:
    """The levels of ordinary image files: [0, 1], whatever the pixels."""
    return Levels(8)


def sixteen_bits(pixels: Tensor) -> Levels:
    """65,536 levels over [0, 1], or over as much more as ``pixels`` need, so that none is clipped."""
    return Levels(16, min(0.0, float(pixels.min())), max(1.0, float(pixels.max())))
