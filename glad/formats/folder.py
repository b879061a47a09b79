"""An ImageFolder of PNGs, with 8 or 16 bits: ``NN_CLASS/00000.png`` and ``dataset.json`` beside the classes."""

import json
import re
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from glad.data import layout
from glad.formats import png
from glad.formats.distilled import Card, Distilled, from_stored, to_stored
from glad.formats.files import readable
from glad.runs.storage import write_durably, write_json

SIDECAR = "dataset.json"
_SIGN = "[-._ 0-9]"
_WORDS = "|".join(word for words in layout.WORDS.values() for word in words)
_SPLIT_WORD = re.compile(rf"(?:(?<={_SIGN})|^)(?=(?:{_WORDS})(?:{_SIGN}|$))", re.IGNORECASE)


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write PNGs in folders whose sorted names are the labels.

    ``dataset.json`` holds the card, and the path, label and, if the set has them, soft label of each image.
    """
    labels, width = source.labels.tolist(), len(str(len(card.classes) - 1))
    folders = [class_folder(f"{label:0{width}d}_{name}") for label, name in enumerate(card.classes)]
    names = [f"{folders[label]}/{i:05d}.png" for i, label in enumerate(labels)]
    for name, image in zip(names, to_stored(source, card), strict=True):
        write_durably(path / name, png.encode(image))
    soft = None if source.soft_labels is None else source.soft_labels.tolist()
    write_json(path / SIDECAR, {**card.to_dict(), "files": names, "labels": labels, "soft_labels": soft})


def class_folder(name: str) -> str:
    """A name as a folder can have it, in which Hugging Face's ``datasets`` does not see a split.

    A word such as ``train`` that stands alone between ``-._``, spaces or digits would be one: a ``~`` before it is no
    such sign.
    """
    return _SPLIT_WORD.sub("~", "".join(c if c.isalnum() or c in "-_." else "_" for c in name))


def read(path: Path) -> Distilled:
    """Read the folder back; ``RunError`` when a file is missing or damaged."""
    with readable(path):
        content = json.loads((path / SIDECAR).read_text(encoding="utf-8"))
        card, tensor = Card.from_dict(content), partial(torch.tensor, dtype=torch.float32)
        stored = [png.decode((path / name).read_bytes()) for name in content["files"]]
        soft: Tensor | None = None if content["soft_labels"] is None else tensor(content["soft_labels"])
        return from_stored(card, stored, torch.tensor(content["labels"]), soft)
