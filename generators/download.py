"""One file over plain https: continued where it broke off, tried again where that may help, never taken for another."""

import email.utils
import errno
import http.client
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from generators import store

Advance = Callable[[int, int], None]
"""Called with how many bytes are there, and of how many (0: not known)."""

TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # in a row without a new byte
LONGEST_WAIT = 300.0  # seconds that a server may ask for
CHUNK = 1 << 20


class _TryAgainError(Exception):
    """What broke off, and the seconds that the server asked to wait (or None)."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def download(url: str, target: Path, advance: Advance | None = None) -> None:
    """Bring the file at ``url`` to ``target``.

    What came before a break lies beside it as ``.part`` and is continued, by this call or a later one, if the server's
    file is still the same. Raises ``generators.store.UnreachableError`` when the server does not give it, and
    ``generators.store.FetchError`` when the disk does not take it.
    """
    part = Partial(target)
    host = urllib.parse.urlsplit(url).netloc
    failed = 0
    while True:
        before = part.size
        try:
            _attempt(url, host, part, advance)
            part.file.replace(target)
            part.tag.unlink(missing_ok=True)
            return
        except _TryAgainError as error:
            failed = 1 if part.size > before else failed + 1
            if failed == ATTEMPTS:
                raise store.UnreachableError(
                    f"{url}: {error}, {ATTEMPTS} times in a row; what came is kept, and the same command continues it"
                ) from error
            time.sleep(2.0 ** (failed - 1) if error.wait is None else error.wait)


class Partial:
    """What came of a file so far, and the tag by which the server tells whether its file is still the same."""

    def __init__(self, target: Path) -> None:
        self.file = target.with_name(target.name + ".part")
        self.tag = target.with_name(target.name + ".tag")

    @property
    def size(self) -> int:
        """Bytes that can be continued: none without a tag."""
        return self.file.stat().st_size if self.file.exists() and self.tag.exists() else 0

    def headers(self) -> dict[str, str]:
        """What asks for the rest, or for all if the file is another one by now."""
        if not self.size:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.tag.read_text()}

    def begin(self, tag: str | None) -> None:
        """Start from nothing, with the server's strong ``tag`` if it has one."""
        self.file.write_bytes(b"")
        self.tag.unlink(missing_ok=True)
        if tag and not tag.startswith("W/"):
            self.tag.write_text(tag)


def _attempt(url: str, host: str, part: Partial, advance: Advance | None) -> None:
    """Ask once and write what comes; ``_TryAgainError`` where asking again may help."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "glad", **part.headers()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            _require_honest(url, host, response)
            _receive(response, part, advance)
    except urllib.error.HTTPError as error:
        with error:
            _raise_for_status(url, error, part)
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror):
            raise store.UnreachableError(f"the name {host} cannot be resolved: is there a network? ({url})") from error
        raise _TryAgainError(f"no connection ({_short(error.reason)})") from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _TryAgainError(f"the connection broke off ({_short(error)})") from error


def _require_honest(url: str, host: str, response: http.client.HTTPResponse) -> None:
    if "html" in response.headers.get("Content-Type", ""):
        raise store.UnreachableError(store.web_page_message(host))
    if url.startswith("https:") and not response.geturl().startswith("https:"):
        raise store.UnreachableError(f"{url} leads to {response.geturl()}, which is not encrypted: it is not followed")


def _receive(response: http.client.HTTPResponse, part: Partial, advance: Advance | None) -> None:
    """Append the body of ``response``, after what is there if it is the rest of that."""
    start = part.size
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        start = 0
        with disk(part.file.parent):
            part.begin(response.headers.get("ETag"))
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        part.tag.unlink(missing_ok=True)
        raise _TryAgainError(f"another part than asked for came ({response.headers.get('Content-Range')})")
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else 0
    with disk(part.file.parent), part.file.open("ab") as file:
        done = _copy(response, file, start, total, advance)
    if total and done != total:
        raise _TryAgainError(f"the connection broke off after {done:,} of {total:,} bytes")


def _copy(response: http.client.HTTPResponse, file: BinaryIO, done: int, total: int, advance: Advance | None) -> int:
    """Write what comes; the bytes that are there then."""
    if advance is not None:
        advance(done, total)
    while chunk := _read(response):
        file.write(chunk)
        done += len(chunk)
        if advance is not None:
            advance(done, total)
    return done


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes; a network's errors, which are OSErrors too, are told from a disk's here."""
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(f"the connection broke off ({_short(error)})") from error


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``generators.store.FetchError`` that names ``folder``."""
    try:
        yield
    except OSError as error:
        raise store.FetchError(disk_trouble(folder, error)) from error


def disk_trouble(folder: Path, error: OSError) -> str:
    """What to say when ``folder`` does not take a file."""
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(folder).free if folder.exists() else 0
        return f"the disk of {folder} is full ({free / 1e6:,.0f} MB free): make room, or set GLAD_WEIGHTS_CACHE"
    return f"{folder} cannot be written to ({error.strerror or error})"


def _raise_for_status(url: str, error: urllib.error.HTTPError, part: Partial) -> None:
    """Raise what an HTTP status calls for."""
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.tag.unlink(missing_ok=True)
        raise _TryAgainError("the server's file is another one by now") from error
    if error.code in (408, 429, 500, 502, 503, 504):
        wait = _retry_after(error.headers.get("Retry-After"))
        if wait is not None and wait > LONGEST_WAIT:
            raise store.UnreachableError(
                f"{url}: {error.code}, and asks to wait {wait:,.0f} s: pull again later"
            ) from error
        raise _TryAgainError(f"the server answers {error.code} {error.reason}", wait) from error
    meaning = {401: "it asks for a login", 403: "access is refused", 404: "there is no such file (any more)"}
    raise store.UnreachableError(f"{url}: {error.code}, {meaning.get(error.code, error.reason)}") from error


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds them or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None


def _short(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
