"""Sets of real images that a distilled set has to beat, by the name that the table shows."""

from collections.abc import Callable

import torch
from torch import Tensor

from glad.data import DataError, ImageData
from glad.randomness import generator

Labelled = tuple[Tensor, Tensor]


def random_real(data: ImageData, ipc: int, seed: int) -> Labelled:
    """``ipc`` real images of each class, normalised [K * ipc, C, H, W], and their labels; a function of ``seed``."""
    return _by_class(data, ipc, lambda c: data.real(c, ipc, generator(seed, "random baseline", c)))


def kmeans_real(data: ImageData, ipc: int, seed: int) -> Labelled:
    """The real images nearest to the centres of ``ipc``-means on the pixels of each class; a function of ``seed``.

    Shapes are those of :func:`random_real`. At 1 image per class it is the one nearest to the class's mean, whatever
    the seed.
    """
    return _by_class(data, ipc, lambda c: _nearest_to_centres(data, c, ipc, seed))


def _by_class(data: ImageData, ipc: int, chosen: Callable[[int], Tensor]) -> Labelled:
    """The images chosen for each class, one class after the other."""
    classes = range(len(data.classes))
    return torch.cat([chosen(c) for c in classes]), torch.arange(len(classes)).repeat_interleave(ipc)


def _nearest_to_centres(data: ImageData, c: int, ipc: int, seed: int) -> Tensor:
    """One image of each cluster of class ``c``; ``DataError`` where it has too few."""
    from sklearn.cluster import KMeans  # half a second to import, which other commands need not wait for

    images = data.batch(data.of_class(c))
    points = images.flatten(1).numpy()
    if len(points) < ipc:
        raise DataError(f"class {data.classes[c]!r} of {data.name} has {len(points)} images, {ipc} were asked for")
    start = int(torch.randint(2**31, [1], generator=generator(seed, "k-means baseline", c)))
    clusters = KMeans(ipc, n_init=1, random_state=start).fit(points)
    distances = torch.from_numpy(clusters.transform(points))
    outside = torch.from_numpy(clusters.labels_)[:, None] != torch.arange(ipc)
    return images[distances.masked_fill(outside, torch.inf).argmin(0)]  # of its own cluster, so none is taken twice


REAL: dict[str, tuple[str, Callable[[ImageData, int, int], Labelled]]] = {
    "random": ("random real images", random_real),
    "kmeans": ("real images nearest to k-means centres", kmeans_real),
}
"""Baselines of as many real images as a run has synthetic ones: their name in tables, and what picks them."""
