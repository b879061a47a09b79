"""DM through two architectures by turns, an objective of its own as docs/CUSTOM_OBJECTIVES.md has them.

Does a set carry over to a third architecture better if it was distilled through two? ``reproduce_color.py`` has it as
the rows "By turns".
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from glad.networks import make_network
from glad.objectives import DM


class DMByTurns(DM):
    """DM whose fresh network is the run's own or, in half of the iterations, that of a second architecture.

    Args:
        real: As ``DM`` has it.
        network: As ``DM`` has it.
        augment: As ``DM`` has it.
        batch: Real images per class and iteration.
        second: The second architecture, a name in ``glad.networks.NETWORKS``.
        width: Its width.
    """

    def __init__(
        self, real: Any, network: Any, augment: Any, batch: int = 64, second: str = "vgg11", width: int = 8
    ) -> None:
        super().__init__(real, network, augment, batch)
        self.own, self.second, self.width = network, second, width

    def terms(self, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
        """One term per class, through the network whose turn it is."""
        sizes: dict[str, Any] = {"channels": images.shape[1], "resolution": images.shape[-1], "width": self.width}

        def other(rng: torch.Generator) -> Any:
            made = make_network(self.second, rng=rng, classes=1, **sizes)  # whose features alone are compared
            return made.to(images.dtype)

        self.network = other if int(torch.randint(2, (), generator=step.rng("turn"))) else self.own
        yield from super().terms(images, labels, step)
