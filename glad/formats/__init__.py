"""The forms in which a distilled set is handed on. A new one is a file with ``write`` and ``read`` and a line below.

A form of one's own is a ``Format`` registered by ``register_format``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from glad.formats import codes, folder, npz, parquet, tensors, torch_pair, webdataset
from glad.formats.distilled import Card, Distilled, as_levels
from glad.formats.storage import QuantizationLoss, eight_bits, sixteen_bits
from glad.registry import Registry

__all__ = ["FORMATS", "Format", "list_formats", "register_format"]


def _eight(source: Distilled) -> Card:
    return as_levels(source, eight_bits(source.pixels))


def _sixteen_bit_card(source: Distilled) -> Card:
    return as_levels(source, sixteen_bits(source.pixels))


def _floats(source: Distilled) -> Card:
    return replace(source.card, levels=None, cost=QuantizationLoss())


def _rendered_card(source: Distilled) -> Card:
    zca = "none" if source.card.zca == "none" else "inverted"  # a generator's own images are not whitened
    return replace(source.card, levels=None, cost=QuantizationLoss(), zca=zca)


@dataclass(frozen=True)
class Format:
    """One form of a set.

    Attributes:
        card: Makes the card of a set in this form: what was lost, and how numbers are stored.
        write: Writes a set with its card to a path.
        read: Reads it again.
        name: The file or folder inside a run.
        help: A line of help.
        magic: Where a file says what it is, and how: an offset in the first 512 bytes and the bytes there. None for
            folders, whose card names their format, and for safetensors, whose metadata do.
        has_card: Whether a file with that magic has a card, so that another program did not write it; raises
            ``RunError`` where it is damaged.
    """

    card: Callable[[Distilled], Card]
    write: Callable[[Distilled, Card, Path], None]
    read: Callable[..., Distilled]
    name: str
    help: str
    magic: tuple[int, bytes] | None = None
    has_card: Callable[[Path], bool] = lambda path: True

    @property
    def suffix(self) -> str:
        """That of the file; empty for a folder."""
        return Path(self.name).suffix


FORMATS: Registry[Format] = Registry(
    "format",
    {
        "folder": Format(_eight, folder.write, folder.read, "export", "PNGs by class"),
        "folder16": Format(
            _sixteen_bit_card, folder.write, folder.read, "export16", "the same with 16 bits, nothing clipped"
        ),
        "npz": Format(_eight, npz.write, npz.read, "export.npz", "uint8, for --data", (0, b"PK\3\4"), npz.has_card),
        "safetensors": Format(_floats, tensors.write, tensors.read, "export.safetensors", "exact floats"),
        "parquet": Format(
            _eight,
            parquet.write,
            parquet.read,
            "export.parquet",
            "for Hugging Face datasets and pandas",
            (0, b"PAR1"),
            parquet.has_card,
        ),
        "webdataset": Format(
            _eight, webdataset.write, webdataset.read, "export.tar", "a tar", (257, b"ustar"), webdataset.has_card
        ),
        "torch": Format(
            _floats, torch_pair.write, torch_pair.read, "export-torch", "images_best.pt and labels_best.pt, normalized"
        ),
        "codes": Format(_rendered_card, codes.write, codes.read, "codes.safetensors", "latents alone, for glad render"),
    },
)
"""Formats by name."""


def register_format(name: str) -> Callable[[Format], Format]:
    """Make a ``Format`` known as ``name``.

    Args:
        name: What ``glad.export(format=...)`` is to take.

    Returns:
        A function that registers a ``Format`` and returns it.

    Raises:
        ValueError: Another format has that name.

    Examples:
        >>> from dataclasses import replace
        >>> from glad.formats import FORMATS
        >>> mine = glad.register_format("zip")(replace(FORMATS["npz"], name="export.zip", help="npz as a zip"))
        >>> "zip" in glad.list_formats()
        True
    """
    return FORMATS.registering(name)


def list_formats(pattern: str = "*") -> list[str]:
    """List the formats known by name.

    Args:
        pattern: Names to keep, such as ``folder*``.

    Returns:
        The names in alphabetical order.

    Examples:
        >>> glad.list_formats("folder*")
        ['folder', 'folder16']
    """
    return FORMATS.names(pattern)
