"""Published settings by name: what ``glad distill --preset`` runs, where its numbers are from, and what it takes.

A YAML file beside this one is one setting, for every data set that it lists:

- ``name`` and ``title``; ``{data}`` in the name stands for the data set
- ``data`` and ``ipc``: the data sets and the images per class that it is for, of which the first is the default
- ``distill`` and ``experts``: options of the two commands; a dict with whole numbers as keys goes by images per class
- ``sources``: who published which of the options; ``unrecorded``: options that stay at glad's default, because what was
  published is not known here
- ``needs``: what the file is that stands for the prior; ``note``: what else is to be known

``measured.json`` is written by ``scripts/measure_presets.py``.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, TypeGuard

import yaml

from glad.runs.formatting import join_words, plural

STORED = {"cifar10": (3, 32), "cifar100": (3, 32), "svhn": (3, 32), "mnist": (1, 28), "fashionmnist": (1, 28)}
"""Channels and side of data sets that a preset takes as they are stored."""

MEASURED = "measured.json"


@dataclass(frozen=True)
class IterationCost:
    """One measured iteration: seconds, peak memory in GiB, on which machine and by which command."""

    seconds: float
    gib: float
    machine: str
    command: str


@dataclass(frozen=True)
class Preset:
    """One published setting on one data set; ``file`` is where it stands, without its suffix."""

    file: str
    name: str
    title: str
    data: str
    ipc: Sequence[int]
    distill: Mapping[str, Any]
    sources: Mapping[str, Sequence[str]]
    experts: Mapping[str, Any] = field(default_factory=dict)
    unrecorded: Sequence[str] = ()
    needs: str = ""
    note: str = ""

    def settings(self, ipc: float | None = None) -> dict[str, Any]:
        """What to give to ``glad.distill``; ``ipc`` images per class, or as many as the preset is for first.

        Where a setting has no number for ``ipc`` it has that for the next smaller one: see ``remark``.
        """
        ipc = self.ipc[0] if ipc is None else ipc
        chosen = {name: _for_ipc(value, ipc) for name, value in self.distill.items()}
        return {"data": self.data, "ipc": ipc, **chosen}

    def remark(self, ipc: float) -> str:
        """Whose numbers those of ``ipc`` images per class are, where it is published for others only."""
        known = sorted({key for value in self.distill.values() if goes_by_ipc(value) for key in value})
        if ipc in known or (not known and self._reaches(ipc)):
            return ""
        if not known:
            listed = join_words([*map(str, self.ipc)])
            return f"{self.name} is published for {listed} images per class; {ipc:g} takes the same numbers"
        listed = join_words([*map(str, known)])
        return f"{self.name} has settings for {listed} images per class; {ipc:g} takes those of {_row(known, ipc)}"

    def source(self, option: str, ipc: float | None = None) -> str:
        """Who published ``option``, such as ``momentum`` or ``lr.w``; empty for what is no choice of theirs.

        Where it is not published for ``ipc``, the source says for how many images per class it is.
        """
        whole = option.partition(".")[0]
        found = next((source for source, options in self.sources.items() if {option, whole} & {*options}), "")
        known = self.distill.get(whole)
        published = known if goes_by_ipc(known) else self.ipc
        if not found or ipc is None or ipc in published or (published is self.ipc and self._reaches(ipc)):
            return found
        return f"{found}, for {plural(_row(published, ipc), 'image')} per class"

    def _reaches(self, ipc: float) -> bool:
        """Whether numbers that are the same for all images per class that were published are so for ``ipc``."""
        return min(self.ipc) <= ipc <= max(self.ipc)

    def images(self) -> tuple[int, int]:
        """Channels and side of the images."""
        channels, side = STORED.get(self.data, (3, 0))
        return channels, self.distill.get("resolution", side)

    def measure(self, ipc: int) -> str:
        """The key of the preset's cost, the same for data sets of one shape."""
        channels, side = self.images()
        return f"{self.file} {channels}x{side}x{side} ipc{ipc}"

    def cost(self, ipc: int) -> IterationCost | None:
        """What an iteration takes, if it was measured."""
        found = json.loads((files(__name__) / MEASURED).read_text(encoding="utf-8")).get(self.measure(ipc))
        return IterationCost(**found) if found else None


def _for_ipc(value: Any, ipc: float) -> Any:
    """The entry for ``ipc`` of a dict by images per class, or for the next smaller one; anything else as it is."""
    return value[_row(value, ipc)] if goes_by_ipc(value) else value


def _row(known: Collection[int], ipc: float) -> int:
    """Of the numbers of images per class that are ``known``, the one that stands for ``ipc``."""
    return max((key for key in known if key <= ipc), default=min(known))


def goes_by_ipc(value: Any) -> TypeGuard[dict[int, Any]]:
    """Whether a value is a dict by images per class."""
    return isinstance(value, dict) and all(isinstance(key, int) for key in value)


def leaves(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those inside others as ``lr.w``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inside = value if isinstance(value, Mapping) else None
        found |= {name: value} if inside is None else {f"{name}.{key}": entry for key, entry in inside.items()}
    return found


@cache
def all_presets() -> Mapping[str, Preset]:
    """Every preset by its name."""
    found = {}
    for path in sorted(files(__name__).iterdir(), key=lambda path: path.name):
        file, _, suffix = path.name.partition(".")
        if suffix == "yaml":
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            for data in content.pop("data"):
                name = content["name"].format(data=data)
                found[name] = Preset(**{**content, "file": file, "name": name, "data": data})
    return found


def load(name: str) -> Preset:
    """The preset called ``name``; ``ValueError`` naming those that are called alike."""
    names = all_presets()
    if name not in names:
        near = get_close_matches(name, names)
        hint = f"; did you mean {' or '.join(near)}?" if near else ":"
        raise ValueError(f"unknown preset {name!r}{hint} `glad presets list` shows all")
    return names[name]
