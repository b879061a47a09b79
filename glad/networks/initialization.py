"""Initial weights drawn from a random stream that is handed in; torch's own initializers know only the global one."""

import math

import torch
from torch import nn

from glad.rng import truncated_normal as normal_cut
from glad.rng import uniform


@torch.no_grad()
def fan_in_uniform(network: nn.Module, rng: torch.Generator) -> None:
    """Fill ``network`` in place with torch's default distributions.

    Weights and biases of convolutions and linear layers are uniform in ±1/√fan_in; norms start as the identity.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in module.parameters(recurse=False):
                parameter.copy_(uniform(parameter.shape, -bound, bound, rng))
        elif isinstance(module, nn.GroupNorm | nn.BatchNorm2d | nn.LayerNorm):
            module.reset_parameters()  # ones and zeros, nothing is drawn


@torch.no_grad()
def truncated_normal(network: nn.Module, rng: torch.Generator) -> None:
    """Fill ``network`` in place as is usual for transformers.

    Matrices and position tables are normal with deviation 0.02, cut at two deviations; biases are zero and norms the
    identity.
    """
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            parameter.copy_(normal_cut(parameter.shape, 0.02, rng))
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
