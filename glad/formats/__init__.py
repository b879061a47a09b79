"""The forms in which a distilled set is handed on. A new one is a file with ``write`` and ``read`` and a line below."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from glad.formats import codes, folder, npz, parquet, tensors, webdataset
from glad.formats.distilled import Card, Distilled, as_levels
from glad.formats.storage import Cost, eight_bits, sixteen_bits


def _eight(source: Distilled) -> Card:
    return as_levels(source, eight_bits(source.pixels))


def _sixteen(source: Distilled) -> Card:
    return as_levels(source, sixteen_bits(source.pixels))


def _floats(source: Distilled) -> Card:
    return replace(source.card, levels=None, cost=Cost())


def _rendered(source: Distilled) -> Card:
    zca = "none" if source.card.zca == "none" else "inverted"  # a generator's own images are not whitened
    return replace(source.card, levels=None, cost=Cost(), zca=zca)


@dataclass(frozen=True)
class Format:
    """How to describe, write and read one form of a set, what it is called inside a run, and a line of help."""

    card: Callable[[Distilled], Card]
    write: Callable[[Distilled, Card, Path], None]
    read: Callable[..., Distilled]
    name: str
    help: str

    @property
    def suffix(self) -> str:
        """That of the file; empty for a folder."""
        return Path(self.name).suffix


FORMATS: dict[str, Format] = {
    "folder": Format(_eight, folder.write, folder.read, "export", "PNGs by class"),
    "folder16": Format(_sixteen, folder.write, folder.read, "export16", "the same with 16 bits, nothing clipped"),
    "npz": Format(_eight, npz.write, npz.read, "export.npz", "uint8, for --data"),
    "safetensors": Format(_floats, tensors.write, tensors.read, "export.safetensors", "exact floats"),
    "parquet": Format(_eight, parquet.write, parquet.read, "export.parquet", "for Hugging Face datasets and pandas"),
    "webdataset": Format(_eight, webdataset.write, webdataset.read, "export.tar", "a tar"),
    "codes": Format(_rendered, codes.write, codes.read, "codes.safetensors", "latents alone, for glad render"),
}
