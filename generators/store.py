"""Where downloaded weights lie, what was noted when they came, and whether they still are what they were.

Beside each file lies a record with the SHA-256 of the first download. It is compared at every later use, so what was
trusted once cannot change unseen.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from generators import catalog
from generators.files import EMBEDDED, WeightsError, sha256
from generators.license import License, license_of


class FetchError(WeightsError):
    """Weights that could not be brought here or must not be used: what, why, and what to do."""


class UnreachableError(FetchError):
    """Weights that one source does not give; another source may."""


@dataclass(frozen=True)
class Record:
    """What is known of a file of weights that came from elsewhere.

    ``sha256`` is that of ``path``, ``original`` that of what was downloaded (another file where it was converted),
    ``revision`` the commit on the Hub or empty.
    """

    name: str
    path: str
    sha256: str
    original: str
    source: str
    revision: str
    license: License

    @property
    def file(self) -> Path:
        """The safetensors file."""
        return Path(self.path)


def folder() -> Path:
    """``$GLAD_WEIGHTS_CACHE``, or ``glad/weights`` under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if chosen := os.environ.get("GLAD_WEIGHTS_CACHE"):
        return Path(chosen).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser().absolute() / "glad" / "weights"


def path_of(name: str, suffix: str) -> Path:
    """The file in ``folder`` for what is called ``name``; different names have different files."""
    plain = re.sub(r"[^\w.-]+", "--", name)
    if plain != name:  # two references may differ in what was replaced
        plain += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return folder() / f"{plain}{suffix}"


def expected_digest(entry: catalog.CatalogEntry) -> str | None:
    """The hash that an entry's file must have: the published one, or that of the file that comes with the package."""
    return sha256(EMBEDDED[entry.name]) if entry.name in EMBEDDED else entry.sha256


def read_record(name: str) -> Record | None:
    """The record of ``name``, if it was ever downloaded; ``FetchError`` when the record is damaged."""
    path = path_of(name, ".json")
    return _parse(path) if path.exists() else None


def records() -> list[Record]:
    """Every record in the cache; ``FetchError`` when one is damaged."""
    return [_parse(path) for path in sorted(folder().glob("*.json"))]


def _parse(path: Path) -> Record:
    try:
        content = json.loads(path.read_text())
        known = {key: value for key, value in content.items() if key != "licence"}  # of older versions
        return Record(**{**known, "license": license_of(content)})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise FetchError(f"{path}: not a record of downloaded weights ({error}); delete it and pull again") from error


def write_record(record: Record) -> None:
    """Note ``record``, in one step."""
    path = path_of(record.name, ".json")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n")
    temporary.replace(path)


def require_unchanged(record: Record) -> None:
    """Raise ``FetchError`` unless the file is byte for byte what was noted."""
    if (found := sha256(record.file)) != record.sha256:
        raise FetchError(
            f"{record.file} has changed since it was brought here and is not used (SHA-256 {record.sha256[:12]} then, "
            f"{found[:12]} now): `glad weights pull {record.name} --again` brings it anew"
        )


def require_weights(path: Path, host: str) -> None:
    """Raise ``UnreachableError``, and delete the file, when it is a web page."""
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        discard(path)
        raise UnreachableError(web_page_message(host))


def web_page_message(host: str) -> str:
    """What to say of a web page in place of a file."""
    return (
        f"{host} gave a web page in place of the weights, as a proxy or a login page in between does: nothing of it is "
        "kept; check the network (HTTPS_PROXY, HF_ENDPOINT) and pull again"
    )


def require_digest(path: Path, expected: str, by: str) -> None:
    """Raise ``FetchError``, and delete the file, when its SHA-256 is not the ``expected`` one, known ``by``."""
    if (found := sha256(path)) != expected:
        discard(path)
        raise FetchError(
            f"the file that came has SHA-256 {found}, not {expected} as {by}: it is not used and has been deleted"
        )


def discard(path: Path) -> None:
    """Delete a file of a cache, and what it links to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock of ``name``: processes that want the same file bring it once."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        lock = path_of(name, ".lock").open("w")
    except OSError as error:
        raise FetchError(
            f"{folder()} cannot be written to ({error.strerror}): set GLAD_WEIGHTS_CACHE to a folder that can"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel gives it back when its holder ends in whatever way
        yield
