"""Codes alone: what a generator makes the images of, with all it takes to make the same ones again. The small file."""

import hashlib
import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from glad.formats.distilled import Card, Codes, Distilled
from glad.formats.files import readable
from glad.formats.rendering import render
from glad.runs.storage import RunError, below, read_tensors, write_tensors
from glad.settings.objects import is_object

MOST = 1 / 255  # that an image's mean may differ by before the codes are not this set's


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write ``latents/NAME``, ``learned/NAME`` (tensors of the prior's own), ``labels`` and ``soft_labels``.

    Metadata: the card as ``dataset``; ``codes`` with the prior's name, options and SHA-256, the rows rendered at a
    time, and the SHA-256 of the images. ``means`` [N] are those of the images' pixels. The set is rendered to see that
    the codes give it; ``RunError`` when they do not, or when it has none.
    """
    codes = source.codes
    if codes is None:
        raise RunError(f"a set read from the format {source.card.format} has no codes: export those of its run")
    if is_object(codes.prior):
        raise RunError(
            f"the prior was handed in as an object ({codes.prior}), which a file cannot name: "
            "distill with its module:Class to export codes"
        )
    images = render(codes, card, source.labels)
    means = source.pixels.flatten(1).mean(1)
    _require_means(card.data().pixels(images), means, "the run's codes")
    if card.zca == "none" and not torch.equal(images, source.images):
        off = float((images - source.images).abs().max())
        warnings.warn(f"rendered here, the images differ by up to {off:.1e} from the run's", stacklevel=2)
    named = Path(codes.prior).name if Path(codes.prior).is_file() else codes.prior  # not where the file lay
    about = {"prior": named, "options": dict(codes.options), "sha256": codes.sha256, "chunk": codes.chunk}
    tensors = {f"latents/{name}": tensor for name, tensor in codes.latents.items()}
    tensors |= {f"learned/{name}": tensor for name, tensor in codes.learned.items()}
    tensors |= {"labels": source.labels, "means": means}
    tensors |= {} if source.soft_labels is None else {"soft_labels": source.soft_labels}
    about["images"] = _digest(images if card.zca == "inverted" else source.images)
    write_tensors(path, tensors, dataset=card.to_json(), codes=json.dumps(about))


def read(path: Path, prior: str | Path | None = None, device: str = "auto") -> Distilled:
    """Render the codes of a file, by the generator it names or by ``prior``, whose SHA-256 must be the same.

    Images that are not bit for bit those of the run (another processor, number of threads, torch) give a
    warning. ``RunError`` when the file is damaged, the generator is missing or another, or images come out different.
    """
    with readable(path):
        tensors, metadata = read_tensors(path)
        card, about = Card.from_dict(json.loads(metadata["dataset"])), json.loads(metadata["codes"])
        latents = below("latents", tensors)
        learned = {**below("learnt", tensors), **below("learned", tensors)}  # the first of older versions
        codes = Codes(latents, learned, about["prior"], about["options"], about["sha256"], about["chunk"])
        labels, means, expected = tensors["labels"], tensors["means"], about["images"]
    images = render(codes, card, labels, prior, device)
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


def _digest(images: Tensor) -> str:
    return hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()


def _require_means(pixels: Tensor, means: Tensor, what: str) -> None:
    off = float((pixels.flatten(1).mean(1) - means).abs().max())
    if not off < MOST:
        raise RunError(f"{what}: rendered, an image's mean differs by {255 * off:.2f}/255 from that of the set")
