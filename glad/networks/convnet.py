"""ConvNet, the network the field distills with (Gidaris & Komodakis, CVPR 2018; Zhao et al., ICLR 2021)."""

from torch import Tensor, nn

from cuda_ops import norm_relu_pool
from glad.networks.convolution import Conv3x3
from glad.networks.network import Network, norm_layer, stem_padding
from glad.settings.numbers import AT_LEAST_ONE


class NormReLUPool(nn.GroupNorm):
    """Instance norm, ReLU and 2×2 average pooling, which on a CPU would take as long as the convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H // 2, W // 2]."""
        return norm_relu_pool(x, self.weight, self.bias, self.eps)


def convnet(
    *, channels: int, classes: int, resolution: int, norm: str, width: int = 128, depth: int | None = None
) -> Network:
    """Return ``depth`` blocks of 3×3 convolution, norm, ReLU, 2×2 average pooling, and a linear classifier.

    The default depth is 3 below 64 pixels and one more with each doubling: 4 at 64, 5 at 128, 6 at 256, 7 at 512.
    Raises ValueError for a width or depth below 1, and when so many poolings would leave a block less than 2×2 pixels
    to normalize.
    """
    AT_LEAST_ONE.require({"width": width, "depth": depth}, "convnet:")
    depth = max(3, resolution.bit_length() - 3) if depth is None else depth
    padding = stem_padding(3, channels, resolution)
    side = resolution + 2 * (padding - 1)
    if side >> depth < 1:
        raise ValueError(f"a ConvNet of depth {depth} does not fit images of {resolution} pixels")
    blocks = []
    for index in range(depth):
        before, border = (width, 1) if index else (channels, padding)
        conv = Conv3x3(before, width) if border == 1 else nn.Conv2d(before, width, 3, padding=border)
        rest = [NormReLUPool(width)] if norm == "instance" else [norm_layer(norm, width), nn.ReLU(), nn.AvgPool2d(2)]
        blocks.append(nn.Sequential(conv, *rest))
        side //= 2
    return Network(blocks, nn.Identity(), width * side * side, classes)
