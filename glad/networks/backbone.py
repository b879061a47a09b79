"""A linear classifier on a frozen backbone: what a distilled set is to train where networks are pretrained."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from glad.microbatch import batch_norms
from glad.networks.network import Network

OF_CLASSIFIER = "classifier."  # what the names of a network's last layer begin with


class FrozenBackbone(Network):
    """A network with given weights, of which the linear classifier alone is drawn and trained.

    Blocks and read-out stay as they are, batch norm and dropout in evaluation mode.

    Args:
        network: The backbone with a classifier of any weights. Its parts may be modules of other libraries.
        weights: Gives the trained weights when they are needed: all parameters in one vector, float32 [P], such as a
            checkpoint of an expert, whose classifier is not taken; or a state dict of blocks and read-out.
    """

    def __init__(self, network: Network, weights: Callable[[], Tensor | Mapping[str, Tensor]]) -> None:
        last = network.classifier
        super().__init__([*network.blocks], network.readout, last.in_features, last.out_features, network._fill)
        self._weights = weights

    @torch.no_grad()
    def initialize(self, rng: torch.Generator) -> None:
        """Draw the classifier from ``rng``, as it would be drawn in the network, and take the rest as it is given.

        Raises:
            ValueError: The weights are of another network, or a vector of one with batch norm, which would lack the
                running statistics.
        """
        super().initialize(rng)
        found = self._weights()
        if isinstance(found, Tensor):
            drawn = [parameter.clone() for parameter in self.classifier.parameters()]
            self._take(found)
            for parameter, value in zip(self.classifier.parameters(), drawn, strict=True):
                parameter.copy_(value)
        else:
            own = {name: tensor for name, tensor in self.state_dict().items() if name.startswith(OF_CLASSIFIER)}
            try:
                self.load_state_dict({**found, **own})
            except RuntimeError as error:
                why = " ".join(str(error).split())
                raise ValueError(f"the weights of the backbone are of another network: {why}") from error
        self.requires_grad_(False)
        self.classifier.requires_grad_()
        self.train()

    def _take(self, vector: Tensor) -> None:
        """Put all parameters, float32 [P], in place."""
        count = sum(parameter.numel() for parameter in self.parameters())
        if vector.numel() != count:
            raise ValueError(
                f"the weights of the backbone are {vector.numel():,} numbers, its network has {count:,}: build it with "
                "the options that it was trained with"
            )
        if batch_norms(self):
            raise ValueError(
                "a vector of parameters lacks the running statistics of batch norm: give a state dict, or a backbone "
                "with norm=instance"
            )
        nn.utils.vector_to_parameters(vector, self.parameters())

    def train(self, mode: bool = True) -> "FrozenBackbone":
        """Set the mode of the classifier; blocks and read-out stay in evaluation mode."""
        super().train(mode)
        self.blocks.eval()
        self.readout.eval()
        return self
