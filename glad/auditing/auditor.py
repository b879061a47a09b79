"""An audit from its run to its files: what is measured (``checks.py``), and what is said of it (``verdicts.py``)."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generators.classes import GeneratorClass
from glad.auditing import checks
from glad.auditing.audited_run import AuditedRun, sha256_of
from glad.auditing.networks import open_audited, train_networks
from glad.auditing.verdicts import find_broken, number, verdicts
from glad.data.dataset import ImageData, Splits
from glad.networks import Network
from glad.runs.folder import Run
from glad.runs.image_grid import Row, eight_bit, save_png, sheet
from glad.runs.soft_labels import likeliest
from glad.runs.storage import write_json, write_tensors
from glad.settings.audit import NUMBERS, AuditSettings, Split
from glad.settings.types import as_tuple
from glad.tasks.engines import open_engine
from glad.version import VERSION

SCHEMA = 1
"""Of ``audit.json``; it grows when a key changes its meaning or goes."""
COLUMNS, BLOCKS = 12, 3  # of the picture of neighbors
PICTURED = 20  # images a row of the picture before and after
SETTINGS = (
    *("data", "objective", "objective_options", "prior", "prior_options", "ipc", "iterations", "seed", "network"),
    *("network_options", "augmentation", "initialization", "classes", "limit", "resolution", "zca", "class_map"),
    *("drop_duplicates", "balance", "budget"),
)
"""Settings of the run that the audit names."""


def audit(
    run: str | Path | Run,
    *,
    network: str | None = None,
    width: int = 32,
    epochs: int = 10,
    set_epochs: int = 300,
    seeds: int | Sequence[int] = 2,
    images: int = 5000,
    learning_rate: float | None = None,
    split: Split = "validation",
    data: Splits | None = None,
    out: str | Path | None = None,
    fail_on: Mapping[str, float] | None = None,
    device: str = "auto",
    workers: int | None = None,
    ray: str | None = None,
    on_network: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Check who loses by a distilled set, what it covers, what it copied, and where it is from.

    Networks are trained on real images and on the set, and compared class by class on images that neither contains.
    Writes ``audit.json`` and two pictures. docs/AUDIT.md says what the keys mean.

    Args:
        run: The finished run, by its folder or as an object.
        network: A name in ``glad.networks.NETWORKS``; by default the network that the set was distilled with.
        width: Channels of the network's first stage.
        epochs: Of the training on real images.
        set_epochs: Of the training on the set.
        seeds: How many networks of either kind, or a list of seeds.
        images: At most so many real training images, of each class its share.
        learning_rate: Of the training on the set; by default the step size that was learned with the set, else
            0.01.
        split: The real images that are tested on, ``validation`` or ``test``.
        data: The splits, for a run that was distilled from an object instead of a name.
        out: Folder for the files and for the networks, which the next audit uses again; by default the run's.
        fail_on: Thresholds by the name of a number in ``glad.settings.audit.NUMBERS``.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: At most so many networks at once, each in a process of its own; by default 1, with ray as many as
            there is room for. Processes of this machine share the threads of this one.
        ray: ``local``, or the address of a Ray cluster whose machines share the run's folder (docs/SCALE.md).
        on_network: Is called with (done, total, name) after each network.

    Returns:
        What ``audit.json`` holds. ``numbers`` are plain numbers by name, ``verdicts`` a line for people per check,
        ``broken`` a line for each threshold that is not kept.

    Raises:
        RunError: For what is no finished run, or was made from other data.
        ValueError: For settings that do not exist.
        ArithmeticError: Where a training diverges.

    Examples:
        >>> found = glad.audit("runs/tiny", width=8, epochs=1, set_epochs=1, seeds=1, images=100)
        >>> 0 <= found["numbers"]["accuracy_set"] <= 1, sorted(found["verdicts"])[:2]
        (True, ['coverage', 'losses'])
    """
    settings = AuditSettings(
        network=network,
        width=width,
        epochs=epochs,
        set_epochs=set_epochs,
        seeds=as_tuple(seeds),
        images=images,
        learning_rate=learning_rate,
        split=split,
        out=None if out is None else str(out),
        fail_on=fail_on or {},
        device=device,
        workers=workers,
        ray=ray,
    )
    return run_audit(run, settings, data, on_network)


def run_audit(
    run: str | Path | Run,
    settings: AuditSettings,
    data: Splits | None = None,
    on_network: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Check the set of a finished ``run``; see ``audit``."""
    folder = run if isinstance(run, Run) else Run(Path(run))
    audited = open_audited(folder, settings, data)
    with open_engine(settings, audited.out, audited.device) as engine:
        networks = train_networks(audited, settings, data, engine, on_network)
    found = _add_verdicts(_measure(audited, networks), dict(settings.fail_on))
    write_json(audited.out / "audit.json", found)
    return found


def _add_verdicts(found: dict[str, Any], limits: dict[str, float]) -> dict[str, Any]:
    """The checks with their numbers, the lines for people, and the thresholds that are not kept."""
    numbers = {name: number(found, name) for name in NUMBERS}
    lines = {"numbers": numbers, "verdicts": verdicts(found)}
    return {**found, **lines, "thresholds": limits, "broken": find_broken(numbers, limits)}


def _measure(audited: AuditedRun, networks: tuple[list[Network], list[Network]]) -> dict[str, Any]:
    """All checks, in the form of ``audit.json``."""
    names, distilled = audited.train.classes, audited.distilled
    full, ours = networks
    tested = [[audited.predict(n, audited.tested) for n in part] for part in (full, ours)]
    extractor = full[0]  # features are those of the first seed's network
    real = audited.embed(extractor, audited.queried), audited.queried.labels
    train = audited.embed(extractor, audited.train_sample), audited.train_sample.labels
    after = audited.embed(extractor, distilled.images)
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "run": audited.run.name,
        "settings": _settings(audited),
        "losses": checks.losses(tested[0], tested[1], audited.tested.labels, names),
        "coverage": checks.coverage((after, distilled.labels), real, train, names),
        "memorisation": _memorization(audited, extractor, after, real[0]),
        "recognised": _measure_recognition(audited, full, distilled.images, distilled.labels),
    }
    found["prior"] = _prior(audited, full, after, real[0])
    return {**found, "provenance": _provenance(audited)}


def _settings(audited: AuditedRun) -> dict[str, Any]:
    """What the numbers depend on, beside the run."""
    import torchvision  # seconds to import, and only for its version

    real, own = audited.training_setups()
    return {
        **{name: getattr(audited, name) for name in ("network", "width", "epochs", "set_epochs", "seeds", "split")},
        "images": len(audited.train_sample),
        "training_images": len(audited.train),
        "lr": {"full": real.learning_rate, "set": own.learning_rate},
        "augmentation": {"full": real.protocol.augmentation, "set": own.protocol.augmentation},
        "tested_hash": audited.tested.digest,
        "versions": {"glad": VERSION, "torch": torch.__version__, "torchvision": torchvision.__version__}
        | {"python": platform.python_version()},
    }


def _measure_recognition(
    audited: AuditedRun, full: Sequence[Network], images: Tensor, labels: Tensor
) -> dict[str, Any]:
    seen = [audited.predict(network, images) for network in full]
    return checks.recognition(seen, labels, audited.train.classes)


def _memorization(audited: AuditedRun, extractor: Network, after: Tensor, real: Tensor) -> dict[str, Any]:
    """Neighbors among the training images, with their picture."""
    distilled, train, queried = audited.distilled, audited.train, audited.queried
    start = audited.run.read_set("initial")[0]
    parts = [eight_bit(distilled.pixels), queried.raw(torch.arange(len(queried))), eight_bit(train.pixels(start))]
    features = torch.cat([after, real, audited.embed(extractor, start)])
    found = checks.nearest_training(torch.cat(parts), features, train, lambda images: audited.embed(extractor, images))
    rows_of = torch.arange(len(features)).split([len(part) for part in parts])
    own, others, before = (
        {kind: (distances[index], where[index]) for kind, (distances, where) in found.items()} for index in rows_of
    )
    limits = checks.too_near(others["pixels"][0], queried.labels, len(train.classes))
    rows = _neighbor_rows("synthetic", parts[0], own, limits[distilled.labels], train, BLOCKS)
    rows += _neighbor_rows("real, unseen", parts[1], others, limits[queried.labels], train, 1)
    save_png(sheet(rows), audited.out / "audit_nearest.png")
    write_tensors(audited.out / "audit_nearest.safetensors", {"pixels": train.raw(own["pixels"][1])})
    found_copies = checks.memorization(own, others, distilled.labels, queried.labels, train)
    return {**found_copies, "start": checks.beginnings(own, before)}


def _neighbor_rows(
    name: str, images: Tensor, found: checks.Neighbors, limits: Tensor, train: ImageData, blocks: int
) -> list[Row]:
    """Images above their nearest training images, the closest for their class first; ``COLUMNS`` a block."""
    rows: list[Row] = []
    order = checks.nearness(found["pixels"][0], limits).argsort(stable=True)
    for index in order.split(COLUMNS)[:blocks]:
        rows.append((name, images[index]))
        rows += [(f"nearest in {kind}", train.raw(where[index])) for kind, (_, where) in found.items()]
    return rows


def _prior(audited: AuditedRun, full: Sequence[Network], after: Tensor, real: Tensor) -> dict[str, Any]:
    """What the prior's images were before and after, with their picture; without weights, that there are none."""
    if audited.run.weights is None:
        return {"generator": False, "why": f"There is no generator: the run optimized {audited.settings.prior}."}
    images, labels = audited.run.read_set("initial")
    labels = likeliest(labels)
    train, names = audited.train, audited.train.classes
    pixels = {
        "before": eight_bit(train.pixels(images)),
        "after": eight_bit(audited.distilled.pixels),
        "real": audited.queried.raw(torch.arange(len(audited.queried))),
    }
    _save_before_after(audited, pixels, labels)
    seen = {kind: checks.appearance(values) for kind, values in pixels.items()}
    before = audited.embed(full[0], images)
    return {
        "generator": True,
        "moved": checks.movement(before, after, labels, real, names),
        "recognised_before": _measure_recognition(audited, full, images, labels),
        "appearance": seen,
        **{f"{key}_shift": abs(seen["after"][key] - seen["real"][key]) for key in ("brightness", "contrast")},
    }


def _save_before_after(audited: AuditedRun, pixels: Mapping[str, Tensor], labels: Tensor) -> None:
    """The first image of each class, before and after, above a real one."""
    unseen = audited.queried.labels
    classes = [c for c in labels.unique().tolist() if c in unseen][:PICTURED]
    own, real = (torch.tensor([int((every == c).nonzero()[0]) for c in classes]) for every in (labels, unseen))
    rows = [(kind, images[real if kind == "real" else own]) for kind, images in pixels.items()]
    save_png(sheet(rows), audited.out / "audit_before_after.png")


def _provenance(audited: AuditedRun) -> dict[str, Any]:
    """Where the set comes from, as its run recorded it, and the hashes of its files."""
    inputs, weights, own = audited.run.inputs, audited.run.weights, audited.settings.plain()
    parts = [(name, getattr(audited.splits, name)) for name in ("train", "validation", "test")]
    settings = {name: own[name] for name in SETTINGS}
    classes = {name: GeneratorClass.read(stored) for name, stored in inputs.get("prior_classes", {}).items()}
    settings |= {name: Path(settings[name]).name for name in ("data", "prior")}  # not where they lay
    return {
        "settings": settings,
        "learning_rates": inputs.get("learning_rates", {}),
        "hashes": inputs["hashes"],
        "weights": None if weights is None else replace(weights, file="").fields(),
        "versions": inputs.get("versions", {}),
        "prior_classes": {name: found.in_words() for name, found in classes.items()},
        "renamed_classes": [name for name, found in classes.items() if found.name != name],
        "splits": {name: {"from": audited.splits.origins.get(name, ""), "images": len(part)} for name, part in parts},
        "notices": list(audited.splits.notices),
        "synset_sha256": sha256_of(audited.run.path / "synset.safetensors"),
        "initial_sha256": sha256_of(audited.run.path / "initial.safetensors"),
    }
