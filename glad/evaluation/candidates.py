"""What competes in an evaluation: the set of a run, or any other set of images that stands in place of one.

A set that is no run is what ``glad export`` wrote, a folder CLASS/image or an npz of uint8 images. It is brought to the
data that it stands for: their classes, resolution and normalization.
"""

import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from glad.data.coresets import Labeled
from glad.data.dataset import ImageData
from glad.data.notices import DataError
from glad.data.pixels import decode, fit, open_image
from glad.data.raw import Raw
from glad.data.readers import read
from glad.formats.distilled import Distilled
from glad.formats.folder import SIDECAR
from glad.formats.load import load_distilled
from glad.runs.folder import Run
from glad.runs.soft_labels import hash_of, likeliest
from glad.runs.storage import RunError, read_tensors

RESULTS = "results.json"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set and what is known of it.

    ``images`` are normalized float32 [N, C, H, W], ``labels`` int64 [N], ``soft_labels`` distributions [N, K] that came
    with the set. ``initial`` is the set before optimization, where codes have one; ``network`` the one it was distilled
    with; ``step_size`` the student's, learned with it; ``seconds`` what distilling took; None where it is not known.
    ``hashes`` are what finished cells depend on, ``results`` is where they are kept, and ``run`` the folder of a run.
    """

    name: str
    images: Tensor
    labels: Tensor
    soft_labels: Tensor | None
    initial: Labeled | None
    ipc: int
    network: str | None
    step_size: float | None
    seconds: float | None
    hashes: list[str]
    results: Path
    run: Path | None = None


def is_run(path: Path) -> bool:
    """Whether a run's settings lie at ``path``."""
    return (path / "config.yaml").is_file()


def of_run(run: Run) -> Candidate:
    """The set of a run; ``RunError`` when it is not finished."""
    config, (images, labels), initial = run.config, run.read_set(), run.read_set("initial")
    soft = labels if labels.is_floating_point() else None
    return Candidate(
        name=run.name,
        images=images,
        labels=likeliest(labels),
        soft_labels=soft,
        initial=(initial[0], likeliest(initial[1])) if run.weights is not None else None,
        ipc=config["ipc"],
        network=str(config["network"]),
        step_size=run.learned_lr,
        seconds=float(read_tensors(run.state)[1]["seconds"]),
        hashes=[hash_of(images), hash_of(initial[0]), *([] if soft is None else [hash_of(soft)])],
        results=run.path / RESULTS,
        run=run.path,
    )


def of_path(path: Path, data: ImageData) -> Candidate:
    """The set at ``path``, as images of ``data``.

    An exported one has the classes of ``data`` by name; other folders and npz files do too, or as many, in the order of
    their names, which is told by a warning. Images of another size are resized, also with a warning. Raises
    ``RunError`` or ``DataError`` when the set is damaged or does not fit.
    """
    loaded = load_distilled(path) if _is_exported(path) else None
    soft, network, rate = None, None, None
    if loaded is not None:
        images, labels, soft = _from_export(loaded, data, path)
        network, rate = loaded.card.made.get("network"), loaded.step_size
    else:
        images, labels = _from_images(path, data)
    return Candidate(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        images=images,
        labels=labels,
        soft_labels=soft,
        initial=None,
        ipc=-(-len(labels) // len(data.classes)),
        network=network,
        step_size=rate,
        seconds=None,
        hashes=[hash_of(images), hash_of(labels), *([] if soft is None else [hash_of(soft)])],
        results=path.with_name(f"{path.resolve().name}.{RESULTS}"),
    )


def _is_exported(path: Path) -> bool:
    """Whether ``path`` says that ``glad export`` wrote it; an npz of images alone has no card."""
    if path.is_dir():
        return (path / SIDECAR).is_file()
    if path.suffix == ".npz":
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return "dataset.npy" in archive.namelist()
    return True


def _from_export(loaded: Distilled, data: ImageData, path: Path) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images, labels and soft labels: the very images where they were normalized as ``data`` is, else by its pixels."""
    card = loaded.card
    if (card.channels, card.resolution) != (data.channels, data.resolution):
        raise RunError(
            f"{path} holds images {card.channels}x{card.resolution}x{card.resolution}, {data.name} has "
            f"{data.channels}x{data.resolution}x{data.resolution}: load the data at the set's size (--resolution)"
        )
    if sorted(card.classes) != sorted(data.classes):
        raise RunError(
            f"{path} is of the classes {', '.join(card.classes[:5])}, ..., {data.name} of "
            f"{', '.join(data.classes[:5])}, ...: name the data that the set stands for with --data"
        )
    whitened = data.whitening is not None
    same = (card.mean, card.std) == (data.mean, data.std) and (card.zca == "kept") == whitened
    order = torch.tensor([data.classes.index(name) for name in card.classes])  # the card's label -> the data's
    soft = None if loaded.soft_labels is None else loaded.soft_labels[:, order.argsort()]
    return loaded.images if same else data.normalize(loaded.pixels), order[loaded.labels], soft


def _from_images(path: Path, data: ImageData) -> Labeled:
    """Normalized images and labels of a folder or an npz of uint8 images."""
    raw = read(str(path.resolve()), path, download=False)
    part = raw.parts["train"]
    labels = _match_classes(raw, data)[part.labels]
    if isinstance(part.images, Tensor):
        if part.images.shape[1] != data.channels:
            raise DataError(f"{path} has images of {part.images.shape[1]} channels, {data.name} has {data.channels}")
        _note_size(path, tuple(part.images.shape[2:]), data)
        pixels = fit(part.images, data.resolution)
    else:
        if not part.images:
            raise DataError(f"{path} has no images")
        with open_image(part.images[0]) as image:
            _note_size(path, image.size[::-1], data)
        pixels = decode(part.images, data.channels, data.resolution)
    return data.normalize(pixels.float() / 255), labels


def _note_size(path: Path, size: tuple[int, ...], data: ImageData) -> None:
    if size != (data.resolution, data.resolution):
        warnings.warn(
            f"{path}: images of {size[0]}x{size[1]} are resized to {data.resolution}x{data.resolution}", stacklevel=2
        )


def _match_classes(raw: Raw, data: ImageData) -> Tensor:
    """The label in ``data`` of each class of ``raw``, int64 [K]."""
    given, names = ([_plain(name) for name in classes] for classes in (raw.classes, data.classes))
    if sorted(given) == sorted(names):
        return torch.tensor([names.index(name) for name in given])
    numbers = [int(name) if name.isdecimal() else -1 for name in raw.classes]
    if len(set(numbers)) == len(numbers) and all(0 <= number < len(names) for number in numbers):
        return torch.tensor(numbers)  # folders 0, 1, 10, 11, 2, ... are numbers, whatever their order
    if len(raw.classes) != len(names):
        raise DataError(
            f"{raw.name} has {len(raw.classes)} classes, {data.name} has {len(names)}: name the data that the set "
            "stands for with --data"
        )
    stated = ", ".join(f"{name} as {of}" for name, of in list(zip(raw.classes, data.classes, strict=True))[:3])
    warnings.warn(f"{raw.name}: its classes are taken in the order of their names: {stated}, ...", stacklevel=2)
    return torch.arange(len(names))


def _plain(name: str) -> str:
    """A class's name as a folder can have it."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


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
    """The network that sets were distilled with, or ``unless_told`` where none says; ``RunError`` if they differ."""
    names = {candidate.network for candidate in candidates if candidate.network is not None} or {default_network}
    if len(names) > 1:
        raise RunError(f"the runs were distilled with different networks ({', '.join(sorted(names))}): evaluate apart")
    return names.pop()
