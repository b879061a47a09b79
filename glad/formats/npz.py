"""An npz of uint8 images: what ``glad distill --data`` reads, and what needs numpy alone."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch

from glad.formats.distilled import Card, Distilled, from_stored, to_stored
from glad.formats.files import readable
from glad.runs.storage import write_durably


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write ``images`` uint8 [N, H, W, C], ``labels`` int64 [N], ``classes``, ``mean`` and ``std`` float32 [C].

    ``soft_labels`` [N, K] and ``step_size`` are there if the set has them; ``dataset`` is the card as JSON.
    """
    arrays = {
        "images": to_stored(source, card),
        "labels": source.labels.numpy(),
        "classes": np.array(card.classes),
        "mean": np.array(card.mean, dtype=np.float32),
        "std": np.array(card.std, dtype=np.float32),
        "dataset": np.array(card.to_json()),
    }
    if source.soft_labels is not None:
        arrays["soft_labels"] = source.soft_labels.numpy()
    if card.step_size is not None:
        arrays["step_size"] = np.array(card.step_size)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_durably(path, buffer.getvalue())


def has_card(path: Path) -> bool:
    """Whether ``write`` wrote the file; ``RunError`` when it is damaged."""
    with readable(path), zipfile.ZipFile(path) as archive:
        return "dataset.npy" in archive.namelist()


def read(path: Path) -> Distilled:
    """Read the file back; ``RunError`` when it is damaged or has no card."""
    with readable(path), path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
        card = Card.from_dict(json.loads(str(arrays["dataset"])))
        soft = torch.from_numpy(arrays["soft_labels"]) if "soft_labels" in arrays else None
        return from_stored(card, list(arrays["images"]), torch.from_numpy(arrays["labels"]), soft)
