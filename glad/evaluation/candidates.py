"""What competes in an evaluation: the set of a run, or any other set of images that stands in place of one.

A set that is no run is what ``glad export`` or another program wrote. It is brought to the data that it stands for:
their classes, resolution and normalization.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from glad.data.coresets import Labeled
from glad.data.dataset import ImageData
from glad.data.encoded import hub_address
from glad.data.notices import warn_of
from glad.formats.distilled import Distilled
from glad.formats.foreign import read_foreign, reorder
from glad.formats.load import find_kind, load_distilled
from glad.formats.set_classes import match_classes
from glad.runs.folder import Run
from glad.runs.soft_labels import hash_of, likeliest
from glad.runs.storage import RunError, below, read_number, read_tensors
from glad.runs.stored_size import StoredSize, size_of_images, size_of_run
from glad.settings.evaluate import Equal
from glad.settings.sets import Values

RESULTS = "results.json"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set and what is known of it.

    ``images`` are normalized float32 [N, C, H, W], ``labels`` int64 [N] of ``classes`` classes, ``soft_labels``
    distributions [N, K] that came with the set. ``initial`` is the set before optimization, where codes have one;
    ``network`` the one it was distilled with; ``step_size`` the student's, learned with it; ``seconds`` what distilling
    took; None where it is not known. ``hashes`` are what finished cells depend on, ``results`` is where they are kept,
    and ``run`` the folder of a run. ``stored`` is the set's size, and ``worth`` how many real images stand against one
    of its images: those of as many rows, or under a budget as many numbers.
    """

    name: str
    images: Tensor
    labels: Tensor
    soft_labels: Tensor | None
    initial: Labeled | None
    classes: int
    network: str | None
    step_size: float | None
    seconds: float | None
    hashes: list[str]
    results: Path
    stored: StoredSize | None
    run: Path | None = None
    worth: float = 1.0

    @cached_property
    def ordered(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Images, labels and soft labels by class and content, so that the order of files does not matter."""
        order = _order(self.images, self.labels)
        return self.images[order], self.labels[order], None if self.soft_labels is None else self.soft_labels[order]

    @cached_property
    def ordered_initial(self) -> Labeled | None:
        """The set before optimization, in the same order of its own."""
        if self.initial is None:
            return None
        order = _order(*self.initial)
        return self.initial[0][order], self.initial[1][order]

    @cached_property
    def content(self) -> str:
        """A hash of the images and labels, whatever the file is called and however it orders them."""
        images, labels, _ = self.ordered
        return hash_of(images) + hash_of(labels)

    @property
    def counts(self) -> tuple[int, ...]:
        """Images of each class."""
        return tuple(self.labels.bincount(minlength=self.classes).tolist())

    def real_counts(self, equal: Equal = "numbers") -> tuple[int, ...]:
        """Real images of each class that the set is compared with, at equal numbers or bytes.

        ``ValueError`` for a set whose bytes are not known.
        """
        worth = self.worth
        if equal == "bytes":
            if self.stored is None:
                raise ValueError(f"equal=bytes: the bytes of {self.name} are not known, as its state is not there")
            worth = self.stored.total / size_of_images(self.images, self.labels, self.classes).total
        return tuple(count and max(1, round(count * worth)) for count in self.counts)


def _order(images: Tensor, labels: Tensor) -> Tensor:
    """The indices of images by label and then by their bytes, int64 [N]."""
    keys = [(label, hash_of(image)) for label, image in zip(labels.tolist(), images, strict=True)]
    return torch.tensor(sorted(range(len(keys)), key=keys.__getitem__))


def is_run(path: Path) -> bool:
    """Whether a run's settings lie at ``path``."""
    return (path / "config.yaml").is_file()


def of_run(run: Run) -> Candidate:
    """The set of a run; ``RunError`` when it is not finished."""
    (images, labels), initial = run.read_set(), run.read_set("initial")
    soft = labels if labels.is_floating_point() else None
    return Candidate(
        name=run.name,
        images=images,
        labels=likeliest(labels),
        soft_labels=soft,
        initial=(initial[0], likeliest(initial[1])) if run.weights is not None else None,
        classes=len(run.inputs["classes"]),
        network=run.settings.network,
        step_size=run.step_size,
        seconds=read_number(read_tensors(run.state)[1], "seconds", run.state),
        hashes=[hash_of(images), hash_of(initial[0]), *([] if soft is None else [hash_of(soft)])],
        results=run.path / RESULTS,
        stored=size_of_run(run),
        run=run.path,
        worth=_worth(below("latents", read_tensors(run.path / "synset.safetensors")[0]), images, run.settings.budget),
    )


def _worth(latents: Mapping[str, Tensor], images: Tensor, budget: float | None) -> float:
    """How many real images stand against one of ``images`` [N, C, H, W]: see ``Candidate``."""
    if not latents:
        return 1.0
    if budget is None:
        return len(next(iter(latents.values()))) / len(images)
    return sum(tensor.numel() for tensor in latents.values() if tensor.is_floating_point()) / images.numel()


def _worth_of(loaded: Distilled) -> float:
    """The same of a set that is no run; one in few bits counts by its bytes."""
    if loaded.codes is None:
        return 1.0
    latents = loaded.codes.latents
    share = loaded.stored.latents / sum(tensor.nbytes for tensor in latents.values())
    return share * _worth(latents, loaded.images, loaded.card.made.get("budget"))


def of_path(
    path: Path,
    data: ImageData,
    values: Values | None = None,
    class_map: Mapping[str, str | int] | None = None,
) -> Candidate:
    """The set at ``path``, as images of ``data``.

    Args:
        path: What ``glad export`` or another program wrote; docs/DATA.md shows the forms.
        data: What the set stands for. Images of another size are resized, with a warning.
        values: What stored floats outside [0, 1] are.
        class_map: Class of the set to class of ``data``, where names and numbers do not tell.

    Raises:
        RunError, DataError: The set is damaged or does not fit.
    """
    kind = find_kind(path)
    network = None
    if kind is None:
        loaded = read_foreign(path, data, values, class_map)
        images, labels, soft = loaded.images, loaded.labels, loaded.soft_labels
    else:
        loaded = load_distilled(path)
        images, labels, soft = _from_export(loaded, data, path, class_map)
        network = loaded.card.made.get("network")
    return Candidate(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        images=images,
        labels=labels,
        soft_labels=soft,
        initial=None,
        classes=len(data.classes),
        network=network,
        step_size=loaded.step_size,
        seconds=None,
        hashes=[hash_of(images), hash_of(labels), *([] if soft is None else [hash_of(soft)])],
        results=_results_beside(path),
        stored=replace(loaded.stored, classes=len(data.classes)),
        worth=_worth_of(loaded),
    )


def _results_beside(path: Path) -> Path:
    """Where the results of a set are kept that is no run; of the Hub's sets in the folder that is worked in."""
    if hub_address(path) is not None:
        return Path(f"{'-'.join(path.parts[1:])}.{RESULTS}")
    return path.with_name(f"{path.resolve().name}.{RESULTS}")


def _from_export(
    loaded: Distilled, data: ImageData, path: Path, class_map: Mapping[str, str | int] | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images, labels and soft labels: the very images where they were normalized as ``data`` is, else by its pixels."""
    card, soft = loaded.card, loaded.soft_labels
    if (card.channels, card.resolution) != (data.channels, data.resolution):
        raise RunError(
            f"{path} holds images {card.channels}x{card.resolution}x{card.resolution}, {data.name} has "
            f"{data.channels}x{data.resolution}x{data.resolution}: load the data at the set's size (--resolution)"
        )
    used = range(len(card.classes))
    order, notices = match_classes(str(path), card.classes, data, used=used, numbers=False, class_map=class_map)
    warn_of(notices)
    whitened = data.whitening is not None
    same = (card.mean, card.std) == (data.mean, data.std) and (card.zca == "kept") == whitened
    images = loaded.images if same else data.normalize(loaded.pixels)
    return images, order[loaded.labels], None if soft is None else reorder(soft, order, len(data.classes))


def require_one_data(runs: Sequence[Run], data: ImageData) -> None:
    """``RunError`` when a run was made of other data than ``data``."""
    for run in runs:
        recorded = run.inputs["hashes"]["data"]
        if recorded != data.digest:
            raise RunError(
                f"{run.path} was distilled from data {recorded[:12]}, here is {data.digest[:12]}: "
                "compare runs of one data set, on the data they were made from"
            )


def network_of(candidates: Sequence[Candidate], default_network: str) -> str:
    """The network that sets were distilled with, or ``unless_stated`` where none says; ``RunError`` if they differ."""
    names = {candidate.network for candidate in candidates if candidate.network is not None} or {default_network}
    if len(names) > 1:
        raise RunError(f"the runs were distilled with different networks ({', '.join(sorted(names))}): evaluate apart")
    return names.pop()


def with_own_names(candidates: Sequence[Candidate], paths: Sequence[Path]) -> list[Candidate]:
    """``candidates`` under names that tell them apart: where two are the same, with the suffix or the folders above.

    ``ValueError`` where a path is given twice.
    """
    spelled = [_spellings(candidate.name, path) for candidate, path in zip(candidates, paths, strict=True)]
    depth = [0] * len(candidates)
    while True:
        names = [words[at] for words, at in zip(spelled, depth, strict=True)]
        alike = [i for i, name in enumerate(names) if names.count(name) > 1]
        if not alike:
            return [replace(candidate, name=name) for candidate, name in zip(candidates, names, strict=True)]
        for i in alike:
            depth[i] += 1
            if depth[i] == len(spelled[i]):
                raise ValueError(f"{paths[i]} is given twice: name each set once")


def _spellings(name: str, path: Path) -> list[str]:
    """What a set may be called, from its short name to its whole path."""
    parts = path.resolve().parts
    return [name, *("/".join(parts[-count:]) for count in range(1, len(parts) + 1))]
