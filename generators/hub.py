"""Weights from the Hugging Face Hub or from their official address, and to the Hub.

All that the Hub's client offers holds here: its cache, HF_HUB_OFFLINE, HF_ENDPOINT, HF_TOKEN or `hf auth login`, and
revisions. What comes is checked before anything reads it, and once it is here no network is asked again.
"""

import contextlib
import errno
import json
import re
import socket
import sys
import urllib.parse
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors, utils

from generators import card, catalog, download, official, store, weights
from generators.catalog import CatalogEntry
from generators.license import License, read_license

Notice = Callable[[License], None]
"""Called with the license before anything is downloaded."""

WAIT = 10.0  # seconds for what the Hub says of a repository
_FAILURES = (errors.HTTPError, OSError, ValueError, RuntimeError)  # the first: of whichever HTTP library the client has


def fetch(
    name: str, again: bool = False, advance: download.Advance | None = None, notice: Notice | None = None
) -> Path:
    """The safetensors file of ``name``, a name of the catalog or ``org/repo:file[@revision]``; see ``obtain``."""
    return obtain(name, again, advance, notice).file


def obtain(
    name: str, again: bool = False, advance: download.Advance | None = None, notice: Notice | None = None
) -> store.Record:
    """Download the weights called ``name`` unless they are here, check them, and return their record.

    They come from the Hub, or else from their official address; a pickle is converted, never executed. ``again``
    downloads them anew: they must be what they were the first time. ``advance`` is called with the progress of an
    official download (the Hub's client draws its own), ``notice`` with the license. Raises
    ``generators.store.FetchError`` saying what to do, ``ValueError`` on names that need no download or do not exist.
    """
    entry = catalog.find(name)
    if not entry.needs_download:
        raise ValueError(f"{name} needs no download: {entry.source}")
    if kept := None if again else _find_kept(name):  # before the lock, which a cache that is only read has no place for
        _notify(notice, kept.license)
        return kept
    with store.lock(name):
        if kept := None if again else _find_kept(name):  # by a process that had the lock until now
            return kept
        license = stated_license(entry)
        _notify(notice, license)
        original, source, revision = _obtain_original(entry, again, advance)
        return _accept(entry, original, (source, revision), license)


def _notify(notice: Notice | None, license: License) -> None:
    if notice is not None:
        notice(license)


def _find_kept(name: str) -> store.Record | None:
    """What is known of ``name`` if its file is here; ``generators.store.FetchError`` if it has changed."""
    record = store.read_record(name)
    if record is None or not record.file.exists():
        return None
    store.require_unchanged(record)
    return record


def _obtain_original(entry: CatalogEntry, again: bool, advance: download.Advance | None) -> tuple[Path, str, str]:
    """The file of ``entry`` as it is published, its source, and its commit on the Hub or ""."""
    if entry.hub:
        try:
            return _from_hub(entry.hub, again)
        except store.UnreachableError as error:
            if not entry.url:
                raise
            warnings.warn(f"{error}. Instead {entry.name} is taken from {entry.url}", stacklevel=4)
    if constants.HF_HUB_OFFLINE:
        raise store.FetchError(_offline_message(entry.name))
    url = str(entry.url)
    target = store.path_of(entry.name, ".download" + Path(urllib.parse.urlsplit(url).path).suffix)
    download.download(url, target, advance)
    store.require_weights(target, urllib.parse.urlsplit(url).netloc)
    return target, url, ""


def _from_hub(reference: str, again: bool) -> tuple[Path, str, str]:
    """The file in the Hub's cache, where it is from, and its commit."""
    repo, file, revision = _split(reference)
    try:
        with _bars_on_a_terminal():
            path = Path(huggingface_hub.hf_hub_download(repo, file, revision=revision, force_download=again))
    except _FAILURES as error:
        raise _explain(error, reference, repo) from error
    store.require_weights(path, _host())
    if re.fullmatch("[0-9a-f]{64}", promised := path.resolve().name):  # large files are called by their SHA-256
        store.require_digest(path, promised, "the Hub says")
    folders = path.parts
    commit = folders[folders.index("snapshots", -len(Path(file).parts) - 2) + 1]
    return path, f"{constants.ENDPOINT}/{repo}/blob/{commit}/{file}", commit


def _accept(entry: CatalogEntry, original: Path, place: tuple[str, str], license: License) -> store.Record:
    """Check what came from ``place``, a source and a revision, bring it into its final form, and note it."""
    if expected := store.expected_digest(entry):
        store.require_digest(original, expected, "the catalog says")
    if before := store.read_record(entry.name):
        forget = f"it was the first time (to trust the new one, delete {store.path_of(entry.name, '.json')})"
        store.require_digest(original, before.original, forget)
    came = official.sha256(original)
    source, revision = place
    with download.disk(store.folder()):
        final = _convert(entry, original, source, license)
        record = store.Record(entry.name, str(final), official.sha256(final), came, source, revision, license)
        store.write_record(record)
    return record


def _convert(entry: CatalogEntry, original: Path, source: str, license: License) -> Path:
    """The safetensors file: as it came, or made of a pickle by a reader that executes nothing of it."""
    ours, target = original.parent == store.folder(), store.path_of(entry.name, ".safetensors")
    if original.suffix != ".safetensors":
        found = official.read(original)
        weights.save(target, found.generator, **{"license": license.to_json(), **found.facts, "source": source})
        if ours:  # the Hub's cache keeps its own
            original.unlink()
        return target
    return original.replace(target) if ours else original


def stated_license(entry: CatalogEntry) -> License:
    """The license that the catalog knows, or that the repository's card on the Hub states."""
    if entry.name in catalog.CATALOG or not entry.hub or constants.HF_HUB_OFFLINE:
        return entry.license
    repo, _, revision = _split(entry.hub)
    try:
        data = huggingface_hub.HfApi().model_info(repo, revision=revision, timeout=WAIT).card_data
    except _FAILURES as error:
        raise _explain(error, entry.hub, repo) from error
    stated = getattr(data, "license", None)
    return read_license(str(stated or ""))


def send(upload: card.WeightsUpload, private: bool = False) -> str:
    """Put a file of weights and its card on the Hub; see ``put``."""
    message = f"Add {upload.file.name} (SHA-256 {upload.sha256[:12]})"
    return put(upload.repo, upload.contents(), message, private)


def put(
    repo: str,
    contents: Mapping[str, Path | bytes],
    message: str,
    private: bool = False,
    kind: str = "model",
    owned: Collection[str] = (),
) -> str:
    """Put ``contents``, by their names there, on the Hub as one commit; the commit's address.

    The repository, of ``kind`` ``model`` or ``dataset``, is made if need be. What lies there under a name of ``owned``,
    files or folders, and is not among ``contents`` is deleted by the same commit: nothing earlier mixes with it.
    Raises ``generators.store.FetchError`` in one line when the Hub does not take it.
    """
    require_name(repo)
    api = huggingface_hub.HfApi()
    page = repo if kind == "model" else f"{kind}s/{repo}"
    changes: list[huggingface_hub.CommitOperationAdd | huggingface_hub.CommitOperationDelete] = [
        huggingface_hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
        for name, content in contents.items()
    ]
    try:
        with _bars_on_a_terminal():
            api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
            known = api.repo_info(repo, repo_type=kind, timeout=WAIT)
            if private and getattr(known, "private", None) is False:
                raise store.FetchError(
                    f"{repo} is there and public: nothing was sent; choose another, or make it private"
                )
            left = {file.rfilename for file in getattr(known, "siblings", None) or ()} - contents.keys()
            left = {name for name in left if name.partition("/")[0] in owned}
            changes += [huggingface_hub.CommitOperationDelete(path_in_repo=name) for name in sorted(left)]
            commit = api.create_commit(repo, changes, repo_type=kind, commit_message=message)
    except store.FetchError:
        raise
    except _FAILURES as error:
        raise _explain(error, repo, page) from error
    return str(commit.commit_url)


def require_name(repo: str) -> None:
    """Raise ``generators.store.FetchError`` unless ``repo`` can be the name of a repository, ORG/NAME."""
    try:
        utils.validate_repo_id(repo)
    except errors.HFValidationError as error:
        raise store.FetchError(f"{repo}: {_one_line(error)}") from error
    if "/" not in repo:
        raise store.FetchError(f"{repo}: say whose the repository is: ORG/NAME")


def _split(reference: str) -> tuple[str, str, str | None]:
    match = catalog.REFERENCE.fullmatch(reference)
    assert match is not None
    return match["repo"], match["file"], match["revision"]


@contextlib.contextmanager
def _bars_on_a_terminal() -> Iterator[None]:
    """Keep the client's progress bars out of files and pipes."""
    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def _host() -> str:
    return urllib.parse.urlsplit(constants.ENDPOINT).netloc


def _offline_message(name: str) -> str:
    return (
        f"{name} is not here, and HF_HUB_OFFLINE forbids the network: run `glad weights pull {name}` where there is "
        "a network (and take HF_HOME and GLAD_WEIGHTS_CACHE along)"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _explain(error: BaseException, what: str, repo: str) -> store.FetchError:
    """One line that says what failed and what to do; of a type that tells whether another source may help."""
    chain = list(_causes(error))
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in chain):
        return store.FetchError(_offline_message(what))
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            return store.FetchError(f"{what}: {download.disk_trouble(Path(constants.HF_HUB_CACHE), cause)}")
    if isinstance(error, errors.HFValidationError):
        return store.FetchError(f"{what}: {_one_line(error)}")
    if any(isinstance(cause, errors.FileMetadataError | json.JSONDecodeError) for cause in chain):
        return store.UnreachableError(store.web_page_message(_host()))
    response = next((r for cause in chain if (r := getattr(cause, "response", None)) is not None), None)
    if response is not None:
        return store.UnreachableError(f"{what}: {_explain_status(response, repo, _one_line(error))}")
    return store.UnreachableError(f"{what}: {_explain_silence(chain)}")


def _explain_status(response: object, repo: str, said: str) -> str:
    """What an HTTP status of the Hub means, and what to do; ``said`` is what the client makes of it."""
    status, headers = getattr(response, "status_code", 0), getattr(response, "headers", {})
    page = f"{constants.ENDPOINT}/{repo}"
    missing = {"RepoNotFound": "repository", "RevisionNotFound": "revision", "EntryNotFound": "file"}
    absent = missing.get(headers.get("X-Error-Code", ""), "repository or file")
    login = "log in with `hf auth login` or set HF_TOKEN"
    wait = headers.get("Retry-After")
    meaning = {
        400: f"the Hub does not take it (400): {said}",
        401: f"the Hub asks for a login (401), as it does for a name that does not exist: see {page}, or {login}",
        403: f"your token may not do that (403): accept the conditions on {page}, or {login} to another token",
        404: f"the Hub has no such {absent} (404): look at {page}",
        409: f"someone else changed {page} meanwhile (409): look at it and try again",
        429: f"the Hub limits the rate (429): wait {f'{wait} s' if wait else 'some minutes'} and try again, or {login}",
    }
    return meaning.get(status, f"the Hub answers {status}: try again later")


def _explain_silence(chain: list[BaseException]) -> str:
    """What it means that no answer came, and what to do."""
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return f"the name {_host()} cannot be resolved: is there a network? (HF_ENDPOINT, HTTPS_PROXY)"
    if not any(isinstance(cause, errors.HTTPError | OSError) for cause in chain):
        return _one_line(chain[-1])
    if any("Timeout" in type(cause).__name__ for cause in chain):
        seconds = constants.HF_HUB_DOWNLOAD_TIMEOUT
        return f"{_host()} did not answer within {seconds} s: try again, or raise HF_HUB_DOWNLOAD_TIMEOUT"
    if any("Consistency check" in str(cause) for cause in chain):
        return f"what came from {_host()} is not of the stated size: a proxy's page? Check the network, try again"
    return (
        f"the connection to {_host()} broke off or was refused ({_one_line(chain[-1])}): check the network, try again"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
