"""What the formats share: one error for every way in which a file can be damaged, and names with parts."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from glad.runs.storage import RunError

DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    SafetensorError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Inside the block everything that a missing, truncated or foreign file can raise becomes a ``RunError``."""
    try:
        yield
    except DAMAGE as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"{path} is damaged, or no distilled set of this version: {reason}") from error
