"""What the field's scripts read: ``images_best.pt`` and ``labels_best.pt``, as the released code of MTT writes them."""

import io
from pathlib import Path

import torch
from torch import Tensor

from glad.formats.distilled import Card, Distilled
from glad.formats.files import readable
from glad.formats.torch_files import read_torch
from glad.runs.storage import read_json, write_durably, write_json

CARD = "dataset.json"


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write a folder with ``images_best.pt`` and ``labels_best.pt``, the card beside them as ``dataset.json``.

    ``images_best.pt`` is float32 [N, C, H, W], normalized (and whitened) as networks see it, which is what those
    scripts train on; ``labels_best.pt`` is int64 [N]. ``pixels.pt`` holds the same images in [0, 1], unclipped, and
    ``soft_labels.pt`` distributions [N, K], if the set has them.
    """
    tensors = {"images_best": source.images, "labels_best": source.labels, "pixels": source.pixels}
    if source.soft_labels is not None:
        tensors["soft_labels"] = source.soft_labels
    for name, tensor in tensors.items():
        buffer = io.BytesIO()
        plain = tensor.detach().cpu().flatten().clone().view(tensor.shape)  # equal sets have equal strides and bytes
        torch.save(plain, buffer)
        write_durably(path / f"{name}.pt", buffer.getvalue())
    write_json(path / CARD, card.to_dict())


def read(path: Path) -> Distilled:
    """Read the folder back; ``RunError`` when a file is missing or damaged."""
    with readable(path):
        card = Card.from_dict(read_json(path / CARD))
        images, labels, pixels = (_load(path / f"{name}.pt") for name in ("images_best", "labels_best", "pixels"))
        soft = path / "soft_labels.pt"
        return Distilled(images, pixels, labels, _load(soft) if soft.exists() else None, card)


def _load(path: Path) -> Tensor:
    content = read_torch(path)
    if not isinstance(content, Tensor):
        raise ValueError(f"{path.name} holds a {type(content).__name__} where a tensor is expected")
    return content
