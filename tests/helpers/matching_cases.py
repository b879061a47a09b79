"""Three images of two classes, a small network and an augmentation, for objectives that match real images."""

from dataclasses import dataclass

import torch

from glad.data.augment import augment
from glad.networks import make_network
from glad.rng import rng_for


@dataclass(frozen=True)
class Step:
    iteration: int = 0

    def rng(self, purpose):
        return rng_for(0, self.iteration, purpose)


def network(rng):
    return make_network("convnet", channels=1, classes=2, resolution=16, rng=rng, width=6)


def crop(images, rng, shared):
    return augment(images, rng, shared, "crop")


LABELS = torch.tensor([0, 0, 1])


def images():
    return torch.randn(3, 1, 16, 16, generator=rng_for("images"))
