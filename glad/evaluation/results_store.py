"""The files of an evaluation's results, which say what is finished.

Each candidate has one: the folder of a run its ``results.json``, another set ``NAME.results.json`` beside it. A part of
an evaluation (``--part I/N``) writes ``results.part-I-of-N.json`` in its place, so that no two processes write one
file; every later call reads them all.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glad.evaluation.candidates import Candidate
from glad.evaluation.summary import Cell
from glad.runs.storage import read_json, write_json

Key = tuple[str, str, int]


def key_of(cell: Cell) -> Key:
    """What tells cells of the same settings apart."""
    return cell["set"], cell["network"], cell["seed"]


class ResultsStore:
    """Finished cells under ``settings``, and where they are written; ``part`` is (I, N) or None.

    Of ``settings`` the entry ``sets`` has hashes by candidate; a file has only its own candidate's.
    """

    def __init__(
        self, candidates: Sequence[Candidate], settings: Mapping[str, Any], part: tuple[int, int] | None = None
    ) -> None:
        self.candidates, self.settings, self.part = candidates, settings, part
        self._earlier = {candidate.name: self._read(candidate) for candidate in candidates}

    def cells(self) -> dict[Key, Cell]:
        """All cells that earlier evaluations under the same settings left."""
        contents = (content for by_path in self._earlier.values() for content in by_path.values())
        return {key_of(cell): cell for content in contents for cell in _cells(content)}

    def cost(self) -> dict[str, Any]:
        """What earlier evaluations measured of costs, by the name of the set."""
        contents = (content for by_path in self._earlier.values() for content in by_path.values())
        return {name: entry for content in contents for name, entry in content.get("cost", {}).items()}

    def path(self, candidate: Candidate) -> Path:
        """Where this call writes."""
        if self.part is None:
            return candidate.results
        return candidate.results.with_name(f"{candidate.results.stem}.part-{self.part[0]}-of-{self.part[1]}.json")

    def write(self, results: Mapping[str, Any], owners: Mapping[str, str | None]) -> None:
        """Give every candidate the cells of its own rows and of those without ``owners``, and what is said of them.

        Cells of earlier calls that this one did not ask for are kept apart, as ``kept``.
        """
        asked = {key_of(cell) for cell in results["cells"]}
        for candidate in self.candidates:
            own = {name for name, owner in owners.items() if owner in (None, candidate.name)}
            content = {**results, "cells": [cell for cell in results["cells"] if cell["set"] in own]}
            for part in ("summary", "scores", "cost"):
                if part in results:
                    content[part] = {name: entry for name, entry in results[part].items() if name in own}
            if "differences" in results:
                content["differences"] = [
                    entry
                    for entry in results["differences"]
                    if candidate.name in (owners[entry["set"]], owners[entry["against"]])
                ]
            path, by_path = self.path(candidate), self._earlier[candidate.name]
            merged = by_path.values() if self.part is None else [by_path[path]] if path in by_path else []
            earlier = {key_of(cell): cell for found in merged for cell in _cells(found)}
            if kept := [cell for key, cell in earlier.items() if key not in asked]:
                content["kept"] = kept
            sets = {candidate.name: self.settings["sets"][candidate.name]}
            write_json(path, {"settings": {**self.settings, "sets": sets}, **content})

    def _read(self, candidate: Candidate) -> dict[Path, dict[str, Any]]:
        """What the files of ``candidate`` say, those under other settings left out."""
        found = {}
        for path in _files(candidate.results):
            content = read_json(path)
            old = content.get("settings", {})
            if all(_agrees(old, self.settings, key) for key in self.settings.keys() | old.keys()):
                found[path] = content
        return found


def _files(results: Path) -> Iterator[Path]:
    """The file of results, and those of parts, in the order of their names."""
    if results.exists():
        yield results
    head = f"{results.stem}.part-"
    if results.parent.is_dir():
        yield from sorted(p for p in results.parent.iterdir() if p.name.startswith(head) and p.suffix == ".json")


def _cells(content: Mapping[str, Any]) -> list[Cell]:
    return [*content["cells"], *content.get("kept", [])]


def _agrees(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> bool:
    if key == "sets":
        return all(new["sets"].get(name) == hashes for name, hashes in old.get("sets", {"": None}).items())
    return key in old and key in new and old[key] == new[key]
