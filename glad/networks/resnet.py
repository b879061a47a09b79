"""ResNet-18 (He et al., CVPR 2016) with instance norm and, up to 64 pixels, the stem of its CIFAR form."""

from torch import Tensor, nn

from glad.networks.convolution import Conv3x3
from glad.networks.network import Network, norm_layer
from glad.settings.numbers import AT_LEAST_ONE


class _Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut, [N, before, H, W] to [N, after, H / stride, W / stride]."""

    def __init__(self, before: int, after: int, stride: int, norm: str) -> None:
        super().__init__()
        self.main = nn.Sequential(
            Conv3x3(before, after, bias=False) if stride == 1 else nn.Conv2d(before, after, 3, stride, 1, bias=False),
            norm_layer(norm, after),
            nn.ReLU(),
            Conv3x3(after, after, bias=False),
            norm_layer(norm, after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            project = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = nn.Sequential(project, norm_layer(norm, after))

    def forward(self, x: Tensor) -> Tensor:
        return (self.main(x) + self.shortcut(x)).relu()


def resnet18(*, channels: int, classes: int, resolution: int, norm: str, width: int = 64) -> Network:
    """Return four stages of two residual blocks with (1, 2, 4, 8) × ``width`` channels and global average pooling.

    The stem is 3×3 with stride 1 up to 64 pixels, 7×7 with stride 2 and a max pooling above. Raises ValueError for a
    width below 1.
    """
    AT_LEAST_ONE.require({"width": width}, "resnet18:")
    small = resolution <= 64
    stem = Conv3x3(channels, width, bias=False) if small else nn.Conv2d(channels, width, 7, 2, padding=3, bias=False)
    layers: list[nn.Module] = [stem, norm_layer(norm, width), nn.ReLU()]
    if not small:
        layers.append(nn.MaxPool2d(3, 2, padding=1))
    blocks, before = [], width
    for stride, after in [(1, width), (2, 2 * width), (2, 4 * width), (2, 8 * width)]:
        layers += [_Residual(before, after, stride, norm), _Residual(after, after, 1, norm)]
        blocks.append(nn.Sequential(*layers))
        layers, before = [], after
    return Network(blocks, nn.AdaptiveAvgPool2d(1), before, classes)
