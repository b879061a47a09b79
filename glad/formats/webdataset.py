"""A WebDataset: one tar of ``00000.png``, ``00000.cls`` and ``00000.json``."""

import io
import json
import tarfile
from pathlib import Path

import torch

from glad.formats import png
from glad.formats.distilled import Card, Distilled, from_stored, to_stored
from glad.formats.files import readable
from glad.runs.storage import write_durably

CARD = "GLAD.dataset"  # in the tar's global header, since readers would take a file of its own for a sample


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write an image, its label and ``{"class": name}`` for each sample, with ``soft_label`` if the set has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={CARD: card.to_json()}) as tar:
        for i, (image, label) in enumerate(zip(to_stored(source, card), source.labels.tolist(), strict=True)):
            soft = {} if source.soft_labels is None else {"soft_label": source.soft_labels[i].tolist()}
            about = json.dumps({"class": card.classes[label], **soft}, allow_nan=False)
            for suffix, content in (("png", png.encode(image)), ("cls", b"%d" % label), ("json", about.encode())):
                member = tarfile.TarInfo(f"{i:05d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    write_durably(path, buffer.getvalue())


def has_card(path: Path) -> bool:
    """Whether ``write`` wrote the file; ``RunError`` when it is damaged."""
    with readable(path), tarfile.open(path, "r:") as tar:
        return CARD in tar.pax_headers


def read(path: Path) -> Distilled:
    """Read the tar back; ``RunError`` when it is damaged or has no card."""
    with readable(path), tarfile.open(path, "r:") as tar:
        files = {member.name: _content(tar, member) for member in tar}
        card = Card.from_dict(json.loads(tar.pax_headers[CARD]))
        names = [f"{i:05d}" for i in range(card.images)]
        about = [json.loads(files[f"{name}.json"]) for name in names]
        soft = torch.tensor([entry["soft_label"] for entry in about]) if "soft_label" in about[0] else None
        labels = torch.tensor([int(files[f"{name}.cls"]) for name in names])
        return from_stored(card, [png.decode(files[f"{name}.png"]) for name in names], labels, soft)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    content = b"" if file is None else file.read()
    if len(content) != member.size:
        raise ValueError(f"{member.name} is cut off")
    return content
