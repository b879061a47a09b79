"""The conditions of an evaluation: each set and baseline that networks are trained on, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from glad.data.augment import ALL, strategy_for
from glad.data.coresets import SELECTIONS, Labeled, select
from glad.data.dataset import ImageData
from glad.evaluation.candidates import Candidate
from glad.evaluation.hybrid import join_sets, share_of
from glad.evaluation.protocol import Protocol
from glad.evaluation.rows import BEFORE, FULL, HYBRID, PIXELS, SET, SHARE, ResultRow
from glad.evaluation.teacher import Teacher
from glad.settings.evaluate import Equal


@dataclass(frozen=True, eq=False)
class Condition:
    """What is trained on, how, and by which networks: a row of the table with its images."""

    row: ResultRow
    data: Labeled
    protocol: Protocol
    networks: tuple[str, ...]
    step_size: float | None = None
    """The step size that came with the set."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """All that decides on the rows; with ``soft`` labels are distributions, of ``teacher`` or the set's own.

    ``seen`` is the network distilled with, ``step_sizes`` the step sizes that came with sets, ``hybrid`` shares in
    per cent; ``scores`` and ``cost`` ask for their rows, and ``full_epochs`` are those of their training on the full
    data.
    """

    candidates: Sequence[Candidate]
    train: ImageData
    baselines: Sequence[str]
    equal: Equal
    networks: tuple[str, ...]
    seen: str
    protocol: Protocol
    step_sizes: Mapping[str, float]
    soft: bool
    teacher: Teacher | None
    hybrid: Sequence[float]
    scores: bool
    cost: bool
    full_epochs: int

    def for_seed(self, seed: int) -> dict[str, Condition]:
        """The conditions by the id of their row; only what they are trained on depends on ``seed``."""
        found: list[Condition] = []
        for candidate in self.candidates:
            rate = self.step_sizes.get(candidate.name)
            found.append(self._condition(self._row_of(candidate), self._own[candidate.name], rate))
            initial = candidate.ordered_initial
            if "before" in self.baselines and initial is not None and not self._is_there(initial[0], found):
                labels = self._soft(initial[0]) if self.soft else initial[1]
                found.append(self._condition(ResultRow(BEFORE, candidate.name), (initial[0], labels)))
        for counts in sorted({candidate.real_counts(self.equal) for candidate in self.candidates}):
            for method in (method for method in SELECTIONS if method in self.baselines):
                found.append(self._condition(self._coreset_row(method, counts), self._coreset(method, counts, seed)))
        if "full" in self.baselines:
            found.append(self._condition(ResultRow(FULL, images=len(self.train)), self._full))
        found += self._hybrids(seed)
        named = _with_comparisons({condition.row.id: condition for condition in found})
        parts = self._parts(named, seed) if self.scores or self.cost else []
        return named | {part.row.id: part for part in parts if part.row.id not in named}

    @property
    def full_row(self) -> ResultRow:
        """The row of the full data with hard labels, for scores and costs."""
        epochs = None if self.full_epochs == self.protocol.epochs else self.full_epochs
        return ResultRow(FULL, images=len(self.train), epochs=epochs, label_mode="hard" if self.soft else None)

    def score_rows(self, candidate: Candidate) -> dict[str, ResultRow]:
        """For each field of ``glad.evaluation.dd_ranking.Parts`` the row that it is taken from."""
        sets = {"set": self._row_of(candidate), "random": self._coreset_row("random", candidate.real_counts())}
        hard = replace(sets["set"], label_mode="hard") if self.soft else sets["set"]
        rows = {"full_hard": self.full_row, "hard": hard, **sets}
        for part, row in sets.items():
            rows[f"{part}_augmented"] = replace(row, augmented=True) if self._plain else row
            rows[f"{part}_plain"] = row if self._plain else replace(row, augmented=False)
        return rows

    @property
    def _plain(self) -> bool:
        """Whether the protocol trains without augmentation."""
        return self.protocol.augmentation in ("", "none")

    def stream(self, row: ResultRow) -> str:
        """The key of the random draws of ``row``: its id, in which the content of the set stands for its name."""
        content = {candidate.name: candidate.content for candidate in self.candidates}
        return row.id if row.owner is None else replace(row, owner=content[row.owner]).id

    def _condition(self, row: ResultRow, data: Labeled, step_size: float | None = None) -> Condition:
        return Condition(row, data, self.protocol, self.networks, step_size)

    def _is_there(self, images: Tensor, found: Sequence[Condition]) -> bool:
        """Whether a condition has the same images, as runs that started alike have."""
        return any(torch.equal(images, condition.data[0]) for condition in found)

    def _row_of(self, candidate: Candidate) -> ResultRow:
        return ResultRow(SET, candidate.name)

    def real_counts(self, candidate: Candidate) -> tuple[int, ...]:
        """Real images of each class that a set is compared with, as far as the data have so many."""
        return self._available(candidate.real_counts(self.equal))

    def _available(self, counts: tuple[int, ...]) -> tuple[int, ...]:
        """``counts`` of each class, or all that there are."""
        sizes = self.train.labels.bincount(minlength=len(counts)).tolist()
        return tuple(map(min, counts, sizes))

    def _coreset_row(self, method: str, counts: tuple[int, ...]) -> ResultRow:
        """The row of a selection that is to have ``counts`` images of each class, by those that it has."""
        counts = self._available(counts)
        network = PIXELS if self.teacher is None else self.teacher.settings["network"]
        row = ResultRow(method, features=network if method == "herding" else None)
        return replace(row, ipc=counts[0]) if len(set(counts)) == 1 else replace(row, counts=counts)

    def _coreset(self, method: str, counts: tuple[int, ...], seed: int) -> Labeled:
        """Real images, as many of each class as a set has."""
        images, labels = select(method, self.train, counts, seed, None if self.teacher is None else self.teacher.embed)
        return images, self._soft(images) if self.soft else labels

    def _soft(self, images: Tensor) -> Tensor:
        if self.teacher is None:
            raise ValueError("soft labels need a teacher")
        return self.teacher.label(images)

    @cached_property
    def _own(self) -> dict[str, Labeled]:
        """The set of each candidate with hard or soft labels; soft ones that came with it are kept."""
        found = {}
        for candidate in self.candidates:
            images, labels, soft = candidate.ordered
            found[candidate.name] = images, (self._soft(images) if soft is None else soft) if self.soft else labels
        return found

    @cached_property
    def _whole(self) -> Tensor:
        return self.train.tensor()

    @cached_property
    def _full(self) -> Labeled:
        return self._whole, self._soft(self._whole) if self.soft else self.train.labels

    def _hybrids(self, seed: int) -> list[Condition]:
        """Each set with each share of the real images, and the share alone."""
        found = []
        for percent in self.hybrid:
            images, labels = share_of(self.train, percent, seed)
            share = images, self._soft(images) if self.soft else labels
            alone = ResultRow(SHARE, percent=percent)
            for candidate in self.candidates:
                row = ResultRow(HYBRID, candidate.name, percent=percent, against=(alone.id,))
                found.append(self._condition(row, join_sets(self._own[candidate.name], share)))
            found.append(self._condition(alone, share))
        return found

    def _parts(self, there: Mapping[str, Condition], seed: int) -> list[Condition]:
        """What scores and costs need, for the seen architecture alone."""
        only, full = (self.seen,), replace(self.protocol, epochs=self.full_epochs)
        parts = [Condition(self.full_row, (self._whole, self.train.labels), full, only)]
        for candidate in self.candidates if self.scores else ():
            rows, own = self.score_rows(candidate), there[self._row_of(candidate).id]
            random = there.get(rows["random"].id) or self._condition(
                rows["random"], self._coreset("random", candidate.real_counts(), seed)
            )
            parts += [random, replace(own, row=rows["hard"], data=candidate.ordered[:2])]
            for way, strategy in (("augmented", strategy_for(self.train, ALL)), ("plain", "none")):
                protocol = replace(self.protocol, augmentation=strategy)
                for part, condition in (("set", own), ("random", random)):
                    parts.append(replace(condition, row=rows[f"{part}_{way}"], protocol=protocol))
        return [replace(part, row=replace(part.row, shown=False, against=()), networks=only) for part in parts]


def _with_comparisons(there: dict[str, Condition]) -> dict[str, Condition]:
    """The conditions with what their rows are compared with: sets with later ones, what they came from and baselines.

    A hybrid knows its share already.
    """
    rows = [condition.row for condition in there.values()]
    sets = [row.id for row in rows if row.kind == SET]
    baselines = [row.id for row in rows if row.kind in (*SELECTIONS, FULL)]
    found = {}
    for name, condition in there.items():
        row = condition.row
        if row.kind == SET:
            own = [other.id for other in rows if other.kind == BEFORE and other.owner == row.owner]
            row = replace(row, against=(*sets[sets.index(row.id) + 1 :], *own, *baselines))
        found[name] = replace(condition, row=row)
    return found
