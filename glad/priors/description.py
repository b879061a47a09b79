"""What a prior says of itself: its optional members are read here and nowhere else, each with its default."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generators.license import read_license
from generators.provenance import Weights
from glad.members import KINDS, NAMES, RATE, RATES_BY_OBJECTIVE, SWITCH, Form, read_member, whole
from glad.priors.base import Prior

UNSTATED = "not stated by the prior"
FIT_RATE = 0.05
"""Of Adam, where latents are fitted to real images and the prior states no other."""


class PriorDescription:
    """The optional members of a prior, with a default for each that it lacks.

    Args:
        prior: The prior.
        name: As ``--prior`` takes it, for messages and as the name of its weights; by default that of its class.
        files: SHA-256 by path of the files that its options name.

    Attributes:
        images_per_row: How many images a row of latents renders (1).
        codes: Names of the latents that are a generator's codes, such as ``("w",)``; empty where the latents belong to
            no generator (the default). Objectives take the options that are published for codes where there are some.
        conditional: Whether ``Prior.init`` gives different latents for different classes (True).
        layers: How many values the option ``layer`` may take; 0 where there is no such option (the default).
        optimizers: ``"sgd"`` or ``"adam"`` by name of a latent or of a learned tensor; SGD for those not named.
        fit_rate: The learning rate of Adam where latents are fitted to real images (0.05).

    Raises:
        ValueError: A member has a value that it cannot have; the message names both.
    """

    def __init__(self, prior: Prior, name: str = "", files: Mapping[str, str] | None = None) -> None:
        self.prior = prior
        self.name = name or f"{type(prior).__module__}.{type(prior).__qualname__}"
        self.files = dict(files or {})
        self.images_per_row: int = self._read("images_per_row", 1, whole(1))
        self.layers: int = self._read("layers", 0, whole(0))
        self.conditional: bool = self._read("conditional", True, SWITCH)
        self.codes: tuple[str, ...] = tuple(self._read("codes", (), NAMES))
        self.optimizers: dict[str, str] = dict(self._read("optimizers", {}, KINDS))
        self.fit_rate: float = self._read("fit_rate", FIT_RATE, RATE)
        self._rates: dict[str, Any] = dict(self._read("learning_rates", {}, RATES_BY_OBJECTIVE))

    def learning_rates(self, objective: str = "") -> dict[str, float]:
        """Read ``learning_rates``: a rate by name of a latent, or for one objective by that objective's name.

        ``{"field": 0.1, "mtt": {"field": 5.0}}`` is a rate of 0.1 under all objectives but ``mtt``.

        Args:
            objective: The registered name of an objective; empty for one without a name.

        Returns:
            The prior's own rates under that objective, by name of a latent or of a learned tensor.
        """
        own = {name: float(rate) for name, rate in self._rates.items() if not isinstance(rate, Mapping)}
        special = self._rates.get(objective, {})
        return {
            **own,
            **({name: float(rate) for name, rate in special.items()} if isinstance(special, Mapping) else {}),
        }

    @cached_property
    def weights(self) -> Weights | None:
        """Read ``provenance()``: the pretrained weights behind the prior, or None where it says that it has none.

        A prior without that method is silent: the files that its options name, or else the tensors that it holds, are
        taken for weights of which neither source nor license are stated. A ``sha256`` that is left empty is computed
        in the same way.
        """
        provenance = getattr(self.prior, "provenance", None)
        if provenance is None:
            stated: Weights | None = Weights(self.name, UNSTATED, "", read_license(""))
        else:
            stated = provenance()
        if stated is None:
            return None
        if not isinstance(stated, Weights):
            raise ValueError(f"prior {self.name}: provenance() gives a Weights or None, not {stated!r}")
        if len(self.files) == 1 and not (stated.file or stated.sha256):
            stated = replace(stated, file=str(Path(next(iter(self.files))).absolute()))
        return stated if stated.sha256 else replace(stated, sha256=self._digest())

    @property
    def weights_bytes(self) -> int:
        """Bytes of the pretrained weights: of their file, or of the tensors that the prior holds; 0 without weights."""
        if self.weights is None:
            return 0
        files = sum(Path(path).stat().st_size for path in self.files)
        return self.weights.bytes or files or sum(tensor.nbytes for _, tensor in _unlearned(self.prior))

    @cached_property
    def floats_per_row(self) -> int:
        """Read ``floats_per_row``: how many numbers are learned for a row; by default those of its first latents."""
        stated: int = self._read("floats_per_row", 0, whole(0))
        if stated:
            return stated
        first = self.prior.init(torch.zeros(1, dtype=torch.int64), torch.Generator().manual_seed(0))
        return sum(tensor.numel() for tensor in first.values() if tensor.is_floating_point())

    @property
    def encode(self) -> Callable[[Tensor], dict[str, Tensor]] | None:
        """Read ``encode(images)``: latents of N rows for normalized images [N * images_per_row, C, H, W]; or None."""
        return getattr(self.prior, "encode", None)

    @property
    def from_codes(self) -> Callable[..., dict[str, Tensor]] | None:
        """Read ``from_codes(**codes)``: all latents of given codes; None where codes are all, or there are none."""
        return getattr(self.prior, "from_codes", None) if self.codes else None

    @property
    def project(self) -> Callable[..., dict[str, Tensor]] | None:
        """Read ``project(**latents)``: the nearest latents that are allowed, taken after each step; None for all."""
        return getattr(self.prior, "project", None)

    def _read(self, member: str, default: Any, form: Form) -> Any:
        return read_member(self.prior, member, default, form, f"prior {self.name}")

    def _digest(self) -> str:
        """SHA-256 of the files that the options name; without files, of the tensors that the prior holds."""
        if len(self.files) == 1:
            return next(iter(self.files.values()))
        if self.files:
            return hashlib.sha256("".join(sorted(self.files.values())).encode()).hexdigest()
        return _digest_tensors(self.prior)


def _digest_tensors(prior: Prior) -> str:
    """SHA-256 of the tensors in the prior's attributes, without those that it learns; empty where there are none."""
    digest, found = hashlib.sha256(), False
    for name, tensor in _unlearned(prior):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {list(plain.shape)}".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().data)
        found = True
    return digest.hexdigest() if found else ""


def _unlearned(prior: Prior) -> list[tuple[str, Tensor]]:
    """The tensors in the prior's attributes by path, in order, without those that it offers to be learned or saved."""
    offered = {tensor.data_ptr() for tensor in prior.tensors().values()}
    held = _tensors_in("", prior if isinstance(prior, nn.Module) else getattr(prior, "__dict__", {}))
    return [(name, tensor) for name, tensor in sorted(held.items()) if tensor.data_ptr() not in offered]


def _tensors_in(name: str, value: Any) -> dict[str, Tensor]:
    """The tensors in ``value``, a tensor, a module, or a dict or sequence of such, by their path."""
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, nn.Module):
        value = value.state_dict()
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {path: tensor for key, entry in items for path, tensor in _tensors_in(f"{name}/{key}", entry).items()}
