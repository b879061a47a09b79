"""Codes alone: what a generator makes the images of, with all it takes to make the same ones again. The small file."""

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glad.formats.distilled import Card, Codes, Distilled
from glad.formats.files import readable
from glad.formats.packing import Packed
from glad.formats.rendering import render
from glad.runs.folder import Run
from glad.runs.storage import RunError, below, read_tensors, write_tensors
from glad.settings.objects import is_object

MOST = 1 / 255  # that an image's mean may differ by before the codes are not this set's


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write ``latents/NAME``, ``learned/NAME`` (tensors of the prior's own), ``labels`` and ``soft_labels``.

    What is packed in few bits is there as its levels, with ``affine/...`` beside it and ``packed`` in the metadata.
    Metadata: the card as ``dataset``; ``codes`` with the prior's name, options and SHA-256, the rows rendered at a
    time, and the SHA-256 of the images. ``means`` [N] are those of the images' pixels. The set is rendered to see that
    the codes give it; ``RunError`` when they do not, or when it has none.
    """
    codes = source.codes
    if codes is None:
        raise RunError(f"a set read from the format {source.card.format} has no codes: export those of its run")
    require_named(codes)
    images = render(codes, card, source.labels)
    require_rendered(source, images)
    means = source.pixels.flatten(1).mean(1)
    if card.zca == "none" and not torch.equal(images, source.images):
        off = float((images - source.images).abs().max())
        warnings.warn(f"rendered here, the images differ by up to {off:.1e} from the run's", stacklevel=2)
    options = {key: _bare_name(value) for key, value in codes.options.items()}
    files = [key for key in options if options[key] != codes.options[key] or key in codes.files]
    about = {"prior": _bare_name(codes.prior), "options": options, "sha256": codes.sha256, "chunk": codes.chunk}
    about |= {"files": files} if files else {}
    tensors = {f"latents/{name}": tensor for name, tensor in codes.latents.items()}
    tensors |= {f"learned/{name}": tensor for name, tensor in codes.learned.items()}
    tensors |= {"labels": source.labels, "means": means}
    tensors |= {} if source.soft_labels is None else {"soft_labels": source.soft_labels}
    about["images"] = _digest(images if card.zca == "inverted" else source.images)
    for name, packed in codes.packed.items():
        tensors |= {name: packed.levels, f"affine/{name}": packed.affine}
    about |= {"packed": {name: packed.about() for name, packed in codes.packed.items()}} if codes.packed else {}
    write_tensors(path, tensors, dataset=card.to_json(), codes=json.dumps(about))


def read(path: Path, prior: str | Path | None = None, device: str = "auto") -> Distilled:
    """Render the codes of a file, by the generator it names or by ``prior``, whose SHA-256 must be the same.

    Images that are not bit for bit those of the run (another processor, number of threads, torch) give a
    warning. ``RunError`` when the file is damaged, the generator is missing or another, or images come out different.
    """
    with readable(path):
        tensors, metadata = read_tensors(path)
        card, about = Card.from_dict(json.loads(metadata["dataset"])), json.loads(metadata["codes"])
        packed = {
            name: Packed.read(tensors.pop(name), tensors.pop(f"affine/{name}"), entry)
            for name, entry in about.get("packed", {}).items()
        }
        tensors |= {name: tensor.unpack() for name, tensor in packed.items()}
        latents = below("latents", tensors)
        learned = {**below("learnt", tensors), **below("learned", tensors)}  # the first of older versions
        made = {key: about[key] for key in ("prior", "options", "sha256", "chunk")}
        codes = Codes(latents, learned, **made, files=tuple(about.get("files", ())), packed=packed)
        codes = _locate(codes, path) if prior is None else with_file(codes, str(prior))
        means, expected = tensors["means"], about["images"]
        labels = tensors["labels"].long()
        labels = labels.repeat_interleave(len(means) // len(labels))  # packed ones may stand for a row's images
    images = render(codes, card, labels, device)
    pixels = card.data().pixels(images)
    _require_means(pixels, means, str(path))
    if _digest(images) != expected:
        warnings.warn(
            f"{path}: the images are those of the run but for rounding: another processor, number of "
            "threads, version of torch or of the operators",
            stacklevel=2,
        )
    with readable(path):
        return Distilled(images, pixels, labels, tensors.get("soft_labels"), card, codes)


def require_named(codes: Codes) -> None:
    """``RunError`` where no name leads to the prior."""
    if is_object(codes.prior):
        raise RunError(
            f"the prior was handed in as an object ({codes.prior}), which a file cannot name: "
            "distill with its module:Class to export codes"
        )


def require_rendered(source: Distilled, images: Tensor) -> None:
    """``RunError`` unless ``images``, rendered of the codes of ``source`` and not whitened, are its images."""
    made = source.codes.prior if source.codes else ""
    means = source.pixels.flatten(1).mean(1)
    if source.card.zca == "kept" and not _differ(source.card.data().pixels(images), means) < MOST:
        raise RunError(
            f"the set was distilled whitened (zca), and so are the images that {made} makes of its latents: only the "
            "data set can undo that; export images, such as safetensors"
        )
    _require_means(source.card.data().pixels(images), means, "the run's codes")


def _locate(codes: Codes, path: Path) -> Codes:
    """``codes`` of the file ``path`` whose own file of weights is found: here, beside it, or where its run had it."""
    file = str(codes.options[codes.files[0]]) if codes.files else codes.prior
    if Path(file).is_file() or Path(file).suffix != ".safetensors" or ":" in file:
        return codes
    places = [path.with_name(file)]
    if (path.parent / "config.yaml").is_file() and (weights := Run(path.parent).weights) is not None:
        places += [place for place in [Path(weights.file)] if place.name == file]
    found = next((place for place in places if place.is_file()), None)
    return codes if found is None else with_file(codes, str(found))


def with_file(codes: Codes, file: str) -> Codes:
    """``codes`` whose prior is ``file``, or takes it in place of the file that was named where they were written."""
    if not codes.files:
        return replace(codes, prior=file)
    return replace(codes, options={**codes.options, codes.files[0]: file})


def _bare_name(value: Any) -> Any:
    """``value``, of a file its name alone: not where it lay."""
    return Path(value).name if isinstance(value, str) and Path(value).is_file() else value


def _digest(images: Tensor) -> str:
    return hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()


def _require_means(pixels: Tensor, means: Tensor, what: str) -> None:
    off = _differ(pixels, means)
    if not off < MOST:
        raise RunError(f"{what}: rendered, an image's mean differs by {255 * off:.2f}/255 from that of the set")


def _differ(pixels: Tensor, means: Tensor) -> float:
    return float((pixels.flatten(1).mean(1) - means).abs().max())
