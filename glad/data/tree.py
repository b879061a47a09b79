"""A folder as it lies on the disk, walked once, without what is hidden or a system's."""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from glad.data.layout import is_hidden, is_image

LINKS = 2  # levels at which links to folders are followed: those of splits and of classes


class Tree:
    """The files and folders below ``path``."""

    def __init__(self, path: Path, level: int = 0) -> None:
        self.path = path
        self.folders: dict[str, Tree] = {}
        self.files: list[str] = []
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if is_hidden(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=level < LINKS):
                    self.folders[entry.name] = Tree(path / entry.name, level + 1)
                elif not entry.is_dir():
                    self.files.append(entry.name)

    @cached_property
    def images(self) -> list[Path]:
        """The image files in the folder itself, in order."""
        return [self.path / name for name in self.files if is_image(name)]

    @cached_property
    def all_images(self) -> list[Path]:
        """The image files in and below the folder, in order."""
        return [path for path in self.all_files() if is_image(path.name)]

    @cached_property
    def filled(self) -> dict[str, "Tree"]:
        """The folders with an image file in or below them."""
        return {name: tree for name, tree in self.folders.items() if tree.images or tree.filled}

    def all_files(self) -> Iterator[Path]:
        """The files in and below the folder, in the order of their paths."""
        for name in sorted([*self.files, *self.folders]):
            if name in self.folders:
                yield from self.folders[name].all_files()
            else:
                yield self.path / name
