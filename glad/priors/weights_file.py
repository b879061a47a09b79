"""Files of weights by name: where they lie on this machine, where they are from, and what their license allows."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from generators import catalog
from generators.files import EMBEDDED, WeightsError, sha256
from generators.license import NOT_RECORDED, License, license_of, read_license
from generators.provenance import OWN_FILE, Weights


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights on this machine.

    Attributes:
        name: As it was asked for.
        path: The file.
        source: Where it is from, for people.
        license: What its owners allow; None for a file of one's own, whose metadata may state one.
    """

    name: str
    path: Path
    source: str
    license: License | None

    def describe(self, metadata: Mapping[str, str]) -> Weights:
        """Its provenance; ``metadata`` are those of the file.

        A license of a file of one's own that forbids commercial use or does not state it is a warning.
        """
        digest, size = sha256(self.path), self.path.stat().st_size
        if self.license is not None:
            return Weights(self.name, self.source, digest, self.license, bytes=size)
        license = _read_license(self.name, metadata)
        return Weights(self.name, self.source, digest, license, str(self.path.absolute()), size)

    def load_into(self, parts: Mapping[str, nn.Module], device: torch.device) -> dict[str, str]:
        """Freeze ``parts`` with the file's tensors, whose names begin with their keys; the file's metadata.

        ``WeightsError`` where the file cannot be read, or its tensors are not those of ``parts``.
        """
        try:
            with safe_open(str(self.path), "pt") as file:
                state, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
            for head, part in parts.items():
                part.load_state_dict({k.removeprefix(head): v for k, v in state.items() if k.startswith(head)})
                part.requires_grad_(False).to(device)
        except (SafetensorError, OSError, RuntimeError) as error:
            words = " ".join(str(error).split())[:300]
            raise WeightsError(f"{self.path}: no weights that this prior takes: {words}") from error
        return metadata or {}


def find_weights(name: str) -> WeightsFile:
    """The file called ``name``; it is downloaded if it is not here yet.

    Args:
        name: A name of the catalog, ``org/repo:file[@revision]`` on the Hub, or a file.

    Raises:
        FetchError: It cannot be brought here, or has changed.
    """
    if name in EMBEDDED:
        entry = catalog.find(name)
        return WeightsFile(name, EMBEDDED[name], entry.source, entry.license)
    if catalog.is_known(name) and not Path(name).exists():
        from generators import hub  # loads the Hub's client, which files that are here need not wait for

        record = hub.obtain(name, notice=partial(note_license, name))
        return WeightsFile(name, record.file, record.source, record.license)
    return WeightsFile(name, Path(name), OWN_FILE, None)


def note_license(name: str, license: License) -> None:
    """Warn where commercial use of ``name`` is not plainly allowed."""
    if not license.commercial:
        warnings.warn(f"{name}: {license.in_words()}", stacklevel=2)


def _read_license(name: str, metadata: Mapping[str, str]) -> License:
    """The license in the metadata of a file of one's own; a warning where it does not allow commercial use."""
    try:
        license = license_of(metadata)
    except ValueError as error:
        raise WeightsError(f"{name}: its metadata cannot be read: {error}") from error
    if license == NOT_RECORDED:
        return read_license("")
    note_license(name, license)
    return license
