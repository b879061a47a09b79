"""Whole steps of this project with the weights, data, latents and networks of ``published_steps``."""

from pathlib import Path
from typing import Any

import torch
from published_steps import CLASSES, MEAN, RATE, STD, STEP_SIZE, StepJob
from torch import Tensor

from generators.official import read
from generators.prior import StyleGANPrior
from glad.data.augment import ALL, augment
from glad.data.dataset import ImageData
from glad.distillation import iterate, select_learned
from glad.experts.files import Segment
from glad.networks import Network, make_network
from glad.objectives.base import Step
from glad.objectives.dc import DC
from glad.objectives.dm import DM
from glad.objectives.mtt import MTT
from glad.optimizers import make_optimizer
from glad.synthetic_set import SyntheticSet


class OurSteps:
    """The same job on our side, from what ``PublishedSteps`` wrote to ``published``.

    ``images`` are those of the latents at first.
    """

    def __init__(self, job: StepJob, published: Path) -> None:
        self.job, self.published, self.number = job, published, -1
        start = torch.load(published / "start.pt", weights_only=True)
        data, labels = self._data(start["pixels"]), torch.arange(CLASSES).repeat_interleave(job.ipc)
        prior = StyleGANPrior(
            read(published / "generator.pt").generator,
            data.normalize,
            job.resolution,
            3,
            range(CLASSES),
            layer=job.layer if job.layer >= 0 else None,
        )
        self.set = SyntheticSet(prior, {name: start[name] for name in ("w", "f") if name in start}, labels)
        self.objective = self._objective(data, start["start"], start["end"])
        learned = select_learned(self.set, self.objective)
        self.optimizer = make_optimizer(learned, dict.fromkeys(learned, RATE), 0.5)
        with torch.no_grad():
            self.images = self.set.images()

    def step(self, number: int) -> dict[str, Tensor]:
        """One iteration: its loss and gradients; in round 0 without augmentation and with the published network."""
        self.number = number
        metrics = iterate(self.set, self.objective, self.optimizer, Step(0, number))
        gradients = {name: tensor.grad for name, tensor in self.set.latents.items() if tensor.grad is not None}
        results = {"loss": torch.tensor(metrics["loss"]), **gradients}
        return results if number else {**results, "images": self.images}

    def _data(self, pixels: Tensor) -> ImageData:
        classes, labels = range(CLASSES), torch.arange(CLASSES).repeat_interleave(self.job.batch)
        names = tuple(map(str, classes))
        return ImageData("noise", pixels, labels, names, tuple(classes), MEAN, STD, self.job.resolution, 3)

    def _objective(self, data: ImageData, start: Tensor, end: Tensor) -> Any:
        if self.job.method == "dm":
            return DM(data.real, self._network, self._augment, self.job.batch)
        if self.job.method == "dc":
            return DC(data.real, self._network, self._augment, self.job.batch, outer=1)
        segment = Segment(lambda i: end if i else start, 0, 1)
        steps, unroll = self.job.steps, self.job.unroll
        return MTT(lambda *_: segment, self._network, self._augment, steps, step_size=STEP_SIZE, unroll=unroll)

    def _network(self, rng: torch.Generator) -> Network:
        job = self.job
        network = make_network(
            "convnet", channels=3, classes=CLASSES, resolution=job.resolution, rng=rng, width=job.width, depth=3
        )
        if self.number == 0:
            found = torch.load(self.published / "results.pt", weights_only=True)["network"]
            with torch.no_grad():
                torch.nn.utils.vector_to_parameters(found, network.parameters())
        return network

    def _augment(self, images: Tensor, rng: torch.Generator, shared: bool) -> Tensor:
        return augment(images, rng, shared, "none" if self.number == 0 else ALL)
