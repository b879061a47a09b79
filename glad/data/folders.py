"""Folders of images: their splits, their classes, and what in them is not used."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glad.data.layout import PICTURES, SPLITS, in_order, own_numbers, resolve_splits, split_of
from glad.data.notices import DataError, shorten
from glad.data.raw import Raw, make_part
from glad.data.split_folders import find_splits, join
from glad.data.tables import LabelRow, find_table, other_tables, read_table, resolve
from glad.data.tree import Tree

SHARD = re.compile(r"\d{5}")  # folders of StyleGAN's data sets


@dataclass(frozen=True)
class Listing:
    """The files of one split with the class of each, all its classes, and where they are from."""

    files: Sequence[Path]
    names: Sequence[str]
    classes: Collection[str]
    origin: str


def read_folder(path: Path, least: int = 2) -> Raw:
    """Read a folder as its names and its tables of labels say.

    ``DataError`` where it is not clear what they mean, or where there are fewer than ``least`` classes.
    """
    tree = Tree(path)
    listings, notices = _by_table(tree)
    if not listings:
        listings, said = _by_folder(tree)
        notices += said
    classes = in_order(listings["train"].classes)
    _check(tree, listings, classes, least)
    parts = {
        split: make_part(listing.files, listing.names, classes, listing.origin)
        for split, listing in ((split, listings[split]) for split in SPLITS if split in listings)
    }
    ids, numbering = own_numbers(classes)
    notices += _unread(tree)
    return Raw(path.resolve().name, classes, parts, ids, numbering, notices=tuple(notices))


def _by_table(tree: Tree) -> tuple[dict[str, Listing], list[str]]:
    """What the table of labels in the folder lists, by split; nothing where there is none that has labels."""
    table = find_table(tree)
    rows = None if table is None else read_table(table)
    if table is None:
        return {}, []
    if rows is None:
        if tree.folders and all(SHARD.fullmatch(name) for name in tree.folders):
            raise DataError(f"{table} has no labels, and {join(tree.folders)} are shards: add the labels of each image")
        return {}, [f"{table} has no labels: classes are the folders"]
    found, missing = resolve(rows, tree)
    if missing and not found and tree.filled:
        return {}, [f"{table} is not used: none of its {len(missing)} files is here; classes are the folders"]
    listing, notices = _listing(tree, table, found, missing)
    split = {file: row.split or _split_folder(file, tree) for file, row in found.items()}
    names = {split: same for same, given in resolve_splits(set(split.values())).items() for split in given}
    if "train" not in names.values():
        raise DataError(f"{table} lists no training images: name the split train, or leave the column out")
    listings = {}
    for same in sorted(set(names.values())):
        chosen = [i for i, file in enumerate(listing.files) if names[split[file]] == same]
        files, labels = [listing.files[i] for i in chosen], [listing.names[i] for i in chosen]
        origin = f"{table.name}, {same}" if len(set(names.values())) > 1 else table.name
        listings[same] = Listing(files, labels, set(labels), origin)
    return listings, notices


def _split_folder(file: Path, tree: Tree) -> str:
    """The name of the split that ``file`` lies in, as its uppermost folder says."""
    first = file.relative_to(tree.path).parts[0]
    return first if split_of(first) and file.parent != tree.path else "train"


def _listing(
    tree: Tree, table: Path, found: Mapping[Path, LabelRow], missing: Sequence[str]
) -> tuple[Listing, list[str]]:
    """What a table lists, all of which must be there, and how many images it does not list."""
    if missing:
        raise DataError(f"{table} lists {len(missing)} files that are not here, such as {missing[0]}: mend the table")
    names = [row.label for row in found.values()]
    unlisted = len(tree.all_images) - len(found)
    notices = [f"{unlisted} images in {tree.path} are not in {table.name}: not used"] * bool(unlisted)
    return Listing(list(found), names, set(names), table.name), notices


def _by_folder(tree: Tree) -> tuple[dict[str, Listing], list[str]]:
    """What the class folders list, by split."""
    folders, notices = find_splits(tree)
    listings = {}
    for split, name in (folders or {"train": "."}).items():
        inside = tree if name == "." else tree.folders[name]
        beside = set(folders.values()) if name == "." else set()
        table = None if name == "." else find_table(inside)
        rows = None if table is None else read_table(table)
        if table is not None and rows is not None:
            listings[split], said = _listing(inside, table, *resolve(rows, inside))
        else:
            listings[split], said = _class_folders(inside, beside)
        listings[split] = replace(listings[split], origin="class folders" if name == "." else f"{name}/")
        notices += said
    return listings, notices


def _class_folders(tree: Tree, beside: Collection[str]) -> tuple[Listing, list[str]]:
    """The files of the class folders, all but those ``beside`` them."""
    classes = {name: inner.all_images for name, inner in tree.folders.items() if name not in beside}
    files = [file for images in classes.values() for file in images]
    names = [name for name, images in classes.items() for _ in images]
    notices = [f"{len(tree.images)} images in {tree.path} itself belong to no class: not used"] * bool(tree.images)
    nested = {name: list(tree.folders[name].filled) for name in classes}
    if deeper := sorted({folder for inner in nested.values() for folder in inner}):
        above = join([name for name, inner in nested.items() if inner], 3)
        notices.append(
            f"{tree.path}: images in deeper folders ({join(deeper, 3)}) are of the classes above them, {above}"
        )
    return Listing(files, names, list(classes), ""), notices if classes else []


def _check(tree: Tree, listings: dict[str, Listing], classes: Sequence[str], least: int) -> None:
    """``DataError`` where there are fewer than ``least`` classes, or where a split has others."""
    tables = other_tables(tree)
    aside = f" ({shorten(tables)} beside the images: only metadata.csv, metadata.jsonl, labels.csv and StyleGAN's "
    aside = aside + "dataset.json are read)" if tables else ""
    if not classes:
        raise DataError(f"{tree.path} has no class folders{aside}: lay the images out as CLASS/image.png")
    if len(classes) < least:
        inner = tree.folders.get(classes[0])
        deeper = list(inner.filled) if inner else []
        fix = f"give {tree.path / classes[0]}, which holds {join(deeper)}" if deeper else "give at least two"
        raise DataError(f"{tree.path} has one class, {classes[0]!r}{aside}: {fix}")
    for listing in listings.values():
        if extra := sorted(set(listing.classes) - set(classes)):
            where = tree.path / listing.origin
            same = next((name for name in classes if name.casefold() == extra[0].casefold()), None)
            fix = "remove it" if same is None else f"call it {same!r}, as there"
            raise DataError(f"class {extra[0]!r} is in {where} but not among the training classes: {fix}")


def _unread(tree: Tree) -> list[str]:
    """How many pictures of kinds that are not read, and which tables of labels, lie there."""
    kinds = Counter(file.suffix.lower() for file in tree.all_files() if file.suffix.lower() in PICTURES)
    counted = shorten((f"{count} {kind}" for kind, count in kinds.most_common()), 6)
    tables = other_tables(tree)
    return [f"{tree.path}: not read: {counted} (convert them to PNG or JPEG)"] * bool(kinds) + [
        f"{tree.path}: not read: {shorten(tables)}"
    ] * bool(tables)
