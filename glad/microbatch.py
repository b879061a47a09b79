"""How many images of a batch go through a network together."""

import torch
from torch import nn

CHUNK = 16
"""Images at a time on a CPU: the feature maps of more leave its caches, and each map needs fresh pages."""


def batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The layers of ``network`` that, in training mode, take statistics of the batch."""
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def uses_batch_statistics(network: nn.Module) -> bool:
    """Whether what ``network`` makes of an image depends on the other images of its batch."""
    return any(norm.training for norm in batch_norms(network))


def microbatch_size(network: nn.Module, device: torch.device, batch: int) -> int:
    """How many of ``batch`` images to take together: all if they depend on each other or are not on a CPU."""
    return batch if uses_batch_statistics(network) or device.type != "cpu" else min(CHUNK, batch)
