"""StyleGAN's operators on fused kernels for CPU and CUDA, with derivatives of any order and mode."""

from cuda_ops._library import OperatorsUnavailableError, SlowOperatorsWarning
from cuda_ops.bias_act import bias_act
from cuda_ops.conv3x3 import conv3x3
from cuda_ops.filtered_lrelu import filtered_lrelu
from cuda_ops.norm_relu_pool import norm_relu_pool
from cuda_ops.upfirdn2d import setup_filter, upfirdn2d

__all__ = [
    "OperatorsUnavailableError",
    "SlowOperatorsWarning",
    "bias_act",
    "conv3x3",
    "filtered_lrelu",
    "norm_relu_pool",
    "setup_filter",
    "upfirdn2d",
]
