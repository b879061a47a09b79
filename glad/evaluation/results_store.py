"""The files of an evaluation's results, which say what is finished.

Each candidate has one: the folder of a run its ``results.json``, another set ``NAME.results.json`` beside it. A file
holds the last evaluation, and under ``earlier`` those of the same set under other settings. A part of an evaluation
(``--part I/N``) writes ``results.part-I-of-N.json`` in its place, so that no two processes write one file; every later
call reads them all.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glad.evaluation import legacy
from glad.evaluation.candidates import Candidate
from glad.evaluation.renaming import rename_owner
from glad.evaluation.rows import ResultRow, set_id
from glad.evaluation.summary import Cell, add_macro
from glad.runs.storage import RunError, read_json, write_json

FORMAT = 2
"""The form of the file: 1 was that of commit d10c73f and before, without a number."""
EARLIER = "earlier"

Key = tuple[str, str, int]
Results = dict[str, Any]


def key_of(cell: Cell) -> Key:
    """What tells cells of the same settings apart."""
    return cell["row"], cell["network"], cell["seed"]


def read_results(
    path: Path, network: str | None = None, resolve: Callable[[str], str] = lambda augmentation: augmentation
) -> list[Results]:
    """The evaluations that a file holds, the last one first.

    Args:
        path: A ``results.json`` of any version.
        network: As ``legacy.convert`` takes it, for files of the first version.
        resolve: Likewise.

    Raises:
        RunError: The file is damaged, or of a later version.
        KeyError, TypeError, ValueError, AttributeError: It is no file of results.
    """
    content = read_json(path)
    if legacy.is_old(content):
        return [_check(legacy.convert(content, network, resolve))]
    if content["format"] != FORMAT:
        raise RunError(f"{path} is of form {content['format']}, this version reads {FORMAT}: use a later version")
    last = {name: value for name, value in content.items() if name not in ("format", EARLIER)}
    return [_check(entry) for entry in (last, *content.get(EARLIER, []))]


def _check(found: Results) -> Results:
    """``found`` if its cells and rows are of the form that is written; ``ValueError`` or what a missing key raises."""
    for cell in _cells(found):
        row, network, seed = key_of(cell)
        if not (isinstance(row, str) and isinstance(network, str) and isinstance(seed, int)):
            raise ValueError(f"a cell of row {row!r}, network {network!r}, seed {seed!r}")
        if not isinstance(cell["accuracy"], float | int):
            raise ValueError(f"an accuracy of {cell['accuracy']!r}")
    for about in found["settings"]["sets"].values():
        if not all(isinstance(digest, str) for digest in about["hashes"]):
            raise ValueError(f"hashes {about['hashes']!r}")
    found["settings"]["hashes"].items()
    if not all(isinstance(row["id"], str) for row in found["rows"]):
        raise ValueError("rows without an id")
    return add_macro(found)


def shown_results(evaluations: Sequence[Results]) -> Results:
    """Which of the evaluations of a set to show where one is shown: the last finished one on test images.

    Without such a one it is the last finished one, else the last.
    """
    finished = [results for results in evaluations if "summary" in results]
    tested = [results for results in finished if results["split"] == "test"]
    return [*tested, *finished, *evaluations][0]


def row_of_set(results: Mapping[str, Any], digest: str) -> str | None:
    """The id of the row of the set whose images have the hash ``digest``; None where the results are of another set."""
    sets = results["settings"]["sets"].items()
    return next((set_id(name) for name, about in sets if about["hashes"][0] == digest), None)


class ResultsStore:
    """Finished cells under ``settings``, and where they are written; ``part`` is (I, N) or None.

    Of ``settings`` the entry ``sets`` has what is known by candidate; a file has only its own candidate's. ``resolve``
    is that of :func:`read_results`.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        settings: Mapping[str, Any],
        part: tuple[int, int] | None = None,
        resolve: Callable[[str], str] = lambda augmentation: augmentation,
    ) -> None:
        self.candidates, self.settings, self.part = candidates, settings, part
        found = {candidate.name: _read(candidate, resolve) for candidate in candidates}
        self._same = {name: self._choose(by_path, True) for name, by_path in found.items()}
        self._others = {name: self._choose(by_path, False) for name, by_path in found.items()}

    def _choose(self, by_path: Mapping[Path, list[Results]], same: bool) -> dict[Path, list[Results]]:
        """The evaluations under the settings of this one, or those of the same set under other settings."""
        return {
            path: [
                entry
                for entry in found
                if self._agrees(entry["settings"]) == same and self._is_same_set(entry["settings"])
            ]
            for path, found in by_path.items()
        }

    def _agrees(self, old: Mapping[str, Any]) -> bool:
        """Whether cells under the settings ``old`` are valid here."""
        new, shared = self.settings, (self.settings.keys() | old.keys()) - {"sets"}
        return all(new["sets"].get(name) == about for name, about in old["sets"].items()) and all(
            key in old and key in new and old[key] == new[key] for key in shared
        )

    def _is_same_set(self, old: Mapping[str, Any]) -> bool:
        """Whether ``old`` is of the set and the data as they are now."""
        known = {name: about["hashes"] for name, about in self.settings["sets"].items()}
        same = all(known.get(name) == about["hashes"] for name, about in old["sets"].items())
        return same and old["hashes"].get("data") == self.settings["hashes"]["data"]

    def cells(self) -> dict[Key, Cell]:
        """All cells that earlier evaluations under the same settings left.

        Earlier versions keyed the random draws of a set's rows by its name: of theirs only the cells of rows that all
        sets share are valid. The others stay under ``earlier``, which a warning says.
        """
        found = {key_of(cell): cell for found in self._read_valid() for cell in _cells(found)}
        for candidate in self.candidates:
            for path, others in self._others[candidate.name].items():
                for old in others:
                    if self._agrees(_with_stream(old["settings"], candidate)):
                        shared = {row["id"] for row in old["rows"] if row["owner"] is None}
                        cells = _cells(old)
                        found = {key_of(c): c for c in cells if c["row"] in shared} | found
                        _say_of_old_streams(path, [c for c in cells if c["row"] not in shared])
        return found

    def cost(self) -> dict[str, Any]:
        """What earlier evaluations measured of costs, by the id of the row."""
        return {row: entry for found in self._read_valid() for row, entry in found.get("cost", {}).items()}

    def _read_valid(self) -> Iterator[Results]:
        for by_path in self._same.values():
            for found in by_path.values():
                yield from found

    def path(self, candidate: Candidate) -> Path:
        """Where this call writes."""
        if self.part is None:
            return candidate.results
        return candidate.results.with_name(f"{candidate.results.stem}.part-{self.part[0]}-of-{self.part[1]}.json")

    def write(self, results: Mapping[str, Any], rows: Mapping[str, ResultRow]) -> None:
        """Give every candidate the cells of its own rows and of those without owner, and what is said of them.

        Cells of earlier calls under these settings that this one did not ask for are kept apart, as ``kept``.
        """
        asked = {key_of(cell) for cell in results["cells"]}
        for candidate in self.candidates:
            path = self.path(candidate)
            content = _own_part(results, rows, candidate.name)
            same = self._same[candidate.name]
            merged = same.values() if self.part is None else [same.get(path, [])]
            earlier = {key_of(cell): cell for found in merged for entry in found for cell in _cells(entry)}
            if kept := [cell for key, cell in earlier.items() if key not in asked]:
                content["kept"] = kept
                there = {row["id"] for row in content["rows"]}
                old = {row["id"]: row for found in merged for entry in found for row in entry["rows"]}
                wanted = {cell["row"] for cell in kept} - there
                content["rows"] += [{**row, "shown": False} for name, row in old.items() if name in wanted]
            sets = {candidate.name: self.settings["sets"][candidate.name]}
            content = {"format": FORMAT, "settings": {**self.settings, "sets": sets}, **content}
            if others := self._others[candidate.name].get(path):
                content[EARLIER] = others
            write_json(path, content)


def _with_stream(settings: Mapping[str, Any], candidate: Candidate) -> dict[str, Any]:
    """Settings of an earlier version as if their random draws had followed the images; as they are if they do."""
    sets = {name: {"stream": candidate.content, **about} for name, about in settings["sets"].items()}
    return {**settings, "sets": sets}


def _say_of_old_streams(path: Path, cells: Sequence[Cell]) -> None:
    if cells:
        warnings.warn(
            f"{path}: {len(cells)} trainings of an earlier version stay in it and are not mixed with new ones, whose "
            "random numbers follow the images and no longer the set's name",
            stacklevel=2,
        )


def _own_part(results: Mapping[str, Any], rows: Mapping[str, ResultRow], name: str) -> Results:
    """What is said of the candidate ``name`` and of rows that all share."""
    own = {row.id for row in rows.values() if row.owner in (None, name)}
    content = {**results, "cells": [cell for cell in results["cells"] if cell["row"] in own]}
    for part in (part for part in ("summary", "scores", "cost", "stored") if part in results):
        content[part] = {row: entry for row, entry in results[part].items() if row in own}
    named = set(own)
    if "differences" in results:
        content["differences"] = [
            entry
            for entry in results["differences"]
            if name in (rows[entry["row"]].owner, rows[entry["against"]].owner)
        ]
        named |= {entry[side] for entry in content["differences"] for side in ("row", "against")}
    content["rows"] = [row.to_dict() for row in rows.values() if row.id in named]
    return content


def _read(candidate: Candidate, resolve: Callable[[str], str]) -> dict[Path, list[Results]]:
    """What the files of ``candidate`` say; ``RunError`` for one that is none of results."""
    found = {}
    for path in _files(candidate.results):
        try:
            found[path] = [_under_name(entry, candidate) for entry in read_results(path, candidate.network, resolve)]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{path} is not what `glad evaluate` writes ({error!r}): remove it, and evaluate again"
            ) from error
    return found


def _under_name(found: Results, candidate: Candidate) -> Results:
    """Results of the set under the name that it has in this evaluation, whatever it was called before."""
    sets = found["settings"]["sets"]
    for name, about in sets.items():
        if name != candidate.name and about["hashes"] == candidate.hashes and candidate.name not in sets:
            return rename_owner(found, name, candidate.name)
    return found


def _files(results: Path) -> Iterator[Path]:
    """The file of results, and those of parts, in the order of their names."""
    if results.exists():
        yield results
    head = f"{results.stem}.part-"
    if results.parent.is_dir():
        yield from sorted(p for p in results.parent.iterdir() if p.name.startswith(head) and p.suffix == ".json")


def _cells(found: Mapping[str, Any]) -> list[Cell]:
    return [*found["cells"], *found.get("kept", [])]
