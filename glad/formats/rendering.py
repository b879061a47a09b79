"""From codes to the images that they were optimized for, by the generator that they were optimized with."""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from generators.classes import ClassNotice
from glad.formats.distilled import Card, Codes
from glad.runs.storage import RunError
from glad.synthetic_set import SyntheticSet

Renderer = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Images of latents and their labels, float32 [N, C, H, W], normalized by the mean and deviation of the card."""


def render(codes: Codes, card: Card, labels: Tensor, device: str = "auto") -> Tensor:
    """Images of ``codes``, float32 [N, C, H, W]; see ``open_renderer``."""
    return open_renderer(codes, card, device)(codes.latents, labels)


def open_renderer(codes: Codes, card: Card, device: str = "auto") -> Renderer:
    """What makes images of latents as those of ``codes`` are, normalized by the card's numbers (not whitened).

    It renders as many rows at a time as the run did, so that the same machine gives the same bits. ``RunError`` when
    the generator's SHA-256 or its own tensors are not the recorded ones, or when its file is not there.
    """
    from glad.device import pick_device  # loads generators, which the other formats need not wait for
    from glad.priors.resolve import resolve_prior  # loads generators, which the other formats need not wait for

    name, place = codes.prior, pick_device(device)
    for file in [str(codes.options[key]) for key in codes.files] or [name]:
        if file.endswith(".safetensors") and ":" not in file and not Path(file).is_file():  # a file, none on the Hub
            raise RunError(
                f"{file} does not exist: the codes need the generator {name} with the SHA-256 "
                f"{codes.sha256 or 'unknown'}; put its file beside the codes, or name it with --prior FILE"
            )
    if Path(name).is_file():  # told apart before another geometry fails to fit
        _require_same(name, hashlib.sha256(Path(name).read_bytes()).hexdigest(), codes.sha256)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClassNotice)  # classes only say where codes start: any will do
        resolved = resolve_prior(name, card.data(), codes.options, place, dict.fromkeys(card.classes, 0))
    _require_same(name, resolved.digest, codes.sha256)
    offered = resolved.prior.tensors()
    have, bring = ({key: list(t.shape) for key, t in tensors.items()} for tensors in (offered, codes.learned))
    if have != bring:
        raise RunError(f"{name} has tensors of its own {have}, the codes bring {bring}")
    for key, tensor in offered.items():
        tensor.data.copy_(codes.learned[key])

    @torch.no_grad()
    def images(latents: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        there = {key: tensor.to(place) for key, tensor in latents.items()}
        return SyntheticSet(resolved.prior, there, labels.to(place), codes.chunk).images().cpu()

    return images


def _require_same(name: str, found: str, recorded: str) -> None:
    if found != recorded:
        raise RunError(
            f"{name} is another generator: its SHA-256 is {found or 'none'}, the codes were made with "
            f"{recorded or 'none'}"
        )
