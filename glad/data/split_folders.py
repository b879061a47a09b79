"""Which folders of a data set are its splits, and which are classes: by name and content, never by name alone."""

from collections.abc import Collection

from glad.data.layout import has_split_word, resolve_splits, split_of
from glad.data.notices import DataError, shorten
from glad.data.tables import find_table, other_tables
from glad.data.tree import Tree


def find_splits(tree: Tree) -> tuple[dict[str, str], list[str]]:
    """The folder of each split in ``tree``, and what to say of it; no folders where ``tree`` holds classes.

    A split is a folder with a split's name that holds class folders, or a table of labels. ``.`` stands for the folder
    itself, whose class folders are the training images where a test folder lies beside them. Raises ``DataError``
    where two readings are possible.
    """
    empty = [name for name in tree.folders if split_of(name) and name not in tree.filled]
    named = resolve_splits(tree.filled)
    splits = {split: [name for name in names if _is_split(tree.folders[name])] for split, names in named.items()}
    for split, names in splits.items():
        if len(names) > 1:
            raise DataError(f"{tree.path} has {join(names)}, which all mean {split}: keep one, or merge them")
    found = {split: names[0] for split, names in splits.items() if names}
    flat = [name for names in named.values() for name in names if name not in found.values()]
    others = [name for name in tree.filled if name not in flat and name not in found.values()]
    unused = [f"{join(empty)} in {tree.path}: no images that are read, not used"] * bool(empty)
    if not found:
        return {}, _say_of_classes(tree, flat, others) + unused
    if "train" not in found:
        return {"train": ".", **found}, _say_beside_classes(tree, found, others + flat) + unused
    if others and len(found) == 1:
        train = tree.path / found["train"]
        raise DataError(
            f"{train} holds class folders and {join(others)} beside it images: call {join(others)} val or test where "
            f"that is what it holds, else give {train} alone"
        )
    unused += [f"{join(others)} in {tree.path}: no training, validation or test images, not used"] * bool(others)
    return found, unused + [f"{join(flat)} in {tree.path}: images without labels, not used"] * bool(flat)


def _is_split(tree: Tree) -> bool:
    """Whether the folder holds classes: a table of labels, or folders of images alone."""
    return find_table(tree) is not None or len(tree.filled) > bool(tree.images)


def _say_of_classes(tree: Tree, flat: Collection[str], others: Collection[str]) -> list[str]:
    """What to say of class folders; ``DataError`` where they look like something else."""
    if flat and not others:
        tables = other_tables(tree)
        raise DataError(
            f"{tree.path} has {join(flat)} with images but without class folders: lay them out as "
            f"{next(iter(flat))}/CLASS/image.png, or put a metadata.csv with file_name and label beside the images"
            + (f" (not read: {shorten(tables)})" if tables else "")
        )
    nested = {name: list(tree.folders[name].filled) for name in others if not tree.folders[name].images}
    suspects = [name for name in nested if has_split_word(name)]
    if len(suspects) > 1 or (suspects and len(suspects) == len(others)):
        raise DataError(f"{tree.path} has {join(suspects)}, which look like splits: call them train, val and test")
    for name, inner in nested.items():
        if len(others) == 1 and any(split_of(folder) for folder in inner):
            raise DataError(f"{tree.path} holds {name}/ alone: give {tree.path / name}, which holds {join(inner)}")
        if all(split_of(folder) for folder in inner):
            raise DataError(
                f"{tree.path / name} holds {join(inner)}: lay splits out as {inner[0]}/{name}, not {name}/{inner[0]}"
            )
    shared = set.intersection(*(set(inner) for inner in nested.values())) if len(nested) > 1 else set()
    if len(shared) > 1:
        raise DataError(
            f"{tree.path} has {join(nested)}, each with {join(sorted(shared))}: if they are splits, call them train, "
            "val and test; if they are classes, put the images of each into its own folder"
        )
    return [f"{join(flat)} in {tree.path}: taken as classes, for they hold no class folders"] * bool(flat)


def _say_beside_classes(tree: Tree, found: dict[str, str], classes: Collection[str]) -> list[str]:
    """That class folders are the training images, with the folders ``found`` beside them as the other splits."""
    for name in found.values():
        unknown = sorted(set(tree.folders[name].folders) - set(classes))
        if unknown or not classes:
            where = f" (class {unknown[0]!r} of {name}/ is not beside it)" if classes else ""
            raise DataError(f"{tree.path} has {join(found.values())} but no training images{where}: add train/")
    return [f"training images are the class folders beside {join(found.values())} in {tree.path}"]


def join(names: Collection[str], count: int = 5) -> str:
    """Folders as text."""
    return shorten((f"{name}/" for name in names), count)
