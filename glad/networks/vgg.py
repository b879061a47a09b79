"""VGG-11 (Simonyan & Zisserman, ICLR 2015) with instance norm, global average pooling and one linear layer."""

from torch import nn

from glad.networks.convolution import Conv3x3
from glad.networks.network import Network, norm_layer, stem_padding
from glad.settings.numbers import AT_LEAST_ONE


def vgg11(*, channels: int, classes: int, resolution: int, norm: str, width: int = 64) -> Network:
    """Return five stages of 1, 1, 2, 2, 2 convolutions with (1, 2, 4, 8, 8) × ``width`` channels, each max pooled.

    A pooling that would leave the next stage a single pixel (images below 32 pixels) is left out, for instance norm
    makes zeros of it. Raises ValueError for a width below 1.
    """
    AT_LEAST_ONE.require({"width": width}, "vgg11:")
    padding = stem_padding(3, channels, resolution)
    side = resolution + 2 * (padding - 1)
    blocks, before = [], channels
    for index, (factor, convolutions) in enumerate([(1, 1), (2, 1), (4, 2), (8, 2), (8, 2)]):
        layers: list[nn.Module] = []
        for _ in range(convolutions):
            after, border = factor * width, 1 if layers or index else padding
            conv = Conv3x3(before, after) if border == 1 else nn.Conv2d(before, after, 3, padding=border)
            before = after
            layers += [conv, norm_layer(norm, before), nn.ReLU()]
        if side >= 4 or index == 4:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        blocks.append(nn.Sequential(*layers))
    return Network(blocks, nn.AdaptiveAvgPool2d(1), before, classes)
