"""The 3x3 convolution of the field's networks."""

from torch import Tensor, nn

from cuda_ops import conv3x3


class Conv3x3(nn.Conv2d):
    """3×3 convolution with padding 1 and stride 1, on a CPU by Winograd's algorithm where that is the faster."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, outputs, H, W]."""
        return conv3x3(x, self.weight, self.bias)
