"""A linear classifier on a frozen backbone, as a network that can be evaluated."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glad.microbatch import batch_norms
from glad.networks.network import Network


def freeze_backbone(network: Network, parameters: Callable[[], Tensor]) -> Network:
    """Make of ``network`` a frozen backbone, of which the linear classifier alone is drawn and trained.

    Args:
        network: A network of ours, which is changed.
        parameters: Gives all parameters of a trained network of that kind in one vector, float32 [P], such as a
            checkpoint of an expert; called when weights are drawn. Those of its classifier are not taken.

    Returns:
        The same network: ``initialize(rng)`` draws the classifier from ``rng``, as it did, and takes the rest.

    Raises:
        ValueError: The network has batch norm, whose running statistics are no parameters; or, when weights are
            drawn, the vector is of another network.
    """
    if batch_norms(network):
        raise ValueError(
            "a backbone with batch norm cannot be frozen: experts keep no running statistics; norm=instance"
        )
    draw = network._fill

    @torch.no_grad()
    def fill(module: nn.Module, rng: torch.Generator) -> None:
        draw(module, rng)
        classifier = [parameter.clone() for parameter in network.classifier.parameters()]
        vector, count = parameters(), sum(parameter.numel() for parameter in network.parameters())
        if vector.numel() != count:
            raise ValueError(
                f"the weights of the backbone are {vector.numel():,} numbers, its network has {count:,}: build it with "
                "the options that it was trained with"
            )
        nn.utils.vector_to_parameters(vector, network.parameters())
        network.requires_grad_(False)
        for parameter, drawn in zip(network.classifier.parameters(), classifier, strict=True):
            parameter.copy_(drawn).requires_grad_()

    network._fill = fill
    return network
