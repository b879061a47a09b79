"""StyleGAN-XL's mapping network: latent vectors and class labels to style codes (Sauer et al., SIGGRAPH 2022)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from cuda_ops import bias_act
from generators.draws import normal

W_EMA_BETA = 0.998


def _normalize(v: Tensor) -> Tensor:
    """Scale each row of ``v`` [N, D] to unit mean square."""
    return v * (v.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class FullyConnected(nn.Module):
    """``x`` [N, in] to [N, out], with weights stored ``1 / (rate / sqrt(in))`` times too large."""

    def __init__(self, features: tuple[int, int], act: str = "linear", rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.act, self.rate, self.start = act, rate, bias
        self.weight = nn.Parameter(torch.empty(features[1], features[0]))
        self.bias = nn.Parameter(torch.empty(features[1]))

    def initialize(self, rng: torch.Generator) -> None:
        """Draw the weights from N(0, 1) / rate."""
        self.weight.data.copy_(normal(self.weight.shape, rng)).div_(self.rate)
        self.bias.data.fill_(self.start / self.rate)

    def forward(self, x: Tensor) -> Tensor:
        """Affine map, then the activation with its own gain."""
        y = x @ (self.weight * (self.rate / math.sqrt(self.weight.shape[1]))).t()
        return bias_act(y, self.bias * self.rate, act=self.act)


class Mapping(nn.Module):
    """``z`` [N, z_dim] and labels [N] to style codes ``ws`` [N, num_ws, w_dim]."""

    w_avg: Tensor
    embed: Any  # a module that has nothing but a weight

    def __init__(
        self,
        num_ws: int,
        z_dim: int = 64,
        c_dim: int = 0,
        w_dim: int = 512,
        layers: int = 2,
        embedding: tuple[int, int] = (1000, 320),
        class_average: bool = True,
    ) -> None:
        super().__init__()
        self.num_ws, self.z_dim, self.c_dim, self.w_dim, self.layers = num_ws, z_dim, c_dim, w_dim, layers
        # The published networks carry the table even where no class is asked for.
        self.embed = nn.Module()
        self.embed.weight = nn.Parameter(torch.empty(embedding))
        if c_dim:
            self.embed_proj = FullyConnected((embedding[1], z_dim), "lrelu")
        for i in range(layers):
            features = (z_dim * (2 if c_dim else 1) if i == 0 else w_dim, w_dim)
            self.add_module(f"fc{i}", FullyConnected(features, "lrelu", rate=0.01))
        self.register_buffer("w_avg", torch.zeros(c_dim, w_dim) if c_dim and class_average else torch.zeros(w_dim))

    def initialize(self, rng: torch.Generator) -> None:
        """Draw the embedding from N(0, 1)."""
        self.embed.weight.data.copy_(normal(self.embed.weight.shape, rng))

    def _check(self, z: Tensor, labels: Tensor | None) -> None:
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z must be [N, {self.z_dim}], not {tuple(z.shape)}")
        if self.c_dim and (labels is None or labels.shape != z.shape[:1]):
            raise ValueError(f"a conditional generator needs {z.shape[0]} labels, got {labels}")
        known = set(range(self.c_dim))
        if self.c_dim and labels is not None and not known.issuperset(labels.tolist()):
            raise ValueError(
                f"labels {sorted(set(labels.tolist()))} reach outside the generator's {self.c_dim} classes"
            )

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        psi: float = 1.0,
        cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """Style codes, truncated towards the class's average by ``psi`` in the first ``cutoff`` positions.

        ``labels`` int64 [N] (ignored when unconditional). Raises ``ValueError`` on another shape or an unknown class.
        """
        self._check(z, labels)
        x = _normalize(z.to(self.w_avg.dtype))
        if self.c_dim:
            assert labels is not None
            x = torch.cat([x, _normalize(self.embed_proj(self.embed.weight[labels]))], 1)
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        if update_emas:
            self._update_average(x.detach(), labels)
        ws = x[:, None].repeat(1, self.num_ws, 1)  # [N, D] -> [N, num_ws, D]
        if psi != 1:
            average = (self.w_avg[labels] if self.w_avg.ndim == 2 else self.w_avg[None])[:, None]
            end = self.num_ws if cutoff is None else cutoff
            ws = torch.cat([average + psi * (ws[:, :end] - average), ws[:, end:]], 1)
        return ws

    @torch.no_grad()
    def _update_average(self, x: Tensor, labels: Tensor | None) -> None:
        if self.w_avg.ndim == 1 or labels is None:
            self.w_avg.lerp_(x.mean(0), 1 - W_EMA_BETA)
            return
        for row, label in zip(x, labels.tolist(), strict=True):
            self.w_avg[label].lerp_(row, 1 - W_EMA_BETA)
