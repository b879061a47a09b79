"""Convolutions whose weights a style scales per sample (Karras et al., StyleGAN2, CVPR 2020), with shared weights.

Scaling the input's channels, one convolution with the same weights for all, and scaling the output's channels: nothing
per-sample is ever materialized. The published code makes every sample's weights and groups the convolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from generators import winograd


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    demodulate: bool = True,
    gain: Tensor | float = 1.0,
    padding: int = 0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Convolve ``x`` [N, I, H, W] with ``weight`` [O, I, k, k] scaled per sample by ``style`` [N, I].

    ``demodulate`` gives every per-sample filter unit norm; ``gain`` (scalar, [I] or [N, I]) multiplies afterwards.
    Equals the published per-sample weights: the styles' norm, taken there over the batch, cancels, so it is taken per
    sample here and a sample's image does not depend on its neighbors. The convolution itself runs in ``dtype``, by
    default that of ``x``, which the result has.
    """
    if not demodulate:
        return _convolve(x, style * gain, weight, padding, dtype).to(x.dtype)
    style = style * (style.square().mean(1, keepdim=True) + 1e-20).rsqrt()
    scale = _output_scale(weight, style)
    return (_convolve(x, style * gain, weight, padding, dtype) * scale[:, :, None, None]).to(x.dtype)


def _output_scale(weight: Tensor, style: Tensor) -> Tensor:
    """What brings each sample's filters to unit norm, [N, O]; that of the shared filters is part of it.

    The weights are read once, never copied: their energies per pair of channels are all that the norms need.
    """
    energy = torch.einsum("oihw,oihw->oi", weight, weight)
    unit = energy.sum(1).div(weight[0].numel()).rsqrt()  # the published weights have a mean square of 1
    return unit * (style.square() @ energy.t() * unit.square() + 1e-8).rsqrt()


def _convolve(x: Tensor, scale: Tensor, weight: Tensor, padding: int, dtype: torch.dtype | None) -> Tensor:
    """Scale the channels of ``x`` by ``scale`` [N, I], then convolve: channels last on a CPU, where it is faster."""
    x = (x * scale[:, :, None, None]).to(dtype or x.dtype)
    if x.device.type == "cpu":  # by axes, as torch.func.vmap knows no memory formats
        x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    if winograd.pays(x, weight):
        return winograd.conv3x3(x, weight, padding)
    return F.conv2d(x, weight.to(x.dtype), padding=padding)
