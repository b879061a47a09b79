"""The set that the folder of a run holds, with its codes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from glad.data.dataset import ImageData, Splits
from glad.formats.distilled import Card, Codes, Distilled
from glad.formats.files import readable
from glad.formats.storage import QuantizationLoss
from glad.runs import soft_labels
from glad.runs.folder import FILE, Run, bare_hashes
from glad.runs.storage import RunError, below, read_tensors
from glad.settings.objects import is_object

SETTINGS = ("data", "objective", "prior", "network", "augmentation", "ipc", "budget", "iterations", "seed")
"""Settings that the card shows."""


def read(run: Run, data: Splits | None = None) -> Distilled:
    """The final set of a run; ``RunError`` unless the run is finished.

    The data set is opened only where whitening has to be undone; ``data`` is it, where no name leads to it.
    """
    config = run.config
    images, labels = run.read_set()
    saved = _read_finished(run, config)
    if not bool(images.isfinite().all()):
        raise RunError(f"{run.path} holds images that are not finite: distill again with lower learning rates")
    whitened = _load_whitened(run, config, data)
    with readable(run.path):
        card = _card(run, config, images, whitened is not None)
        pixels = (whitened or card.data()).pixels(images)
        card = replace(card, range=(float(pixels.min()), float(pixels.max())))
        soft = labels if labels.is_floating_point() else soft_labels.read(run.path, images)
        hard = soft_labels.likeliest(labels)
        return Distilled(images, pixels, hard, soft, card, _codes(run, config, saved))


def _read_finished(run: Run, config: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of the run's state; ``RunError`` when iterations are missing, as in a run that was made longer."""
    with readable(run.path):
        saved, progress = read_tensors(run.state)
        done, wanted = int(progress["iteration"]), int(config["iterations"])
    if done < wanted:
        raise RunError(
            f"{run.path} has done {done} of {wanted} iterations: the run is not finished; start it again to continue it"
        )
    return saved


def _load_whitened(run: Run, config: dict[str, Any], data: Splits | None) -> ImageData | None:
    """The data of a run, if it is whitened; ``RunError`` when it cannot be had or is other data now."""
    source = str(config.get("data"))
    if data is None and is_object(source):
        raise RunError(f"{run.path} was distilled from {source}: hand it to glad.load_distilled(..., data=...)")
    if data is None and not config.get("zca"):
        return None
    from glad.data.splits import open_data  # loads generators, which other sets need not wait for

    recorded = run.data_digest
    train = open_data(run.settings, data, recorded).train
    if train.digest != recorded:
        raise RunError(f"{run.path} was distilled from data {recorded[:12]}, here is {train.digest[:12]}")
    return train if train.whitening is not None else None


def _card(run: Run, config: dict[str, Any], images: Tensor, zca: bool) -> Card:
    """The set's card, but for the range of its pixels."""
    inputs = run.inputs
    made = {key: config[key] for key in SETTINGS if config.get(key) is not None}
    made |= {key: Path(made[key]).name for key in ("data", "prior") if key in made}  # not where it lay
    return Card(
        classes=tuple(inputs["classes"]),
        images=len(images),
        channels=images.shape[1],
        resolution=images.shape[2],
        mean=tuple(inputs["mean"]),
        std=tuple(inputs["std"]),
        range=(0.0, 1.0),
        zca="kept" if zca else "none",
        step_size=run.step_size,
        format="run",
        levels=None,
        cost=QuantizationLoss(),
        made={"run": run.name, **made, "hashes": bare_hashes(inputs["hashes"]), "versions": inputs["versions"]},
    )


def _codes(run: Run, config: dict[str, Any], saved: dict[str, Tensor]) -> Codes:
    latents, _ = read_tensors(run.path / "synset.safetensors")
    hashes = run.inputs["hashes"]
    return Codes(
        latents=below("latents", latents),
        learned=below("prior", saved),
        prior=str(config["prior"]),
        options=config["prior_options"],
        sha256=hashes["weights"],
        chunk=config["chunk"],
        files=tuple(key for key, value in config["prior_options"].items() if f"{FILE}{Path(str(value))}" in hashes),
    )
