"""What an audit measures of a distilled set, as functions of predictions, features and pixels.

Features are those of a network trained on the full data: tensors [N, D], a row per image. Distances are Euclidean. A
number that a set is too small for is None.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from glad.data.dataset import ImageData
from glad.evaluation.summary import macro_accuracy
from glad.evaluation.training import class_accuracy
from glad.metrics import NEIGHBORS, ROWS, covered_share, diversity, nearest, spread
from glad.rng import rng_for

PAIRS = 10  # of confusions that are listed
DRAWS = 10  # of random real images
COPY = 0.01  # the quantile of real images' distances under which a synthetic image is too near
MEMBERS = 20  # fewer images say too little about the distances of their class
Labeled = tuple[Tensor, Tensor]
"""Features [N, D] and labels, int64 [N]."""
Neighbors = Mapping[str, tuple[Tensor, Tensor]]
"""By ``pixels`` and ``features``: distances, float64 [N], and positions in the training images, int64 [N]."""
Embed = Callable[[Tensor], Tensor]
"""From normalized images to features, both on the CPU."""


def confusion(predicted: Sequence[Tensor], labels: Tensor, classes: int) -> Tensor:
    """The share [K, K] of each class's images that is predicted as each class, float64, the mean over ``predicted``.

    ``predicted`` are classes of the same images by several networks. Rows of classes without images are zero.
    """
    counts = torch.zeros(classes, classes, dtype=torch.float64)
    ones = torch.ones(len(labels), dtype=torch.float64)
    for seen in predicted:
        counts.index_put_((labels, seen), ones, accumulate=True)
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def losses(full: Sequence[Tensor], ours: Sequence[Tensor], labels: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """Who loses: per class the accuracy with the full data less that with the set, and the wrong predictions.

    ``full`` and ``ours`` are predictions int64 [N] of real images by networks trained on either, one a seed. Classes
    come with the greatest loss first, those without images last; ``confusions`` are the pairs whose share grew most.
    ``macro_accuracy`` is the mean of the accuracies of the classes that have images.
    """
    count = labels.bincount(minlength=len(names)).tolist()
    whole, part = confusion(full, labels, len(names)), confusion(ours, labels, len(names))
    present = [c for c in range(len(names)) if count[c]]
    loss = (whole - part).diagonal()
    ordered = sorted(present, key=lambda c: -float(loss[c])) + [c for c in range(len(names)) if not count[c]]
    by_class = []
    for c in ordered:
        shares = (whole[c, c], part[c, c], loss[c])
        values = [float(value) if count[c] else None for value in shares]
        by_class.append(
            {"class": names[c], "images": count[c], **dict(zip(("full", "set", "loss"), values, strict=True))}
        )
    both = (("full", full), ("set", ours))
    seeds = {kind: [float((p == labels).double().mean()) for p in seen] for kind, seen in both}
    macro = {kind: [_macro(p, labels, len(names)) for p in seen] for kind, seen in both}
    return {
        "images": len(labels),
        "accuracy": {kind: {"mean": statistics.fmean(values), "seeds": values} for kind, values in seeds.items()},
        "macro_accuracy": {kind: {"mean": statistics.fmean(values), "seeds": values} for kind, values in macro.items()},
        "loss": statistics.fmean(seeds["full"]) - statistics.fmean(seeds["set"]),
        "worst_class_loss": by_class[0]["loss"],
        "worst_confusion": max(0.0, float((part - whole).fill_diagonal_(0).max())),
        "classes": by_class,
        "confusions": [
            {"class": names[a], "taken_for": names[b]}
            | {"full": float(whole[a, b]), "set": float(part[a, b]), "added": float(part[a, b] - whole[a, b])}
            for a, b in greatest_pairs(part - whole)[:PAIRS]
        ],
    }


def _macro(predicted: Tensor, labels: Tensor, classes: int) -> float:
    return macro_accuracy(class_accuracy(predicted, labels, classes)) or 0.0


def greatest_pairs(shares: Tensor) -> list[tuple[int, int]]:
    """The pairs of two different classes whose entry in ``shares`` [K, K] is above zero, the greatest first."""
    outside = shares.clone().fill_diagonal_(0)
    pairs = (outside > 0).nonzero()
    order = outside[pairs[:, 0], pairs[:, 1]].argsort(descending=True, stable=True)
    return [(a, b) for a, b in pairs[order].tolist()]


def nearest_row(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The distance, float64 [M], to the row of ``rows`` [N, D] nearest to each of ``points`` [M, D], and its index."""
    wide = rows.double()
    found = [torch.cdist(part, wide).min(1) for part in points.double().split(ROWS)]
    return torch.cat([entry.values for entry in found]), torch.cat([entry.indices for entry in found])


def cover(ours: Labeled, real: Labeled) -> tuple[Tensor, float]:
    """Whether the row of ``ours`` nearest to each of ``real`` has its class, bool [N], and the mean distance to it."""
    distances, index = nearest_row(real[0], ours[0])
    return ours[1][index] == real[1], float(distances.mean())


def coverage(ours: Labeled, real: Labeled, train: Labeled, names: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """How well the set stands for ``real`` images, beside as many random ones of the ``train`` images.

    Two numbers fit sets of any size: the share of real images whose nearest synthetic image has their class, and the
    mean distance to the nearest. Precision and recall are Kynkäänniemi et al.'s (NeurIPS 2019): recall draws a ball to
    the third neighbor around each synthetic image, and is None unless every class has more images than that.
    """
    own, distance = cover(ours, real)
    counts = ours[1].bincount(minlength=len(names))
    draws = [cover(_draw(train, counts, (seed, "audit", "random", i)), real) for i in range(DRAWS)]
    random_distance = statistics.fmean(entry[1] for entry in draws)
    precision = covered_share(ours[0], real[0]) if len(real[0]) > NEIGHBORS else None
    recall = covered_share(real[0], ours[0]) if int(counts.min()) > NEIGHBORS else None
    per_class = [float(own[real[1] == c].double().mean()) if c in real[1] else None for c in range(len(names))]
    return {
        "images": len(real[0]),
        "own_class": float(own.double().mean()),
        "own_class_random": statistics.fmean(float(entry[0].double().mean()) for entry in draws),
        "per_class": dict(zip(names, per_class, strict=True)),
        "distance": distance,
        "distance_random": random_distance,
        "distance_ratio": distance / random_distance if random_distance else None,
        "precision": precision,
        "recall": recall,
        "diversity": _diversities(ours, real, names),
    }


def _draw(train: Labeled, counts: Tensor, key: tuple[int | str, ...]) -> Labeled:
    """As many random rows of each class as ``counts`` [K] says, or all that there are."""
    picked = []
    for c, count in enumerate(counts.tolist()):
        members = (train[1] == c).nonzero().flatten()
        picked.append(members[torch.randperm(len(members), generator=rng_for(*key, c))[:count]])
    index = torch.cat(picked)
    return train[0][index], train[1][index]


def _diversities(ours: Labeled, real: Labeled, names: Sequence[str]) -> dict[str, Any]:
    """The mean distance of two images of a class over that of two real ones, by class; None for a single image."""
    ratios = [diversity(ours[0][ours[1] == c], real[0][real[1] == c]) for c in range(len(names))]
    defined = [ratio for ratio in ratios if ratio is not None]
    return {
        "mean": statistics.fmean(defined) if defined else None,
        "least": min(defined, default=None),
        "per_class": dict(zip(names, ratios, strict=True)),
    }


def nearest_training(
    images: Tensor, features: Tensor, train: ImageData, embed: Embed
) -> dict[str, tuple[Tensor, Tensor]]:
    """The training image nearest to each of ``images`` (uint8 [M, C, H, W]; ``features`` [M, D]) in either sense.

    By ``pixels`` and ``features``: distances float64 [M], of pixels in [0, 1], and positions in ``train``.
    """
    best: dict[str, tuple[Tensor, Tensor]] = {}
    for index in train.chunks():  # so that a data set on the disk never lies in memory as a whole
        raw = train.raw(index)
        part = {
            "pixels": nearest(images, raw),
            "features": nearest_row(features, embed(train.normalize(raw.float() / 255))),
        }
        for kind, (distance, where) in part.items():
            if kind not in best:
                best[kind] = distance, index[where]
                continue
            closer = distance < best[kind][0]
            best[kind] = torch.where(closer, distance, best[kind][0]), torch.where(closer, index[where], best[kind][1])
    return best


def too_near(distances: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The distance [K] to a training image that is too near for an image of each class, float64.

    It is the quantile ``COPY`` of the ``distances`` [N] of unseen real images of the class: trousers lie nearer to
    each other than bags. Of a class with fewer than ``MEMBERS`` images it is the quantile of all.
    """
    members = [distances[labels == c] for c in range(classes)]
    return torch.stack([(part if len(part) >= MEMBERS else distances).quantile(COPY) for part in members])


def memorization(ours: Neighbors, real: Neighbors, labels: Tensor, unseen: Tensor, train: ImageData) -> dict[str, Any]:
    """Whether synthetic images, of ``labels``, lie nearer to training images than real images, of ``unseen``, do.

    Both are what ``nearest_training`` found. ``share`` is that of synthetic images no further away than ``too_near``;
    ``nearest`` lists all of them, in the order of their distance in pixels over that.
    """
    found: dict[str, Any] = {"images": len(labels), "real_images": len(unseen), "quantile": COPY}
    ratios = {}
    for kind, (distances, _) in ours.items():
        limits = too_near(real[kind][0], unseen, len(train.classes))
        ratios[kind] = nearness(distances, limits[labels])
        found[kind] = {
            "share": float((distances <= limits[labels]).double().mean()),
            "median": float(distances.median()),
            "real_median": float(real[kind][0].median()),
            "too_near": dict(zip(train.classes, limits.tolist(), strict=True)),
        }
    found["nearest"] = [
        {"image": i, "class": train.classes[int(labels[i])]}
        | {kind: _neighbor(distance[i], ratios[kind][i], where[i], train) for kind, (distance, where) in ours.items()}
        for i in ratios["pixels"].argsort(stable=True).tolist()
    ]
    return found


def beginnings(ours: Neighbors, start: Neighbors) -> dict[str, Any]:
    """Whether images began as copies of training images, and whether these are still the nearest, in pixels.

    Both are what ``nearest_training`` found of the same rows, after and before optimization.
    """
    copied = start["pixels"][0] < 1 / 255  # less than one level of one pixel
    still = copied & (ours["pixels"][1] == start["pixels"][1])
    return {"copies": int(copied.sum()), "still_nearest": int(still.sum()), "share": float(still.double().mean())}


def nearness(distances: Tensor, limits: Tensor) -> Tensor:
    """Distances [N] over those that are too near [N]: 1 is as near as that, 0 a copy."""
    return distances / limits.clamp(min=1e-9)  # 0 where unseen real images are copies of training images


def _neighbor(distance: Tensor, ratio: Tensor, where: Tensor, train: ImageData) -> dict[str, Any]:
    named = {"training_image": int(where), "class": train.classes[int(train.labels[where])]}
    return {"distance": float(distance), "ratio": float(ratio), **named}


def appearance(images: Tensor) -> dict[str, float]:
    """Mean ``brightness``, and ``contrast`` (the mean deviation within an image), of images uint8 [N, C, H, W]."""
    values = images.flatten(1).double() / 255
    return {"brightness": float(values.mean()), "contrast": float(values.std(1, correction=0).mean())}


def recognition(predicted: Sequence[Tensor], labels: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """The share of synthetic images that networks trained on the full data classify as labeled, and the rest."""
    seen = confusion(predicted, labels, len(names))
    return {
        "share": statistics.fmean(float((p == labels).double().mean()) for p in predicted),
        "taken_for": [
            {"class": names[a], "taken_for": names[b], "share": float(seen[a, b])} for a, b in greatest_pairs(seen)
        ],
    }


def movement(before: Tensor, after: Tensor, labels: Tensor, real: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """How far optimization moved images: features before to after, over the mean distance of two ``real`` images."""
    scale = spread(real)
    distances = (after.double() - before.double()).norm(dim=1)
    if not scale:
        return {"mean": None, "per_class": dict.fromkeys(names)}
    by_class = [distances[labels == c] for c in range(len(names))]
    per_class = [float(part.mean()) / scale if len(part) else None for part in by_class]
    return {"mean": float(distances.mean()) / scale, "per_class": dict(zip(names, per_class, strict=True))}
