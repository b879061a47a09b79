"""Coreset selection: real images, as many of each class as a distilled set has, that such a set has to beat.

``SELECTIONS`` has the methods by name: random images, k-means, and herding (Welling, ICML 2009).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from glad.data.dataset import CHUNK, DataError, ImageData
from glad.rng import rng_for

Labeled = tuple[Tensor, Tensor]
"""Normalised images [N, C, H, W] and what they are trained towards: int64 [N] or distributions [N, K]."""
Embed = Callable[[Tensor], Tensor]


def select_random(data: ImageData, ipc: int, seed: int) -> Labeled:
    """``ipc`` real images of each class, normalized [K * ipc, C, H, W], and their labels; a function of ``seed``."""
    return _by_class(data, ipc, lambda c: data.real(c, ipc, rng_for(seed, "random baseline", c)))


def select_kmeans(data: ImageData, ipc: int, seed: int) -> Labeled:
    """The real images nearest to the centres of ``ipc``-means on the pixels of each class; a function of ``seed``.

    Shapes are those of ``select_random``. At 1 image per class it is the one nearest to the class's mean, whatever
    the seed.
    """
    return _by_class(data, ipc, lambda c: _nearest_to_centres(data, c, ipc, seed))


def _by_class(data: ImageData, ipc: int, chosen: Callable[[int], Tensor]) -> Labeled:
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
    start = int(torch.randint(2**31, [1], generator=rng_for(seed, "k-means baseline", c)))
    clusters = KMeans(ipc, n_init=1, random_state=start).fit(points)
    distances = torch.from_numpy(clusters.transform(points))
    outside = torch.from_numpy(clusters.labels_)[:, None] != torch.arange(ipc)
    return images[distances.masked_fill(outside, torch.inf).argmin(0)]  # of its own cluster, so none is taken twice


def select_herding(data: ImageData, ipc: int, seed: int, embed: Embed | None = None) -> Labeled:
    """Real images whose mean features follow those of their class, by herding (Welling, ICML 2009).

    Each step takes the image that brings the mean of those taken nearest to the class's mean. That is Welling's rule,
    the largest inner product with what the mean still lacks, for features of one length; others would be taken for
    their length alone. ``embed`` gives features [n, D] of normalized images [n, C, H, W]; without it they are the
    pixels. Nothing is drawn, so that every ``seed`` gives the same images. Shapes are those of ``select_random``.
    """
    return _by_class(data, ipc, lambda c: _herded(data, c, ipc, embed))


def _herded(data: ImageData, c: int, ipc: int, embed: Embed | None) -> Tensor:
    """The images of class ``c`` in the order of herding; ``DataError`` where it has too few."""
    indices = data.of_class(c)
    if len(indices) < ipc:
        raise DataError(f"class {data.classes[c]!r} of {data.name} has {len(indices)} images, {ipc} were asked for")
    batches = (data.batch(part) for part in indices.split(CHUNK))
    features = torch.cat([(images if embed is None else embed(images)).flatten(1).double() for images in batches])
    lacking, taken = features.mean(0), torch.zeros(len(features), dtype=torch.bool)
    chosen: list[int] = []
    for _ in range(ipc):  # of squared distances |lacking - x|^2 the first term is the same for all
        distances = features.square().sum(1) - 2 * features @ lacking
        chosen.append(int(distances.masked_fill(taken, torch.inf).argmin()))
        taken[chosen[-1]] = True
        lacking = lacking + features.mean(0) - features[chosen[-1]]
    return data.batch(indices[torch.tensor(chosen)])


Selection = Callable[[ImageData, int, int], Labeled]
SELECTIONS: dict[str, Selection] = {"random": select_random, "kmeans": select_kmeans, "herding": select_herding}
"""The methods by name, herding on pixels; arguments are those of ``select_random``."""


def select(method: str, data: ImageData, ipc: int, seed: int, embed: Embed | None = None) -> Labeled:
    """Select ``ipc`` images of each class by the ``method`` of a name.

    Args:
        method: A name out of ``SELECTIONS``.
        data: The images to choose from.
        ipc: How many of each class.
        seed: Of what is drawn.
        embed: The features that herding works in (see :func:`select_herding`); the other methods have no use for them.

    Returns:
        Normalized images [K * ipc, C, H, W], one class after the other, and their labels, int64 [K * ipc].

    Raises:
        DataError: A class has too few images.
        ValueError: There is no such method.
    """
    if method not in SELECTIONS:
        raise ValueError(f"unknown coreset selection {method!r}; choose from {', '.join(SELECTIONS)}")
    if method == "herding":
        return select_herding(data, ipc, seed, embed)
    return SELECTIONS[method](data, ipc, seed)
