"""All that there is to say of a data set before anything is made of it: what is there, what is wrong, what is done."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from glad.data.balance import say_of_balance
from glad.data.dataset import Splits
from glad.data.layout import SPLITS
from glad.data.notices import DataError
from glad.data.pixels import Header, ImageFile, read_header, read_pixels
from glad.data.raw import Part, Raw, take
from glad.data.readers import read
from glad.data.splits import split_parts
from glad.data.survey import say_of_pixels, settle

SCHEMA = 1
"""Of the dict that :meth:`Inspection.fields` gives; it grows when a key changes its meaning or goes."""
LISTED = 20  # files or pairs that are named


@dataclass(frozen=True)
class Duplicates:
    """How many images are there more than once.

    Attributes:
        within: Images of a split that repeat an earlier one of it.
        in_training: Validation and test images that are training images too.
        contradictory: Images that are there under several classes.
        examples: Pairs of files, or of positions in arrays, that are identical.
    """

    within: dict[str, int]
    in_training: dict[str, int]
    contradictory: int
    examples: list[tuple[str, str]]


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect_data` finds.

    Attributes:
        source: The data set as it was named.
        name: What it is called in notices.
        classes: Its classes in the order of their labels.
        counts: For each split the number of images of each class.
        origins: Where each split is from.
        sizes: Width and height of images as seen, with their number, the most frequent first.
        modes: Kinds of pixels in Pillow's words, with their number.
        channels: Of the images as they are used; 0 where that is not known.
        resolution: Their side; 0 where that is not known.
        unreadable: What is wrong with each file that cannot be read.
        duplicates: Images that are there more than once; None where that was not found out.
        steps: What is done with images before they are used.
        notices: What the owner of the data may not expect.
        problems: Why the data cannot be used as it is; empty where it can.
        raw: The parts, for pictures of them; None where the source cannot be read.
    """

    source: str
    name: str = ""
    classes: tuple[str, ...] = ()
    counts: dict[str, list[int]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    sizes: list[tuple[tuple[int, int], int]] = field(default_factory=list)
    modes: dict[str, int] = field(default_factory=dict)
    channels: int = 0
    resolution: int = 0
    unreadable: list[str] = field(default_factory=list)
    duplicates: Duplicates | None = None
    steps: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    raw: Raw | None = None

    def fields(self) -> dict[str, Any]:
        """The findings as plain values, for JSON."""
        values = {key: value for key, value in vars(self).items() if key != "raw"}
        return {
            "schema": SCHEMA,
            **values,
            "usable": not self.problems,
            "counts": {split: dict(zip(self.classes, n, strict=True)) for split, n in self.counts.items()},
            "sizes": [{"width": w, "height": h, "images": n} for (w, h), n in self.sizes],
            "duplicates": None if self.duplicates is None else vars(self.duplicates),
        }


def inspect_data(
    source: str,
    *,
    root: str | Path = "data",
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    resolution: int | None = None,
    validation: float = 0.1,
    seed: int = 0,
    download: bool = False,
) -> Inspection:
    """Look at a data set: every file is decoded, nothing is kept. Arguments are those of ``glad.load_data``.

    Returns:
        What was found; nothing is raised for data that cannot be used, ``problems`` says why.
    """
    try:
        raw = read(source, Path(root).expanduser(), download)
    except DataError as error:
        return Inspection(source, problems=[str(error)])
    problems: list[str] = []
    try:
        raw = split_parts(raw, classes, limit, validation, seed)
    except DataError as error:
        problems.append(str(error))
    return _inspect(source, raw, problems, resolution)


def _inspect(source: str, raw: Raw, problems: list[str], resolution: int | None) -> Inspection:
    """What is found in the parts of ``raw``."""
    scans = {split: _scan(raw.parts[split]) for split in SPLITS if split in raw.parts}
    images = {split: len(part) for split, part in scans.items()}
    every = [scan for part in scans.values() for scan in part]
    headers = {scan.path: scan.header for scan in every if scan.path and scan.header}
    unreadable = [scan.error for scan in every if scan.error]
    sizes = Counter(scan.size for scan in every if scan.size)
    problems += [f"{len(unreadable)} of {len(every)} files cannot be read"] * bool(unreadable)
    readable, notices, channels, side = _readable(raw, scans), list(raw.notices), 0, 0
    try:
        if sizes:
            channels, side = settle(readable, headers, resolution)
            notices += say_of_pixels(raw.name, headers)
    except DataError as error:
        problems.append(str(error))
    duplicates = _duplicates(raw, scans)
    notices += _say_of_duplicates(raw.name, duplicates, images)
    notices += say_of_balance(raw.name, raw.parts["train"].labels, raw.classes)
    return Inspection(
        source=source,
        name=raw.name,
        classes=raw.classes,
        counts={s: raw.parts[s].labels.bincount(minlength=len(raw.classes)).tolist() for s in scans},
        origins={split: raw.parts[split].origin for split in scans},
        sizes=sizes.most_common(),
        modes=dict(Counter(header.mode for header in headers.values()).most_common()),
        channels=channels,
        resolution=side,
        unreadable=unreadable,
        duplicates=duplicates,
        steps=_steps(sizes, channels, side),
        notices=notices,
        problems=problems,
        raw=readable,
    )


@dataclass(frozen=True)
class _Scan:
    """One image: a hash of its pixels, its size as seen, and of a file its header, or what is wrong with it."""

    identity: bytes
    size: tuple[int, int] | None
    path: ImageFile | None = None
    header: Header | None = None
    error: str = ""


def _scan(part: Part) -> list[_Scan]:
    if isinstance(part.images, Tensor):
        size = (part.images.shape[3], part.images.shape[2])
        return [_Scan(_hash(image), size) for image in part.images]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_scan_file, part.images))


def _scan_file(path: ImageFile) -> _Scan:
    try:
        header = read_header(path)
        return _Scan(_hash(read_pixels(path, 1 if header.gray else 3)), header.size, path, header)
    except DataError as error:
        return _Scan(b"", None, path, error=str(error))


def _hash(image: Tensor) -> bytes:
    return hashlib.blake2b(repr(image.shape).encode() + image.numpy().tobytes(), digest_size=16).digest()


def _readable(raw: Raw, scans: dict[str, list[_Scan]]) -> Raw:
    """The parts without the files that cannot be read."""
    parts = {}
    for split, part in raw.parts.items():
        kept = Tensor([i for i, scan in enumerate(scans[split]) if not scan.error]).long()
        parts[split] = Part(take(part.images, kept), part.labels[kept], part.origin)
    return Raw(raw.name, raw.classes, parts, raw.class_ids, raw.numbering, raw.flip, raw.channels, raw.notices)


def _duplicates(raw: Raw, scans: dict[str, list[_Scan]]) -> Duplicates:
    first: dict[bytes, tuple[str, int]] = {}
    labels: dict[bytes, set[int]] = {}
    within, in_training = Counter[str](), Counter[str]()
    examples: list[tuple[str, str]] = []
    for split, part in scans.items():
        seen: set[bytes] = set()
        for i, scan in enumerate(part):
            if scan.error:
                continue
            within[split] += scan.identity in seen
            seen.add(scan.identity)
            labels.setdefault(scan.identity, set()).add(int(raw.parts[split].labels[i]))
            known = first.setdefault(scan.identity, (split, i))
            in_training[split] += split != "train" and known[0] == "train"
            if known != (split, i) and len(examples) < LISTED:
                examples.append((_name_of(raw, scans, *known), _name_of(raw, scans, split, i)))
    contradictory = sum(len(found) > 1 for found in labels.values())
    return Duplicates(dict(within), {s: n for s, n in in_training.items() if s != "train"}, contradictory, examples)


def _name_of(raw: Raw, scans: dict[str, list[_Scan]], split: str, i: int) -> str:
    path = scans[split][i].path
    return str(path) if path else f"{raw.parts[split].origin or split}, image {i}"


def _say_of_duplicates(name: str, found: Duplicates, images: dict[str, int]) -> list[str]:
    leaks = [f"{count} of {images[split]} {split} images" for split, count in found.in_training.items() if count]
    repeated = [f"{count} {split} images" for split, count in found.within.items() if count]
    return [
        *[f"{name}: {' and '.join(leaks)} are identical to training images"] * bool(leaks),
        *[f"{name}: {' and '.join(repeated)} repeat another of their split"] * bool(repeated),
        *[f"{name}: {found.contradictory} images are there under several classes"] * bool(found.contradictory),
    ]


def _steps(sizes: Counter[tuple[int, int]], channels: int, side: int) -> list[str]:
    """What happens to pixels; nothing where the side is not known."""
    if not side:
        return []
    steps = [f"read as {'gray' if channels == 1 else 'RGB'}"]
    if set(sizes) == {(side, side)}:
        return [*steps, f"kept at {side}x{side}"]
    larger = sum(n for size, n in sizes.items() if min(size) < side)
    cut = max(1 - min(size) / max(size) for size in sizes)
    enlarged = f", which enlarges {larger} of {sizes.total()}" if larger else ""
    steps.append(f"the shorter side is scaled to {side}{enlarged}")
    return [*steps, f"the middle square is kept, which cuts off up to {cut:.0%} of an image"] if cut else steps


def describe(splits: Splits) -> str:
    """What was loaded, in a line: classes, size, and the number and origin of each split's images."""
    train = splits.train
    parts = [
        f"{name} {len(getattr(splits, name)):,}" + (f" ({origin})" if (origin := splits.origins.get(name)) else "")
        for name in SPLITS
    ]
    kind = "gray" if train.channels == 1 else "RGB"
    return (
        f"{train.name}: {len(train.classes)} classes, {kind} {train.resolution}x{train.resolution}; {', '.join(parts)}"
    )
