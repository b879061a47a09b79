"""The files of generators: those that come with the package, what cannot be used, and hashes. Torch is not needed."""

import hashlib
from collections.abc import Callable
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
EMBEDDED = {
    name: ASSETS / f"{name}.safetensors"
    for name in ("fashion-mini", "digits-mini", "clothing-mini", "clothing-mini-64")
}
"""Weights that come with the package, by name."""
BLOCK = 2**22  # bytes that are hashed at a time


class WeightsError(ValueError):
    """A file of weights that cannot be used, with its path and the reason."""


def sha256(path: str | Path, progress: Callable[[int], object] = lambda count: None) -> str:
    """The SHA-256 of a file, read a block at a time; ``progress`` as in ``read``. ``OSError`` if it is missing."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()
