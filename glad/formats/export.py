"""Writing a distilled set in one of ``glad.formats``: whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from glad.formats import FORMATS
from glad.formats.distilled import Card, Distilled
from glad.formats.load import kind_of
from glad.runs.storage import RunError


def export(source: Distilled, kind: str, out: Path, force: bool = False) -> Card:
    """Write ``source`` as ``kind`` to ``out`` and return the card that went along; its ``cost`` is that of this step.

    Raises ``RunError`` when ``out`` exists, unless it is an earlier export and ``force`` is on, and when it cannot be
    written; then nothing is left of it, and what was there before is kept.
    """
    if kind not in FORMATS:
        raise ValueError(f"unknown format {kind!r}: one of {', '.join(FORMATS)}")
    if out.exists() and not force:
        raise RunError(f"{out} exists already: choose another place with --out, replace it with --force, or remove it")
    if out.exists() and _kind_or_none(out) not in FORMATS:
        raise RunError(f"{out} is not an exported set, and --force replaces nothing else: choose another place")
    card = replace(FORMATS[kind].card(source), format=kind)
    with _placed(out) as temporary:
        FORMATS[kind].write(source, card, temporary)
    return card


def format_for(out: Path | None) -> str:
    """The format that the suffix of ``out`` names, or ``folder``."""
    suffix = "" if out is None else out.suffix
    return next((kind for kind, known in FORMATS.items() if known.suffix == suffix), "folder")


def _kind_or_none(path: Path) -> str | None:
    try:
        return kind_of(path)
    except RunError:
        return None  # as good as foreign


@contextmanager
def _placed(target: Path) -> Iterator[Path]:
    """A temporary name beside ``target``, whose file or folder gets that name when the block has ended well.

    A folder cannot be renamed over another: killed between the two renames, the old one is left as ``.NAME.PID.old``.
    """
    temporary, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    try:
        yield temporary
        if target.is_dir() or (target.exists() and temporary.is_dir()):  # a folder does not replace, nor is replaced
            target.rename(old)
        try:
            temporary.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        _remove(old)
    except (RunError, OSError) as error:
        what = f"{target}: cannot be written: {error}" if isinstance(error, OSError) else str(error)
        raise RunError(what.replace(str(temporary), str(target))) from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
