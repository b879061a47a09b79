"""The rows of an evaluation: each set and baseline that networks are trained on, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from glad.data.augment import ALL, strategy_for
from glad.data.coresets import Labelled, Pick, pickers
from glad.data.dataset import ImageData
from glad.evaluation.candidates import Candidate
from glad.evaluation.hybrid import joined, share_of
from glad.evaluation.protocol import Protocol
from glad.evaluation.teacher import Teacher

SET, START, BASELINE, HYBRID, SHARE, PART = "set", "start", "baseline", "hybrid", "share", "part"
"""What a row is: a candidate, its start, real images, the candidate with a share of them, that share alone, or a
part of scores and costs that no table shows."""


@dataclass(frozen=True, eq=False)
class Row:
    """What is trained on, how, and by which networks; ``owner`` is the candidate that it belongs to."""

    data: Labelled
    protocol: Protocol
    networks: tuple[str, ...]
    kind: str
    owner: str | None = None
    learned_lr: float | None = None
    against: str | None = None
    """The share that a hybrid is compared with."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """All that decides on the rows; with ``soft`` labels are distributions, of ``teacher`` or the set's own.

    ``same`` is the network distilled with, ``learned_lr`` the step sizes that came with sets, ``hybrid`` shares in per
    cent; ``scores`` and ``cost`` ask for their rows, and ``full_epochs`` are those of their training on the full data.
    """

    candidates: Sequence[Candidate]
    train: ImageData
    baselines: Sequence[str]
    networks: tuple[str, ...]
    same: str
    protocol: Protocol
    learned_lr: Mapping[str, float]
    soft: bool
    teacher: Teacher | None
    hybrid: Sequence[float]
    scores: bool
    cost: bool
    full_epochs: int

    def rows(self, seed: int) -> dict[str, Row]:
        """The rows by the name that the table shows; only what they are trained on depends on ``seed``."""
        rows: dict[str, Row] = {}
        for candidate in self.candidates:
            rate = self.learned_lr.get(candidate.name)
            rows[candidate.name] = self._row(self._own[candidate.name], SET, candidate.name, learned_lr=rate)
            start = candidate.start
            if "before" in self.baselines and start is not None and not self._is_there(start[0], rows):
                data = start[0], self._soft(start[0]) if self.soft else start[1]
                rows[f"{candidate.name} before optimisation"] = self._row(data, START, candidate.name)
        rows |= self._baselines(seed)
        if "full" in self.baselines:
            rows[self._all] = self._row(self._full, BASELINE)
        rows |= self._hybrids(seed)
        parts = self._parts(rows, seed) if self.scores or self.cost else {}
        return rows | {name: part for name, part in parts.items() if name not in rows}

    @property
    def full_name(self) -> str:
        """The row of the full data with hard labels, for scores and costs."""
        epochs = "" if self.full_epochs == self.protocol.epochs else f", {self.full_epochs} epochs"
        return f"{self._all}{epochs}{', hard labels' * self.soft}"

    def score_rows(self, candidate: Candidate) -> dict[str, str]:
        """For each of ``glad.scores.Parts`` the row that it is taken from."""
        sets = {"set": candidate.name, "random": self._real_name("random", candidate.ipc)}
        plain = self.protocol.strategy in ("", "none")
        rows = {"full_hard": self.full_name, "hard": candidate.name + ", hard labels" * self.soft, **sets}
        for part, name in sets.items():
            rows[f"{part}_augmented"] = f"{name}, augmented" if plain else name
            rows[f"{part}_plain"] = name if plain else f"{name}, no augmentation"
        return rows

    def _row(self, data: Labelled, kind: str, owner: str | None = None, **changes: float | str | None) -> Row:
        return Row(data, self.protocol, self.networks, kind, owner, **changes)  # type: ignore[arg-type]

    def _is_there(self, images: Tensor, rows: Mapping[str, Row]) -> bool:
        """Whether another row has the same images, as runs that started alike have."""
        return any(torch.equal(images, row.data[0]) for row in rows.values())

    @property
    def _all(self) -> str:
        return f"all {len(self.train)} training images"

    @cached_property
    def _picks(self) -> dict[str, tuple[str, Pick]]:
        if self.teacher is None:
            return pickers()
        return pickers(self.teacher.embed, f"features of a trained {self.teacher.settings['network']}")

    def _real_name(self, baseline: str, ipc: int) -> str:
        return f"{self._picks[baseline][0]}, {ipc} per class"

    def _real(self, baseline: str, ipc: int, seed: int) -> Labelled:
        images, labels = self._picks[baseline][1](self.train, ipc, seed)
        return images, self._soft(images) if self.soft else labels

    def _soft(self, images: Tensor) -> Tensor:
        if self.teacher is None:
            raise ValueError("soft labels need a teacher")
        return self.teacher.label(images)

    @cached_property
    def _own(self) -> dict[str, Labelled]:
        """The set of each candidate with the labels of the recipe; soft ones that came with it are kept."""
        return {
            e.name: (e.images, (self._soft(e.images) if e.soft_labels is None else e.soft_labels))
            if self.soft
            else (e.images, e.labels)
            for e in self.candidates
        }

    @cached_property
    def _whole(self) -> Tensor:
        return self.train.tensor()

    @cached_property
    def _full(self) -> Labelled:
        return self._whole, self._soft(self._whole) if self.soft else self.train.labels

    def _baselines(self, seed: int) -> dict[str, Row]:
        """Real images, as many as each size of set has."""
        return {
            self._real_name(name, ipc): self._row(self._real(name, ipc, seed), BASELINE)
            for ipc in sorted({candidate.ipc for candidate in self.candidates})
            for name in self._picks
            if name in self.baselines
        }

    def _hybrids(self, seed: int) -> dict[str, Row]:
        """Each set with each share of the real images, and the share alone."""
        rows = {}
        for percent in self.hybrid:
            images, labels = share_of(self.train, percent, seed)
            share = images, self._soft(images) if self.soft else labels
            alone = f"{percent:g} % of the real images alone"
            for candidate in self.candidates:
                both = joined(self._own[candidate.name], share)
                name = f"{candidate.name} + {percent:g} % of the real images"
                rows[name] = self._row(both, HYBRID, candidate.name, against=alone)
            rows[alone] = self._row(share, SHARE)
        return rows

    def _parts(self, rows: Mapping[str, Row], seed: int) -> dict[str, Row]:
        """What scores and costs need beside ``rows``, for the network distilled with alone."""
        only, full = (self.same,), replace(self.protocol, epochs=self.full_epochs)
        parts = {self.full_name: Row((self._whole, self.train.labels), full, only, PART)}
        for candidate in self.candidates if self.scores else ():
            names, own = self.score_rows(candidate), rows[candidate.name]
            random = rows.get(names["random"]) or self._row(self._real("random", candidate.ipc, seed), PART)
            hard = replace(own, data=(candidate.images, candidate.labels))
            parts |= {names["random"]: replace(random, networks=only, kind=PART)}
            parts |= {names["hard"]: replace(hard, networks=only, kind=PART)}
            for way, strategy in (("augmented", strategy_for(self.train, ALL)), ("plain", "none")):
                protocol = replace(self.protocol, strategy=strategy)
                for part, row in (("set", own), ("random", random)):
                    name = names[f"{part}_{way}"]
                    parts[name] = replace(row, protocol=protocol, networks=only, kind=PART)
        return parts


def pairs(rows: Mapping[str, Row]) -> list[tuple[str, str]]:
    """Which rows are compared: sets with each other, their start and real images, hybrids with their share alone."""
    sets = [name for name, row in rows.items() if row.kind == SET]
    found = [(one, other) for i, one in enumerate(sets) for other in sets[i + 1 :]]
    for name, row in rows.items():
        if row.kind == START:
            found.append((str(row.owner), name))
        elif row.kind == BASELINE:
            found += [(one, name) for one in sets]
        elif row.against is not None:
            found.append((name, row.against))
    return found
