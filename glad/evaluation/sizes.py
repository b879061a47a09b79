"""What each row of a table takes to store, so that nobody compares sets of unlike size unawares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from glad.evaluation.candidates import Candidate
from glad.evaluation.conditions import Condition
from glad.evaluation.rows import BEFORE, HYBRID, SET
from glad.runs.stored_size import StoredSize, size_of_images


def stored_sizes(
    conditions: Mapping[str, Condition],
    candidates: Sequence[Candidate],
    real_counts: Callable[[Candidate], Sequence[int]],
) -> dict[str, dict[str, Any]]:
    """The size of each row that tables show, by its id, as ``results.json`` has it.

    Args:
        conditions: By the id of their row.
        candidates: The sets.
        real_counts: ``real_counts(candidate)``: real images of each class that it is compared with.

    Returns:
        ``per_class``, the bytes of a class on average, of ``latents``, ``shared`` tensors and ``labels`` in all; apart
        from them ``weights``, the bytes of the pretrained weights, or None where they are not known. Real images count
        8 bits a value. Of sets also ``real_images``, how many of each class they are compared with.
    """
    sets = {candidate.name: candidate for candidate in candidates}
    found = {}
    for name, condition in conditions.items():
        candidate = sets.get(condition.row.owner or "")
        size = _size(condition, candidate)
        if condition.row.shown and size is not None:
            parts = {part: getattr(size, part) for part in ("latents", "shared", "labels", "weights", "per_class")}
            real = {"real_images": [*real_counts(candidate)]} if candidate and condition.row.kind == SET else {}
            found[name] = {**parts, **real}
    return found


def _size(condition: Condition, candidate: Candidate | None) -> StoredSize | None:
    """The size of what is trained on, with its labels as they are trained on."""
    images, labels = condition.data
    classes = labels.shape[1] if labels.is_floating_point() else int(labels.max()) + 1
    if candidate is None:
        return size_of_images(images, labels, classes)
    if candidate.stored is None:
        return None
    size = candidate.stored
    if condition.row.kind == HYBRID:
        of_set = len(candidate.images)
        real = size_of_images(images[of_set:], labels[of_set:], candidate.classes)
        size = replace(size, latents=size.latents + real.latents, labels=size.labels + real.labels)
    elif condition.row.kind not in (SET, BEFORE):
        return None
    taught = labels.is_floating_point() and candidate.soft_labels is None  # labels of its own are counted as stored
    return replace(size, labels=labels.nbytes) if taught else size
