"""Where the weights behind a prior come from, as a run records it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generators.license import License, license_of

OWN_FILE = "a file of one's own"
_OLD_FILE = "the file "  # began the source of such weights before there was a field for their path


@dataclass(frozen=True)
class Weights:
    """The weights behind a prior.

    Attributes:
        name: As ``--prior`` takes it.
        source: Where they come from, for people: an address, or a sentence.
        sha256: Of their file, or of their tensors where there is no file.
        license: What their owners allow.
        file: The absolute path of a file that no catalog knows; empty for others.
        bytes: The size of their file; 0 where there is none.
    """

    name: str
    source: str
    sha256: str
    license: License
    file: str = ""
    bytes: int = field(default=0, compare=False)

    def fields(self) -> dict[str, Any]:
        """What ``weights`` of a run's ``inputs.json`` holds."""
        stated = {"name": self.name, "source": self.source, "sha256": self.sha256, "license": self.license.fields()}
        return {**stated, "file": self.file} if self.file else stated

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Weights":
        """Undo ``fields``; older records state the license in words and the file's path in the source."""
        source, file = str(fields.get("source", "not recorded")), str(fields.get("file", ""))
        if "licence" in fields and source.startswith(_OLD_FILE):
            source, file = OWN_FILE, source.removeprefix(_OLD_FILE)
        name, sha256 = (str(fields.get(key, "")) for key in ("name", "sha256"))
        return cls(name, source, sha256, license_of(fields), file)
