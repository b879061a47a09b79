"""Image files inside other files: tables of Parquet, tars of WebDataset, and data sets of the Hugging Face Hub."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from glad.data.layout import SPLITS, in_order, is_hidden, is_image, own_numbers, resolve_splits
from glad.data.notices import DataError, shorten
from glad.data.pixels import EncodedImage
from glad.data.raw import Part, Raw
from glad.data.tables import LABEL_COLUMNS

HUB = "hf://"
LABEL_FILES = ("label", "class", "cls")
"""Keys of a sample's JSON that hold its class."""


def hub_address(path: Path) -> str | None:
    """The address ``hf://org/name`` that a path was made of, which has one slash there; None for any other path."""
    return f"{HUB}{'/'.join(path.parts[1:])}" if path.parts[:1] == ("hf:",) else None


@dataclass(frozen=True)
class Rows:
    """Images of one split with the label of each, numbers or names, and the classes' names where the file has them."""

    images: Sequence[EncodedImage | Path]
    labels: Sequence[int | str]
    names: Sequence[str] | None
    origin: str = ""


def read_parquet(path: Path, least: int = 2) -> Raw:
    """Read a table with a column of image files and one of labels, as Hugging Face's ``datasets`` writes it."""
    arrow = _pyarrow(str(path))
    try:
        table = arrow.parquet.read_table(path)
        features = (
            json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        )
    except (arrow.ArrowException, OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged, or no Parquet ({' '.join(str(error).split())[:120]}): write it anew"
        ) from error
    names = {k: v["names"] for k, v in features.items() if isinstance(v, Mapping) and v.get("_type") == "ClassLabel"}
    return _assemble(path.stem, str(path), {"train": _of_table(table, names, str(path))}, least, [])


def read_hub(source: str, least: int = 2) -> Raw:
    """Read ``hf://org/name`` by ``datasets``, with the splits that it has."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{source} needs the package datasets: pip install 'glad-distill[hub]'") from error
    name = source.removeprefix(HUB).strip("/")
    try:
        found = datasets.load_dataset(name)
    except Exception as error:  # of the network, of the Hub, of files: datasets has no common one
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{source} cannot be loaded by datasets ({reason}): check its name, and the login") from error
    splits = resolve_splits(found)
    unused = [key for key in found if not any(key in keys for keys in splits.values())]
    if doubled := [keys for keys in splits.values() if len(keys) > 1]:
        raise DataError(
            f"{source} has the splits {' and '.join(doubled[0])}, which mean the same: save one as a folder"
        )
    rows = {}
    for split, (key,) in splits.items():
        part = found[key]
        names = {
            column: list(kind.names) for column, kind in part.features.items() if isinstance(kind, datasets.ClassLabel)
        }
        rows[split] = _of_table(part.with_format("arrow")[:], names, f"{source}, {key}")
    return _assemble(
        name.replace("/", "-"), source, rows, least, [f"{source}: not used: {shorten(unused)}"] * bool(unused)
    )


def _pyarrow(where: str) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{where} needs pyarrow: pip install 'glad-distill[export]'") from error
    return pyarrow


def _of_table(table: Any, names: Mapping[str, Sequence[str]], where: str) -> Rows:
    """The images and labels in the columns of a table of arrow; ``DataError`` where it is not clear which they are."""
    kinds = {field.name: str(field.type) for field in table.schema}
    images = [name for name, kind in kinds.items() if "bytes: binary" in kind or kind in ("binary", "large_binary")]
    labels = [name for name in kinds if name.casefold() in LABEL_COLUMNS] or list(names)
    labels = ["label"] if "label" in labels else labels
    if len(images) != 1 or len(labels) != 1:
        listed = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise DataError(
            f"{where} has the columns {listed}: one with image files (bytes) and one called label are needed, "
            f"found {len(images)} and {len(labels)}"
        )
    files = [_file_of(cell, f"{where}, row {i}") for i, cell in enumerate(table.column(images[0]).to_pylist())]
    values = table.column(labels[0]).to_pylist()
    if wrong := [value for value in values if isinstance(value, bool) or not isinstance(value, int | str)]:
        raise DataError(f"{where} has the label {wrong[0]!r}: give each image one class, a name or a whole number")
    return Rows(files, values, names.get(labels[0]), f"{images[0]}, {labels[0]}")


def _file_of(cell: Any, where: str) -> EncodedImage | Path:
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if content is not None:
        return EncodedImage(content, where)
    if path is None or not Path(path).is_file():
        raise DataError(f"{where} has no image: store its bytes in the table")
    return Path(path)


def read_tar(path: Path, least: int = 2) -> Raw:
    """Read a WebDataset: ``NAME.png`` with ``NAME.cls`` or ``NAME.json`` for each image."""
    samples: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                folder, _, file = member.name.rpartition("/")
                if member.isfile() and not is_hidden(file):
                    stem, _, suffix = file.partition(".")
                    content = tar.extractfile(member)
                    samples.setdefault(f"{folder}/{stem}", {})[suffix.lower()] = (
                        b"" if content is None else content.read()
                    )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path} is damaged, or no tar ({error}): write it anew") from error
    images, labels, names, without = [], [], [], []
    for key, files in samples.items():
        found = [suffix for suffix in files if is_image(f".{suffix}")]
        if len(found) > 1:
            raise DataError(f"{path}, {key.lstrip('/')} has {' and '.join(found)}: keep one image per sample")
        if not found:
            without += [f"{key.lstrip('/')}.{suffix}" for suffix in files if "cls" in files and suffix != "cls"]
            continue
        images.append(EncodedImage(files[found[0]], f"{path}, {key.lstrip('/')}"))
        label, name = _label_of(files, f"{path}, {key.lstrip('/')}")
        labels.append(label)
        names.append(name)
    if not images:
        raise DataError(f"{path} holds no images ({shorten(samples) or 'nothing'}): NAME.png with NAME.cls is read")
    notices = [f"{path}: not read as images: {shorten(without)}"] * bool(without)
    pairs = {(label, name) for label, name in zip(labels, names, strict=True)}
    one_to_one = all(name is not None for name in names) and len(pairs) == len(set(labels)) == len(set(names))
    if not one_to_one:
        return _assemble(path.stem, str(path), {"train": Rows(images, labels, None, "its images")}, least, notices)
    order = [str(name) for _, name in sorted(pairs)]
    rows = Rows(images, [order.index(str(name)) for name in names], order, "its images")
    return _assemble(path.stem, str(path), {"train": rows}, least, notices)


def _label_of(files: Mapping[str, bytes], where: str) -> tuple[int | str, str | None]:
    """The label of a sample, and the name of its class where both are there."""
    try:
        about = json.loads(files["json"]) if "json" in files else {}
    except ValueError as error:
        raise DataError(f"{where}: its .json cannot be read ({error})") from error
    known = [about[key] for key in LABEL_FILES if isinstance(about, dict) and isinstance(about.get(key), int | str)]
    if "cls" in files:
        text = files["cls"].decode("utf-8", "replace").strip()
        name = next((value for value in known if isinstance(value, str)), None)
        return (int(text) if text.isdecimal() else text), name
    if not known:
        raise DataError(f"{where} has no label: unpack a tar of class folders; else put a .cls beside each image")
    return known[0], None


def _assemble(name: str, where: str, rows: dict[str, Rows], least: int, notices: Sequence[str]) -> Raw:
    """The parts with labels of one numbering."""
    if "train" not in rows:
        raise DataError(f"{where} has no training images (splits: {', '.join(rows) or 'none'}): name one train")
    listed = rows["train"].names
    every = [label for part in rows.values() for label in part.labels]
    if not every:
        raise DataError(f"{where} has no images")
    numbers = all(isinstance(label, int) for label in every)
    if numbers and min(label for label in every if isinstance(label, int)) < 0:
        raise DataError(f"{where} has labels below 0: leave images without a label out")
    if listed is not None and numbers:
        classes = tuple(listed)
    elif numbers:
        classes = tuple(map(str, range(max(int(label) for label in every) + 1)))
    else:
        classes = in_order({str(label) for label in every})
    if len(set(classes)) < least:
        raise DataError(f"{where} has one class: give at least two")
    position = {label: i for i, label in enumerate(range(len(classes)) if numbers else classes)}
    parts = {}
    for split in (split for split in SPLITS if split in rows):
        part = rows[split]
        labels = [position.get(label if numbers else str(label), -1) for label in part.labels]
        if -1 in labels:
            raise DataError(f"{where} has labels outside its {len(classes)} classes")
        parts[split] = Part(tuple(part.images), torch.tensor(labels, dtype=torch.int64), part.origin)
    named = listed is not None or not numbers
    ids, numbering = own_numbers(classes)
    return Raw(name, classes, parts, ids, numbering, notices=tuple(notices), named=named)
