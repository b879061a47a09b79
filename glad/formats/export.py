"""Writing a distilled set in one of ``glad.formats``: whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from glad.data.dataset import Splits
from glad.formats import FORMATS
from glad.formats.distilled import Card, Distilled
from glad.formats.load import RUN, kind_of, load_distilled
from glad.runs.disk import reason_of, sweep
from glad.runs.folder import Run
from glad.runs.storage import RunError


@dataclass(frozen=True)
class Exported:
    """Where a set was written, and the card that went along; ``card.cost`` is what the form lost."""

    path: Path
    card: Card


def export(
    source: str | Path | Run | Distilled,
    format: str | None = None,
    out: str | Path | None = None,
    *,
    force: bool = False,
    data: Splits | None = None,
) -> Exported:
    """Write a distilled set as files that need no glad, whole or not at all.

    Args:
        source: A finished run (its folder or the object), an earlier export, or a set in memory.
        format: ``folder`` (PNG of 8 bits by class), ``folder16`` (16 bits), ``npz`` (uint8 [N, H, W, C]),
            ``safetensors`` (exact float32 [N, C, H, W]), ``parquet``, ``webdataset``, ``torch`` (normalized
            ``images_best.pt`` and ``labels_best.pt``) or ``codes`` (the latents alone). By default the format that the
            suffix of ``out`` names, else ``folder``.
        out: File or folder to write; by default a name inside the run.
        force: Replace an earlier export at ``out``.
        data: The splits, for a run that was distilled from an object instead of a name.

    Returns:
        The path, and the card with classes, normalization, range of the pixels and what the form lost.

    Raises:
        ValueError: For an unknown format, or no ``out`` where ``source`` is no run.
        RunError: Where there is no finished set, ``out`` exists and is not to be replaced, or it cannot be written.
            What was there before is kept, and nothing is left of what was begun.

    Examples:
        >>> exported = glad.export("runs/tiny", "npz", "distilled.npz")
        >>> exported.card.images, exported.card.resolution
        (10, 28)
    """
    path = Path(source) if isinstance(source, str) else source.path if isinstance(source, Run) else source
    place = None if out is None else Path(out)
    kind = format or format_for(place)
    FORMATS.require(kind)
    if place is None:
        if isinstance(path, Distilled) or kind_of(path) != RUN:
            raise ValueError("say where to write: out=PATH (only the export of a run has a place of its own)")
        place = path / FORMATS[kind].name
    distilled = path if isinstance(path, Distilled) else load_distilled(path, data=data)
    return Exported(place, _write(distilled, kind, place, force))


def render(
    codes: str | Path,
    out: str | Path,
    format: str | None = None,
    *,
    prior: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> Exported:
    """Make the images of codes that were exported alone, the same pixels as the run's, and write them.

    Args:
        codes: What ``glad.export(run, "codes")`` wrote.
        out: File or folder to write.
        format: One of ``glad.export``; by default the format that the suffix of ``out`` names, else ``folder``.
        prior: The generator's file, where the codes name neither an embedded one nor one of the catalog.
        device: Where the generator renders: ``auto``, ``cpu`` or ``cuda``.
        force: Replace an earlier export at ``out``.

    Returns:
        The path and the card of what was written.

    Raises:
        RunError: Where ``codes`` holds no codes, the generator is not the one that made them, or ``out`` cannot be
            written.
        ValueError: For an unknown format.

    Examples:
        >>> codes = glad.export("runs/tiny", "codes", "codes.safetensors")
        >>> glad.render("codes.safetensors", "images").card.format
        'folder'
    """
    if (found := kind_of(Path(codes))) != "codes":
        raise RunError(f"{codes} holds no codes (it is a set of the format {found}): nothing is left to render")
    return export(load_distilled(codes, prior=prior, device=device), format, out, force=force)


def _write(source: Distilled, kind: str, out: Path, force: bool) -> Card:
    """Write ``source`` as ``kind``; the card's ``cost`` is that of this step."""
    if out.exists() and not force:
        raise RunError(f"{out} exists already: choose another place with --out, replace it with --force, or remove it")
    if out.exists() and _kind_or_none(out) not in FORMATS:
        raise RunError(f"{out} is not an exported set, and --force replaces nothing else: choose another place")
    card = replace(FORMATS[kind].card(source), format=kind)
    with _place(out) as temporary:
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
def _place(target: Path) -> Iterator[Path]:
    """A temporary name beside ``target``, whose file or folder gets that name when the block has ended well.

    A folder cannot be renamed over another: killed between the two renames, the old one is left as ``.NAME.PID.old``.
    """
    temporary, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    try:
        sweep(target.parent, target.name)
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
        what = f"{target}: cannot be written: {reason_of(error, target)}" if isinstance(error, OSError) else str(error)
        raise RunError(what.replace(str(temporary), str(target))) from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
