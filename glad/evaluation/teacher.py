"""A network trained on the full training data: its probabilities are soft labels, its features eyes for herding.

A set's soft labels are the teacher's probabilities of its images as they are, without augmentation, at temperature 1;
training then takes the cross-entropy against them (knowledge distillation: Hinton et al., 2015; as labels of distilled
sets: Cui et al., ICML 2023). A teacher depends on the training images, its network and its epochs and on nothing else
of an evaluation, so that every set is labeled by the same one, and it is trained once.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glad.data.augment import ALL, strategy_for
from glad.data.dataset import Splits
from glad.evaluation.protocol import Protocol
from glad.evaluation.training import TESTED, accuracy, train_network
from glad.networks import Network, make_network
from glad.rng import rng_for
from glad.runs.storage import read_number, read_tensors, write_tensors

LR = 1e-2  # the peak, for every network; epochs over the full data are many updates, so the published 1e-2 will do


@dataclass(frozen=True)
class Teacher:
    """A trained network, the settings that it is a function of, and its accuracy on the validation images."""

    network: Network
    settings: Mapping[str, Any]
    accuracy: float

    @property
    def digest(self) -> str:
        """A short name of the settings."""
        return digest_of(self.settings)

    @torch.no_grad()
    def label(self, images: Tensor) -> Tensor:
        """Probabilities of the classes, float32 [N, K] on the CPU, for normalized ``images`` [N, C, H, W]."""
        device = next(self.network.parameters()).device
        logits = [self.network(part.to(device)) for part in images.split(TESTED)]
        return torch.cat(logits).softmax(1).cpu()

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Features before the classifier, float32 [N, D] on the CPU."""
        device = next(self.network.parameters()).device
        return torch.cat([self.network.embed(part.to(device)).cpu() for part in images.split(TESTED)])


def folder() -> Path:
    """``$GLAD_TEACHER_CACHE``, or ``glad/teachers`` under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if chosen := os.environ.get("GLAD_TEACHER_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "glad" / "teachers"


def settings_of(data: Splits, network: str, options: Mapping[str, int], epochs: int) -> dict[str, Any]:
    """All that a teacher's weights depend on."""
    made = {"network": network, "options": dict(options), "epochs": epochs, "lr": LR}
    return {**made, "augmentation": strategy_for(data.train, ALL), "data": data.train.digest}


def digest_of(settings: Mapping[str, Any]) -> str:
    """A short hash of the settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def open_teacher(data: Splits, network: str, options: Mapping[str, int], epochs: int, device: torch.device) -> Teacher:
    """The teacher of these settings: read from ``folder``, or trained and written there.

    ``RunError`` when the file is damaged or cannot be written, ``ArithmeticError`` when the training diverges.
    """
    settings = settings_of(data, network, options, epochs)
    path = folder() / f"{network}-{digest_of(settings)}.safetensors"
    key = (0, "teacher", network)
    train = data.train
    made = make_network(
        network,
        channels=train.channels,
        classes=len(train.classes),
        resolution=train.resolution,
        rng=rng_for(*key, "initialise"),
        norm="instance",
        **options,
    ).to(device)
    if path.exists():
        tensors, metadata = read_tensors(path)
        made.load_state_dict(tensors)
        return Teacher(made.requires_grad_(False).eval(), settings, read_number(metadata, "accuracy", path))
    protocol = Protocol(epochs=epochs, augmentation=settings["augmentation"])
    images, labels = train.tensor().to(device), train.labels.to(device)
    train_network(made, images, labels, key=key, learning_rate=LR, protocol=protocol)
    if not all(bool(parameter.isfinite().all()) for parameter in made.parameters()):
        raise ArithmeticError(f"the teacher, {network} for {epochs} epochs, diverged: choose another with --teacher")
    validation = data.validation
    known = accuracy(made, validation.tensor().to(device), validation.labels.to(device))
    write_tensors(path, made.state_dict(), settings=json.dumps(settings), accuracy=repr(known))
    return Teacher(made.requires_grad_(False).eval(), settings, known)
