"""Libraries compiled at first use, kept for the next process: one folder per plan, filled once."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TextIO

from cuda_ops._build import BuildPlan, build
from cuda_ops._progress import BuildProgress
from cuda_ops._toolchain import BuildError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]


def folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where compiled libraries are looked for, and put where that is possible, in this order.

    ``$GLAD_OPS_CACHE`` alone if it is set; otherwise ``$XDG_CACHE_HOME/glad/ops`` or ``~/.cache/glad/ops``, and for
    a home that cannot be written to, a folder of this user under the one for temporary files.
    """
    if chosen := environ.get("GLAD_OPS_CACHE"):
        return [Path(chosen).absolute()]
    home = environ.get("XDG_CACHE_HOME") or (environ["HOME"] + "/.cache" if environ.get("HOME") else None)
    user = os.getuid() if hasattr(os, "getuid") else "user"
    temporary = Path(environ.get("TMPDIR") or tempfile.gettempdir()) / f"glad-ops-{user}"
    return [Path(home).absolute() / "glad" / "ops", temporary] if home else [temporary]


def digest(library: Path) -> str:
    """Hash of a library's bytes."""
    return hashlib.sha256(library.read_bytes()).hexdigest()


def obtain(
    plan: BuildPlan,
    progress: BuildProgress,
    environ: Mapping[str, str] = os.environ,
    rejected: str | None = None,
) -> Path:
    """The library of ``plan``: the one kept, or built now and kept, with its ``progress`` shown.

    Processes that ask at the same time build once, and all show how far it is. ``rejected`` is the digest of a library
    that did not load: it is replaced. Raises ``BuildError`` with the compiler's cause, or if no folder can be written
    to.
    """
    for folder in folders(environ):
        if library := _find_kept(folder / plan.key / plan.library, rejected):
            return library
    entry = _writable(plan.key, environ)

    def done() -> int:
        return sum(1 for _ in entry.glob("build-*/*.o"))

    with _hold_lock(entry / "lock", lambda: progress.waiting(done, len(plan.objects))) as alone:
        if library := _find_kept(entry / plan.library, rejected):
            return library
        if alone:  # what a killed process left behind
            for leftover in entry.glob("build-*"):
                shutil.rmtree(leftover, ignore_errors=True)
        build_folder = tempfile.TemporaryDirectory(dir=entry, prefix="build-")
        with build_folder as work, progress.compiling(done, len(plan.objects)):
            built = build(plan, Path(work), entry / "log.txt", environ)
            record = built.with_name("digest")
            record.write_text(digest(built))
            # A reader between the two lines finds a digest that does not fit, and waits for the lock.
            built.replace(entry / plan.library)
            record.replace(_record(entry / plan.library))
    return entry / plan.library


def _record(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _find_kept(library: Path, rejected: str | None) -> Path | None:
    """``library`` if it is there, whole, and not the rejected one.

    Its bytes are compared before it is loaded, because loading a truncated library can kill the process.
    """
    try:
        _require_ours(library.parents[1])
        found = digest(library)
        whole = found.encode() == _record(library).read_bytes()
    except OSError:
        return None
    return library if whole and found != rejected else None


def _writable(key: str, environ: Mapping[str, str]) -> Path:
    """The folder of one plan, made in the first place that can be written to."""
    causes = []
    for folder in folders(environ):
        entry = folder / key
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_ours(folder)
            entry.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=entry):
                return entry
        except OSError as error:
            causes.append(f"{folder} ({error.strerror or error})")
    raise BuildError(
        f"no folder for compiled libraries: {'; '.join(causes)}", "set GLAD_OPS_CACHE to a writable folder"
    )


def _require_ours(folder: Path) -> None:
    """``PermissionError`` if somebody else can have put ``folder``, or what is in it, there for us to load."""
    if hasattr(os, "getuid") and folder.parent.stat().st_mode & stat.S_IWOTH:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise PermissionError("it is not a folder that this user alone can write to")


@contextmanager
def _hold_lock(path: Path, waiting: Callable[[], AbstractContextManager[None]]) -> Iterator[bool]:
    """Hold the lock ``path``; False where the file system has none. ``waiting`` is entered while another holds it.

    The kernel gives the lock back when its holder ends in whatever way. Without locks, processes may build the same
    library twice; each puts a whole one in place.
    """
    with path.open("w") as file:
        try:
            if fcntl is None:
                raise OSError("no locks on this system")
            _lock(file, waiting)
        except OSError:
            yield False
        else:
            yield True


def _lock(file: TextIO, waiting: Callable[[], AbstractContextManager[None]]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with waiting():
            fcntl.flock(file, fcntl.LOCK_EX)
