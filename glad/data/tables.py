"""Files of labels beside images: ``metadata.csv`` and ``.jsonl``, ``labels.csv``, and StyleGAN's ``dataset.json``."""

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glad.data.layout import is_image, split_of
from glad.data.notices import DataError
from glad.data.tree import Tree

NAMES = (
    *("metadata.csv", "metadata.tsv", "metadata.jsonl"),
    *("labels.csv", "labels.tsv", "labels.jsonl", "dataset.json"),
)
"""The files that are read, in any case, where they lie in the folder of a data set or of one of its splits."""
OTHER = (".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".parquet", ".feather")
_FILE = ("file_name", "filename", "file", "image", "path", "image_path", "image_name", "image_id", "img", "id", "name")
LABEL_COLUMNS = ("label", "class", "class_name", "label_name", "category", "target", "class_id", "labels")
_SPLIT = ("split", "subset", "partition")
_PERHAPS_SPLIT = ("set", "usage", "phase", "role", "dataset", "part")  # where a value is a split's name
_HINTS = ("train", "val", "dev", "test")
_FLAG = re.compile(r"is[_ ]?(\w+)")  # is_valid: a split in another form


@dataclass(frozen=True)
class LabelRow:
    """One line: the file as it is called there, its class, and its split where the table names one."""

    file: str
    label: str
    split: str | None = None


def find_table(tree: Tree) -> Path | None:
    """The file of labels in a folder, or None; ``DataError`` where there are two."""
    found = [name for name in tree.files if name.lower() in NAMES]
    if len(found) > 1:
        raise DataError(f"{tree.path} has {' and '.join(found)}: keep the one whose labels count, rename the other")
    return tree.path / found[0] if found else None


def other_tables(tree: Tree) -> list[str]:
    """Names of files in a folder that may hold labels, and are not read."""
    return [name for name in tree.files if name.lower().endswith(OTHER) and name.lower() not in NAMES]


def read_table(path: Path) -> list[LabelRow] | None:
    """The lines of a file of labels; None where it has no labels, such as captions alone.

    Raises ``DataError`` where it cannot be read, or where it is not clear which column has the labels.
    """
    try:
        if path.name.lower() == "dataset.json":
            return _of_json(json.loads(path.read_text(encoding="utf-8-sig")), path)
        if path.suffix.lower() == ".jsonl":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            return _of_records([dict(json.loads(line)) for line in lines if line.strip()], path)
        return _of_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError, LookupError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read ({' '.join(str(error).split())}): mend or remove it") from error


def _of_json(content: Any, path: Path) -> list[LabelRow] | None:
    """StyleGAN's ``{"labels": [[file, number], ...]}``, or what ``glad export`` wrote."""
    if not isinstance(content, Mapping):
        raise TypeError(f"it is a {type(content).__name__}")
    labels = content.get("labels")
    if labels is None:
        return None
    if "files" in content and "classes" in content:
        classes, levels = content["classes"], content.get("levels") or {}
        if (levels.get("low", 0), levels.get("high", 1)) != (0, 1):
            raise DataError(
                f"{path.parent} holds pixels from {levels['low']} to {levels['high']}: export the set as npz"
            )
        return [LabelRow(str(f), str(classes[c])) for f, c in zip(content["files"], labels, strict=True)]
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return [LabelRow(str(file), _one(label, path)) for file, label in pairs]


def _of_csv(path: Path) -> list[LabelRow] | None:
    text = path.read_text(encoding="utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(row)]
    if rows and len(rows[0]) == 2 and is_image(rows[0][0]):  # no line of titles
        rows.insert(0, ["file", "label"])
    titles = [title.strip() for title in rows[0]] if rows else []
    if bad := [i for i, row in enumerate(rows) if len(row) != len(titles)]:
        raise DataError(f"{path} has {len(rows[bad[0]])} columns in line {bad[0] + 1}, {len(titles)} in the first")
    return _of_records([dict(zip(titles, row, strict=True)) for row in rows[1:]], path)


def _of_records(records: list[dict[str, Any]], path: Path) -> list[LabelRow] | None:
    if not records:
        raise DataError(f"{path} has no lines: fill or remove it")
    titles = {title.casefold(): title for title in records[0]}
    files = [titles[name] for name in _FILE if name in titles]
    labels = [titles[name] for name in LABEL_COLUMNS if name in titles]
    if not labels and len(titles) == 2 and files and path.stem.lower() == "labels":
        labels = [title for title in titles.values() if title != files[0]]
    if not labels and path.stem.lower() == "metadata":
        return None
    if not files or not labels or (len(labels) > 1 and labels[0].casefold() != "label"):
        raise DataError(
            f"{path} has the columns {', '.join(titles.values())}: call the one with the files file_name and the one "
            "with the classes label"
        )
    split = _split_column(records, {name: title for name, title in titles.items() if title not in files + labels}, path)
    return [
        LabelRow(
            str(record[files[0]]), _one(record[labels[0]], path), None if split is None else _split(record[split], path)
        )
        for record in records
    ]


def _split_column(records: list[dict[str, Any]], titles: Mapping[str, str], path: Path) -> str | None:
    """The column that names splits, by its name or its values; ``DataError`` where it is of another form."""
    if named := [titles[name] for name in _SPLIT if name in titles]:
        return named[0]
    for name, title in titles.items():
        values = {str(record[title]).strip() for record in records}
        alike = all(any(word in value.casefold() for word in _HINTS) for value in values)
        if any(split_of(value) for value in values) and (name in _PERHAPS_SPLIT or alike):
            return title
        if (flag := _FLAG.fullmatch(name)) and split_of(flag[1]):
            raise DataError(
                f"{path} has the column {title}: name splits in a column split, as train, validation and test"
            )
    return None


def _one(label: Any, path: Path) -> str:
    """A label as the name of a class; ``DataError`` where there are several, or none."""
    if isinstance(label, bool) or not isinstance(label, int | str) or label == "":
        raise DataError(f"{path} has the label {label!r}: give each image one class, a name or a whole number")
    return str(label)


def _split(value: Any, path: Path) -> str:
    split = split_of(str(value))
    if split is None:
        raise DataError(f"{path} has the split {value!r}: call splits train, validation and test")
    return split


def resolve(rows: Iterable[LabelRow], tree: Tree) -> tuple[dict[Path, LabelRow], list[str]]:
    """The file of each row, and the names of rows that have none, or several.

    A row names a file by its path from the folder, or by the end of it, with or without suffix, where no other file
    has it. Raises ``DataError`` where two rows give one file two classes.
    """
    exact = {image.relative_to(tree.path).as_posix(): image for image in tree.all_images}
    loose: dict[str, list[Path]] = {}
    for name, image in exact.items():
        for key in {name[: -len(image.suffix)], image.name, image.stem}:
            loose.setdefault(key, []).append(image)
    found: dict[Path, LabelRow] = {}
    missing = []
    for row in rows:
        name = re.sub(r"^(\./)+", "", row.file.strip().replace("\\", "/"))
        parts = name.split("/")
        ends = ["/".join(parts[i:]) for i in range(len(parts))]  # tables of other machines begin with their folders
        candidates = next(
            ([exact[end]] if end in exact else loose[end] for end in ends if end in exact or end in loose), []
        )
        if len(candidates) != 1:
            missing.append(row.file + (f" ({len(candidates)} files of that name)" if candidates else ""))
        elif found.setdefault(candidates[0], row).label != row.label:
            labels = f"{found[candidates[0]].label!r} and {row.label!r}"
            raise DataError(f"{tree.path}: {row.file} has the labels {labels}: give each image one class")
    return found, missing
