"""One safetensors file of exact floats."""

import json
from pathlib import Path

from glad.formats.distilled import Card, Distilled
from glad.formats.files import readable
from glad.runs.storage import read_tensors, write_tensors


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write ``images`` float32 [N, C, H, W] as networks see them, ``pixels`` of them in [0, 1], unclipped, ``labels``.

    ``soft_labels`` are there if the set has them; the metadata hold ``classes``, a line each, and the card as
    ``dataset``.
    """
    tensors = {"images": source.images, "pixels": source.pixels, "labels": source.labels}
    if source.soft_labels is not None:
        tensors["soft_labels"] = source.soft_labels
    write_tensors(path, tensors, classes="\n".join(card.classes), dataset=card.to_json())


def read(path: Path) -> Distilled:
    """Read the file back; ``RunError`` when it is damaged or has no card."""
    with readable(path):
        tensors, metadata = read_tensors(path)
        card = Card.from_dict(json.loads(metadata["dataset"]))
        return Distilled(tensors["images"], tensors["pixels"], tensors["labels"], tensors.get("soft_labels"), card)
