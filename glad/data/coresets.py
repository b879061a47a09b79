"""Coreset selection: real images, as many of each class as a distilled set has, that such a set has to beat.

``SELECTIONS`` has the methods by name: random images, k-means, and herding (Welling, ICML 2009).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from glad.data.balance import Ipc, per_class
from glad.data.dataset import CHUNK, ImageData
from glad.data.notices import shorten, warn_of
from glad.rng import rng_for

Labeled = tuple[Tensor, Tensor]
"""Normalized images [N, C, H, W] and what they are trained towards: int64 [N] or distributions [N, K]."""
Embed = Callable[[Tensor], Tensor]


def select_random(data: ImageData, ipc: Ipc, seed: int) -> Labeled:
    """``ipc`` real images of each class, normalized [N, C, H, W], and their labels; a function of ``seed``.

    N is K * ``ipc``, or less where a class has fewer images: then all of its images are taken, and a ``DataNotice``
    says it.
    """
    return _by_class(data, ipc, lambda c, n: data.real(c, n, rng_for(seed, "random baseline", c)))


def select_kmeans(data: ImageData, ipc: Ipc, seed: int) -> Labeled:
    """The real images nearest to the centers of ``ipc``-means on the pixels of each class; a function of ``seed``.

    Shapes are those of ``select_random``. At 1 image per class it is the one nearest to the class's mean, whatever
    the seed.
    """
    return _by_class(data, ipc, lambda c, n: _nearest_to_centers(data, c, n, seed))


def _by_class(data: ImageData, ipc: Ipc, chosen: Callable[[int, int], Tensor]) -> Labeled:
    """What ``chosen`` gives for each class and a number of its images, one class after the other."""
    sizes = data.labels.bincount(minlength=len(data.classes)).tolist()
    wanted = per_class(ipc, len(data.classes))
    classes = list(zip(data.classes, sizes, wanted, strict=True))
    if short := [f"{name} ({size})" for name, size, n in classes if size < n]:
        warn_of([f"{data.name}: fewer than {max(wanted)} images in {shorten(short)}: all of them are taken"])
    counts = [min(n, size) for _, size, n in classes]
    images = torch.cat([chosen(c, n) for c, n in enumerate(counts) if n])
    return images, torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def _nearest_to_centers(data: ImageData, c: int, n: int, seed: int) -> Tensor:
    """One image of each of ``n`` clusters of class ``c``."""
    from sklearn.cluster import KMeans  # half a second to import, which other commands need not wait for

    images = data.batch(data.of_class(c))
    if n == len(images):
        return images
    points = images.flatten(1).numpy()
    start = int(torch.randint(2**31, [1], generator=rng_for(seed, "k-means baseline", c)))
    clusters = KMeans(n, n_init=1, random_state=start).fit(points)
    distances = torch.from_numpy(clusters.transform(points))
    outside = torch.from_numpy(clusters.labels_)[:, None] != torch.arange(n)
    return images[distances.masked_fill(outside, torch.inf).argmin(0)]  # of its own cluster, so none is taken twice


def select_herding(data: ImageData, ipc: Ipc, seed: int, embed: Embed | None = None) -> Labeled:
    """Real images whose mean features follow those of their class, by herding (Welling, ICML 2009).

    Each step takes the image that brings the mean of those taken nearest to the class's mean. That is Welling's rule,
    the largest inner product with what the mean still lacks, for features of one length; others would be taken for
    their length alone. ``embed`` gives features [n, D] of normalized images [n, C, H, W]; without it they are the
    pixels. Nothing is drawn, so that every ``seed`` gives the same images. Shapes are those of ``select_random``.
    """
    return _by_class(data, ipc, lambda c, n: _herd(data, c, n, embed))


def _herd(data: ImageData, c: int, n: int, embed: Embed | None) -> Tensor:
    """The first ``n`` images of class ``c`` in the order of herding."""
    indices = data.of_class(c)
    batches = (data.batch(part) for part in indices.split(CHUNK))
    features = torch.cat([(images if embed is None else embed(images)).flatten(1).double() for images in batches])
    lacking, taken = features.mean(0), torch.zeros(len(features), dtype=torch.bool)
    chosen: list[int] = []
    for _ in range(n):  # of squared distances |lacking - x|^2 the first term is the same for all
        distances = features.square().sum(1) - 2 * features @ lacking
        chosen.append(int(distances.masked_fill(taken, torch.inf).argmin()))
        taken[chosen[-1]] = True
        lacking = lacking + features.mean(0) - features[chosen[-1]]
    return data.batch(indices[torch.tensor(chosen)])


Selection = Callable[[ImageData, Ipc, int], Labeled]
SELECTIONS: dict[str, Selection] = {"random": select_random, "kmeans": select_kmeans, "herding": select_herding}
"""The methods by name, herding on pixels; arguments are those of ``select_random``."""


def select(method: str, data: ImageData, ipc: Ipc, seed: int, embed: Embed | None = None) -> Labeled:
    """Select ``ipc`` images of each class by the ``method`` of a name.

    Args:
        method: A name out of ``SELECTIONS``.
        data: The images to choose from.
        ipc: How many of each class: a number for all, or a list with one for each.
        seed: Of what is drawn.
        embed: The features that herding works in (see :func:`select_herding`); the other methods have no use for them.

    Returns:
        Normalized images [N, C, H, W], one class after the other, and their labels, int64 [N]. N is K * ipc, or less
        where a class has fewer images: then all of its images are taken, and a ``DataNotice`` says it.

    Raises:
        ValueError: There is no such method.
    """
    if method not in SELECTIONS:
        raise ValueError(f"unknown coreset selection {method!r}; choose from {', '.join(SELECTIONS)}")
    if method == "herding":
        return select_herding(data, ipc, seed, embed)
    return SELECTIONS[method](data, ipc, seed)
