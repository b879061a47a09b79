"""A run under audit: its set, its data, and the networks trained on either, which are kept for the next audit."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glad.data.augment import ALL, strategy_for
from glad.data.dataset import ImageData, Splits
from glad.data.splits import open_data
from glad.evaluation import Protocol, predict, train_network
from glad.evaluation.prior_comparison import BATCH, LR, embed
from glad.formats import run as run_format
from glad.formats.distilled import Distilled
from glad.networks import Network, make_network, require_network
from glad.networks.factory import shape_for
from glad.rng import rng_for
from glad.runs.folder import Run
from glad.runs.storage import RunError, read_tensors, write_tensors
from glad.settings.distill import DistillSettings
from glad.settings.objects import is_object
from glad.version import VERSION

FOLDER = "audit"
"""Of the networks' weights, beside ``audit.json``."""
SPLITS = ("validation", "test")
QUERIED = 1000  # real images whose neighbors are searched for, at most


@dataclass(frozen=True)
class TrainingSetup:
    """Images that a network is trained on, and how.

    ``identity`` says in plain values what the images are; ``read`` gives them, normalized [N, C, H, W], with their
    labels, int64 [N] or distributions [N, K], and is called only where a network has to be trained.
    """

    name: str
    identity: Mapping[str, Any]
    read: Callable[[], tuple[Tensor, Tensor]]
    learning_rate: float
    protocol: Protocol


@dataclass(frozen=True)
class AuditedRun:
    """A run, its data, and how much is spent on the audit."""

    run: Run
    splits: Splits
    network: str
    width: int
    epochs: int
    set_epochs: int
    seeds: list[int]
    images: int
    learning_rate: float | None
    split: str
    out: Path
    device: torch.device

    def __post_init__(self) -> None:
        require_network("network", self.network, own=True)
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}: one of {', '.join(SPLITS)}")
        for name in ("width", "epochs", "set_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.images < len(self.train.classes):
            raise ValueError(f"images is {self.images} but there are {len(self.train.classes)} classes: take more")
        if not self.seeds:
            raise ValueError("an audit needs at least one seed")

    @cached_property
    def settings(self) -> DistillSettings:
        """The settings of the run."""
        return self.run.settings

    @property
    def train(self) -> ImageData:
        """The training images."""
        return self.splits.train

    @cached_property
    def tested(self) -> ImageData:
        """The real images that no network was trained on."""
        images: ImageData = getattr(self.splits, self.split)
        return images

    @cached_property
    def queried(self) -> ImageData:
        """Those of them whose neighbors are searched for."""
        return self.tested.select(sample_stratified(self.tested, QUERIED, "audit", "queried"))

    @cached_property
    def train_sample(self) -> ImageData:
        """The training images that stand for the full data."""
        return self.train.select(sample_stratified(self.train, self.images, "audit", "images"))

    @cached_property
    def distilled(self) -> Distilled:
        """The final set; ``RunError`` unless the run is finished."""
        return run_format.read(self.run, self.splits)

    def training_setups(self) -> tuple[TrainingSetup, TrainingSetup]:
        """The trainings of each seed: on real images, and on the set."""
        train, distilled = self.train, self.distilled
        learned = distilled.card.step_size if self.network == self.settings.network else None
        rate = self.learning_rate if self.learning_rate is not None else LR if learned is None else learned
        plain = Protocol(epochs=self.epochs, batch=BATCH, augmentation="flip" if train.flip else "none")
        augmented = Protocol(epochs=self.set_epochs, augmentation=strategy_for(train, ALL))
        full = {"data": train.digest, "images": len(self.train_sample)}
        own = {"set": sha256_of(self.run.path / "synset.safetensors"), "data": train.digest}
        return (
            TrainingSetup(
                "real images", full, lambda: (self.train_sample.tensor(), self.train_sample.labels), LR, plain
            ),
            TrainingSetup("the set", own, lambda: (distilled.images, distilled.targets), rate, augmented),
        )

    def network_for(self, setup: TrainingSetup, seed: int) -> tuple[Network, bool]:
        """The network of ``setup`` and ``seed``, and whether it was kept from an earlier audit.

        A seed gives one initialization for all setups. Raises ``ArithmeticError`` where training diverged and
        ``RunError`` where a kept file is damaged.
        """
        key = (seed, "audit", self.network)
        rng = rng_for(*key, "initialise")
        network = make_network(self.network, rng=rng, norm=setup.protocol.norm, width=self.width, **self.shape)
        path = self.path(setup, seed)
        if path.exists():
            network.load_state_dict(read_tensors(path)[0])
            return network.to(self.device).eval(), True
        network.to(self.device)
        images, labels = (tensor.to(self.device) for tensor in setup.read())
        train_network(
            network, images, labels, key=(*key, setup.name), learning_rate=setup.learning_rate, protocol=setup.protocol
        )
        if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
            raise ArithmeticError(
                f"training on {setup.name} diverged at learning rate {setup.learning_rate:g}, seed {seed}: "
                "choose a lower one (--lr)"
            )
        write_tensors(path, network.state_dict())
        return network.eval(), False

    @property
    def shape(self) -> dict[str, int]:
        """Of the images, as networks are made for it."""
        return shape_for(self.train)

    def path(self, setup: TrainingSetup, seed: int) -> Path:
        """Where a network is kept: the name is a hash of all that it depends on."""
        depends_on = {
            "glad": VERSION,
            "network": [self.network, self.width, self.shape],
            "lesson": [setup.name, dict(setup.identity), setup.learning_rate, asdict(setup.protocol)],
            "seed": seed,
        }
        digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
        return self.out / FOLDER / f"{digest[:16]}.safetensors"

    def embed(self, network: Network, data: Tensor | ImageData) -> Tensor:
        """Features float32 [N, D], on the CPU, of normalized images [N, C, H, W] or of a data set."""
        if isinstance(data, Tensor):
            return embed(network, data, self.device)
        return torch.cat([embed(network, data.batch(index), self.device) for index in data.chunks()])

    def predict(self, network: Network, data: Tensor | ImageData) -> Tensor:
        """The class that ``network`` predicts for each image, int64 [N], on the CPU."""
        if isinstance(data, Tensor):
            return predict(network, data.to(self.device)).cpu()
        return torch.cat([self.predict(network, data.batch(index)) for index in data.chunks()])


def open_data_of(run: Run, data: Splits | None) -> Splits:
    """The data of ``run``; ``RunError`` where it is other data now, or where only an object has it."""
    settings, recorded = run.settings, run.data_digest
    if data is None and is_object(settings.data):
        raise RunError(f"{run.path} was distilled from {settings.data}: hand it to glad.audit(..., data=...)")
    splits = open_data(settings, data, recorded)
    if splits.train.digest != recorded:
        raise RunError(
            f"{run.path} was distilled from data {recorded[:12]}, here is {splits.train.digest[:12]}: "
            "audit a set beside the data that it was made from"
        )
    return splits


def sample_stratified(data: ImageData, n: int, *key: int | str) -> Tensor:
    """At most ``n`` indices of ``data``, int64, in order, of each class its share; a function of ``key``."""
    ranks = torch.empty(len(data), dtype=torch.float64)
    for c in range(len(data.classes)):
        members = data.of_class(c)
        order = torch.randperm(len(members), generator=rng_for(*key, c))
        ranks[members] = order.double() / max(1, len(members))
    return ranks.argsort(stable=True)[:n].sort().values


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
