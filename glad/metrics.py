"""Distances between sets of images, as functions of their features: tensors [N, D], a row per image."""

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS = 1000  # rows of a distance matrix in memory at once
NEIGHBORS = 3  # the k of Kynkäänniemi et al.


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean [D] and the unbiased covariance [D, D] of ``features`` [N, D], in float64."""
    rows = features.double()
    mean = rows.mean(0)
    centered = rows - mean
    return mean, centered.t() @ centered / (len(rows) - 1)


def root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a symmetric, positive semi-definite ``matrix`` [D, D]."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.t()


def gaussian_frechet(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    """The squared Fréchet distance of two Gaussians, each a mean [D] and a covariance [D, D], in float64.

    |m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½). The trace of the last root is that of (S1^½ S2 S1^½)^½, whose argument is
    symmetric and so has real eigenvalues.
    """
    (mean, covariance), (other_mean, other_covariance) = one, other
    half = root(covariance)
    product = half @ other_covariance @ half
    shared = torch.linalg.eigvalsh((product + product.t()) / 2).clamp(min=0).sqrt().sum()
    distance = (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2 * shared
    return max(0.0, distance.item())  # rounding can leave a tiny negative number


def frechet(features: Tensor, others: Tensor) -> float:
    """The Fréchet distance of two sets of features, as FID defines it (Heusel et al., NeurIPS 2017), squared units."""
    return gaussian_frechet(moments(features), moments(others))


def radii(features: Tensor, k: int = NEIGHBORS) -> Tensor:
    """The distance [N] of each row to its ``k``-th nearest other row, float64; ``ValueError`` for too few rows."""
    if len(features) <= k:
        raise ValueError(f"{len(features)} images have no {k} neighbors each: take more images")
    rows = features.double()
    # The nearest of all is the row itself.
    return torch.cat([torch.cdist(part, rows).topk(k + 1, largest=False).values[:, k] for part in rows.split(ROWS)])


def covered_share(points: Tensor, features: Tensor, k: int = NEIGHBORS) -> float:
    """The share of ``points`` [M, D] that lie in the ball of any row of ``features`` [N, D], its radius ``radii``."""
    reach, rows = radii(features, k), features.double()
    inside = [(torch.cdist(part, rows) <= reach).any(1) for part in points.double().split(ROWS)]
    return torch.cat(inside).double().mean().item()


def precision_recall(generated: Tensor, real: Tensor, k: int = NEIGHBORS) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al., NeurIPS 2019) of features [M, D] and [N, D], in [0, 1].

    Precision is the share of generated images among the real ones' ``k``-nearest-neighbor balls, recall the reverse.
    """
    return covered_share(generated, real, k), covered_share(real, generated, k)


def spread(features: Tensor) -> float | None:
    """The mean Euclidean distance between two different rows of ``features`` [N, D]; None for a single row."""
    return F.pdist(features.double()).mean().item() if len(features) > 1 else None


def diversity(generated: Tensor, real: Tensor) -> float | None:
    """The ``spread`` of generated features over that of real ones: 0 when all are alike; None if it is undefined."""
    ours, theirs = spread(generated), spread(real)
    return None if ours is None or not theirs else ours / theirs


def nearest(images: Tensor, pool: Tensor) -> tuple[Tensor, Tensor]:
    """The Euclidean distance [M] to, and the position [M] of, the image of ``pool`` nearest to each of ``images``.

    Both are uint8 [M or N, C, H, W]; distances, in float64, are of pixels in [0, 1], exact up to the last root.
    """
    queries = images.flatten(1).double()  # whole numbers: their products and sums are exact
    best = torch.full([len(queries)], torch.inf, dtype=torch.float64)
    where = torch.zeros(len(queries), dtype=torch.int64)
    for start in range(0, len(pool), ROWS):
        distances, index = torch.cdist(queries, pool[start : start + ROWS].flatten(1).double()).min(1)
        closer = distances < best
        best, where = torch.where(closer, distances, best), torch.where(closer, start + index, where)
    return best / 255, where
