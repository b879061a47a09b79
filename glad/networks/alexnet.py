"""AlexNet (Krizhevsky et al., NeurIPS 2012) in the field's form for small images: no dropout, one linear layer."""

from torch import nn

from glad.networks.convolution import Conv3x3
from glad.networks.network import Network, stem_padding
from glad.settings.numbers import AT_LEAST_ONE


def alexnet(*, channels: int, classes: int, resolution: int, norm: str, width: int = 128) -> Network:
    """Return five convolutions of (1, 1.5, 2, 1.5, 1.5) × ``width`` channels with three max poolings.

    Up to 64 pixels the stem is 5×5 with stride 1 and pooling 2×2; above, 11×11 with stride 4 and pooling 3×3 with
    stride 2, and the last map is averaged to at most 6×6. There is no normalization: ``norm`` is without effect.
    Raises ValueError for a width below 1.
    """
    AT_LEAST_ONE.require({"width": width}, "alexnet:")
    small = resolution <= 64
    pool = 2 if small else 3
    if small:
        padding = stem_padding(5, channels, resolution)
        stem = nn.Conv2d(channels, width, 5, padding=padding)
        side = resolution + 2 * padding - 4
    else:
        stem = nn.Conv2d(channels, width, 11, stride=4, padding=2)
        side = (resolution - 7) // 4 + 1
    for _ in range(3):
        side = (side - pool) // 2 + 1
    mid = width * 3 // 2
    blocks = [
        nn.Sequential(stem, nn.ReLU(), nn.MaxPool2d(pool, 2)),
        nn.Sequential(nn.Conv2d(width, mid, 5, padding=2), nn.ReLU(), nn.MaxPool2d(pool, 2)),
        nn.Sequential(Conv3x3(mid, 2 * width), nn.ReLU()),
        nn.Sequential(Conv3x3(2 * width, mid), nn.ReLU()),
        nn.Sequential(Conv3x3(mid, mid), nn.ReLU(), nn.MaxPool2d(pool, 2)),
    ]
    if small or side <= 6:
        return Network(blocks, nn.Identity(), mid * side * side, classes)
    return Network(blocks, nn.AdaptiveAvgPool2d(6), mid * 36, classes)
