"""A small vision transformer (Dosovitskiy et al., ICLR 2021), differentiable twice on every device.

It differs from the paper: attention is plain matrix products (fused attention has no second derivative on the CPU),
the tokens' mean is read instead of a class token, and there is no dropout.
"""

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

from glad.networks.initialization import truncated_normal
from glad.networks.network import Network
from glad.settings.numbers import AT_LEAST_ONE


class _Patches(nn.Module):
    """Images [N, C, H, W], padded with zeros to whole patches, to tokens with a position [N, D, h, w]."""

    def __init__(self, channels: int, width: int, patch: int, resolution: int) -> None:
        super().__init__()
        self.margin = -resolution % patch
        side = (resolution + self.margin) // patch
        self.project = nn.Conv2d(channels, width, patch, patch)
        self.position = nn.Parameter(self.project.weight.new_empty(1, width, side, side))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(F.pad(x, (0, self.margin, 0, self.margin))) + self.position


class _LayerNorm(nn.LayerNorm):
    """Layer norm with the right gradient of a tangent.

    torch takes mean and deviation for constants in it (its issue 196700), without a word. In forward mode the norm is
    therefore step by step; elsewhere torch's own, which is faster.
    """

    def forward(self, x: Tensor) -> Tensor:
        if forward_ad._current_level < 0:
            return super().forward(x)
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        return (x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias


class _Attention(nn.Module):
    """Multi-head self-attention on tokens [N, T, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # [N, heads, T, d]
        weights = (q @ k.transpose(-2, -1) * (d // self.heads) ** -0.5).softmax(-1)  # [N, heads, T, T]
        return self.out((weights @ v).transpose(1, 2).reshape(n, t, d))


class _Block(nn.Module):
    """One pre-norm transformer layer on a map of tokens [N, D, h, w]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(_LayerNorm(width), _Attention(width, heads))
        hidden = 4 * width
        self.mlp = nn.Sequential(_LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)  # [N, h·w, D]
        tokens = tokens + self.attention(tokens)
        tokens = tokens + self.mlp(tokens)
        return tokens.transpose(1, 2).reshape(x.shape)


class _MeanToken(nn.Module):
    """The mean of the normalized tokens, [N, D, h, w] to [N, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(2).transpose(1, 2)).mean(1)


def vit(
    *,
    channels: int,
    classes: int,
    resolution: int,
    norm: str,
    width: int = 128,
    depth: int = 4,
    heads: int = 4,
    patch: int | None = None,
) -> Network:
    """Return ``depth`` transformer layers of ``width`` channels on square patches.

    The default patch is 4 pixels up to 64, 8 below 128 and 16 from there. ``norm`` is without effect: transformers
    have layer norm. Raises ValueError for a number below 1, and when ``heads`` does not divide ``width``.
    """
    AT_LEAST_ONE.require({"width": width, "depth": depth, "heads": heads, "patch": patch}, "vit:")
    if width % heads:
        raise ValueError(f"{heads} attention heads do not divide a width of {width}")
    if patch is None:
        patch = 4 if resolution <= 64 else 8 if resolution < 128 else 16
    blocks: list[nn.Module] = [_Block(width, heads) for _ in range(depth)]
    blocks[0] = nn.Sequential(_Patches(channels, width, patch, resolution), blocks[0])
    return Network(blocks, _MeanToken(width), width, classes, truncated_normal)
