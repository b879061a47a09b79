"""Starts of the latents that need real images or a network.

The representative one of AST (Shen et al., 2023): per class, k-means on the logits of an expert at its end; each center
gives the images nearest to it. There are as many centers as synthetic images, and 10 at most: at 50 images per class
each gives 5, as released. (The release takes a tenth of the images from every cluster, hence none at 1 image per
class; here one center gives one.) With a generator the images are those of codes drawn for the class.

``nearest`` and ``inversion`` start from real images: with an expert the representative ones, without those nearest to
the centers of k-means on pixels. The first takes the drawn code whose image is nearest to each, in the expert's
features or in pixels; the second goes on from there until the code renders it (``glad.priors.inversion``). ``fit`` does
so from the prior's own draw, towards real images drawn at random: for priors whose rows render nothing before.

A row of several images takes as many real ones; distances are then between all images of a row, in their order.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from glad.data.balance import Ipc, per_class
from glad.data.coresets import select_kmeans
from glad.data.dataset import DataError, ImageData
from glad.experts import Experts
from glad.experts.training import unflatten
from glad.microbatch import batch_norms
from glad.networks import Network
from glad.priors.base import Prior
from glad.priors.description import PriorDescription
from glad.priors.inversion import invert
from glad.synthetic_set import SyntheticSet

Embed = Callable[[Tensor], Tensor]
CHUNK = 50  # real images, or codes, in the networks' memory at a time
CENTERS = 10  # of a class, at most, as released
STATISTICS = 256  # real images behind batch norm's statistics


def initial_latents(
    kind: str,
    data: ImageData,
    prior: Prior,
    network: Network | None,
    ipc: Ipc,
    rng: torch.Generator,
    device: torch.device,
    candidates: int = 100,
    steps: int = 200,
    chunk: int = 10,
) -> dict[str, Tensor]:
    """``ipc`` rows of latents per class, class after class, on the CPU, by an initialization other than ``prior``.

    ``ipc`` is a number for all classes, or a list with one for each. ``network`` is an expert's on ``device``, which
    ``representative`` needs; ``candidates`` codes are drawn per class, ``steps`` are those of ``inversion`` and
    ``fit``. A prior that can encode images starts from the codes of the real ones. Raises what ``representative`` does.
    """
    rows, each = per_class(ipc, len(data.classes)), PriorDescription(prior).images_per_row
    if kind == "representative":
        if network is None:
            raise ValueError("the representative initialization needs an expert's network")
        return representative(data, prior, network, ipc, candidates, rng, chunk)
    wanted = require_images(data, [each * count for count in rows])
    if kind == "fit":
        targets = torch.cat([data.real(c, count, rng) for c, count in enumerate(wanted)])
    elif kind == "correct":
        if network is None:
            raise ValueError("real images that an expert classifies right need experts: name their folder (--experts)")
        targets = correct_images(data, network, wanted, rng)
    elif network is None:
        targets, _ = select_kmeans(data, wanted, int(torch.randint(2**31, (), generator=rng)))
    else:
        targets = representative_images(data, network, wanted, rng)
    if PriorDescription(prior).encode is not None:
        return _encode(prior, targets, device)
    if kind == "fit":
        embed = None
        latents = prior.init(torch.arange(len(rows)).repeat_interleave(torch.tensor(rows)), rng)
    else:
        embed = None if network is None else network.embed
        latents = nearest(prior, targets, rows, embed or identity, candidates, rng, device, chunk)
    if kind == "nearest":
        return latents
    moved = {name: tensor.to(device) for name, tensor in latents.items()}
    found = invert(prior, moved, targets.to(device), steps, embed, chunk)
    return {name: tensor.cpu() for name, tensor in found.items()}


def learned_labels(classes: Tensor, count: int) -> Tensor:
    """Soft labels float32 [N, count] that are learned: at first 1 for the class of each image, int64 [N], else 0."""
    return nn.functional.one_hot(classes, count).float().requires_grad_()


def identity(images: Tensor) -> Tensor:
    """Pixels as features."""
    return images


def expert_network(
    experts: Experts,
    make: Callable[[torch.Generator], Network],
    data: ImageData,
    rng: torch.Generator,
    number: int = 0,
) -> Network:
    """An expert's network after its last epoch, frozen and in evaluation mode; ``make`` gives a fresh one.

    An expert's file holds no running statistics: batch norm takes those of real images drawn from ``rng``.
    """
    network, expert = make(rng).requires_grad_(False), experts.experts[number]
    unflatten(network, expert.checkpoint(expert.epochs))
    norms = batch_norms(network)
    if norms:
        for norm in norms:
            norm.momentum = None  # running statistics are then exactly those of what was seen
        images = data.batch(torch.randperm(len(data), generator=rng)[:STATISTICS])
        network.train()(images.to(next(network.parameters()).device))
    return network.eval()


def require_images(data: ImageData, ipc: Ipc) -> list[int]:
    """How many images of each class ``ipc`` means; ``DataError`` naming the first class that has fewer."""
    wanted = per_class(ipc, len(data.classes))
    for c, name in enumerate(data.classes):
        if (count := len(data.of_class(c))) < wanted[c]:
            raise DataError(
                f"class {name!r} of {data.name} has {count} images, {wanted[c]} were asked for: ask for fewer"
            )
    return wanted


def representative(
    data: ImageData,
    prior: Prior,
    network: nn.Module,
    ipc: Ipc,
    candidates: int,
    rng: torch.Generator,
    chunk: int = 10,
) -> dict[str, Tensor]:
    """``ipc`` rows of latents per class, class after class, whose images stand for the real ones in ``network``'s eyes.

    The logits of a class's real images have ``ipc`` centers, ten at most; each takes its share of images, whose logits
    are nearest: of all real images of the class where the prior can encode them, else of ``candidates`` codes that
    ``prior`` draws for the class and renders ``chunk`` at a time. The result is a function of ``rng`` and on the CPU.
    Raises ``DataError`` where a class has fewer images than the set has of it, ``ValueError`` where there are fewer
    candidates.
    """
    device, each = next(network.parameters()).device, PriorDescription(prior).images_per_row
    images = [each * count for count in per_class(ipc, len(data.classes))]
    if PriorDescription(prior).encode is not None:
        return _encode(prior, representative_images(data, network, images, rng), device)
    chosen = []
    for c, _, centers in _each_class(data, network, images, rng):
        chosen.append(_nearest_codes(prior, network, torch.full([candidates], c), centers, rng, device, chunk))
    return {key: torch.cat([rows[key] for rows in chosen]) for key in chosen[0]}


def representative_images(data: ImageData, network: nn.Module, ipc: Ipc, rng: torch.Generator) -> Tensor:
    """The ``ipc`` real images of each class whose logits are nearest to the centers, normalized [N, C, H, W]."""
    chosen = [
        data.batch(data.of_class(c)[nearest_distinct(centers, logits)])
        for c, logits, centers in _each_class(data, network, ipc, rng)
    ]
    return torch.cat(chosen)


def correct_images(data: ImageData, network: nn.Module, ipc: Ipc, rng: torch.Generator) -> Tensor:
    """``ipc`` real images of each class, drawn from those that the network classifies right, normalized [N, C, H, W].

    Where fewer are right, those follow whose class has the largest share of the softmax.
    """
    device, chosen = next(network.parameters()).device, []
    for c, count in enumerate(require_images(data, ipc)):
        indices = data.of_class(c)
        with torch.no_grad():
            logits = _embed(network, (data.batch(part) for part in indices.split(CHUNK)), device)
        order = torch.rand(len(indices), generator=rng) + 1
        rank = torch.where(logits.argmax(1) == c, order, logits.softmax(1)[:, c])
        chosen.append(data.batch(indices[rank.argsort(descending=True, stable=True)[:count]]))
    return torch.cat(chosen)


def _each_class(
    data: ImageData, network: nn.Module, ipc: Ipc, rng: torch.Generator
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """For every class its number, the logits [n, K] of its real images, and their centers [k, K], k at most ten."""
    device = next(network.parameters()).device
    wanted = require_images(data, ipc)
    for c in range(len(data.classes)):
        indices = data.of_class(c)
        with torch.no_grad():
            logits = _embed(network, (data.batch(part) for part in indices.split(CHUNK)), device)
        yield c, logits, class_centers(logits, wanted[c], rng)


def _encode(prior: Prior, images: Tensor, device: torch.device) -> dict[str, Tensor]:
    """The latents, on the CPU, of normalized ``images`` [N, C, H, W], by a prior that can encode them."""
    encode = PriorDescription(prior).encode
    assert encode is not None  # both callers have looked
    with torch.no_grad():
        return {name: tensor.cpu() for name, tensor in encode(images.to(device)).items()}


def class_centers(logits: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """The centers [count, K] that k-means finds in the logits [n, K] of one class: at 1 their mean.

    Beyond ``CENTERS`` each of that many comes several times: at 50 five times.
    """
    from sklearn.cluster import KMeans  # seconds to import, which other runs need not wait for

    seed, several = int(torch.randint(2**31, (), generator=rng)), min(count, CENTERS)
    found = KMeans(several, n_init=10, random_state=seed).fit(logits.numpy()).cluster_centers_
    return torch.from_numpy(found)[torch.arange(count) % several]


def nearest_distinct(centers: Tensor, logits: Tensor) -> Tensor:
    """For each of the centers [k, K] the index of the nearest of the logits [n, K], int64 [k]; none is taken twice.

    Pairs are formed greedily from the closest one on, so a center misses its nearest only to a center that is closer.
    """
    distances = torch.cdist(centers, logits)
    chosen = torch.empty(len(centers), dtype=torch.int64)
    for _ in centers:
        center, candidate = divmod(int(distances.argmin()), len(logits))
        chosen[center] = candidate
        distances[center] = distances[:, candidate] = torch.inf
    return chosen


def nearest(
    prior: Prior,
    targets: Tensor,
    counts: Sequence[int],
    embed: Embed,
    candidates: int,
    rng: torch.Generator,
    device: torch.device,
    chunk: int = 10,
) -> dict[str, Tensor]:
    """For each row of ``targets``, normalized images, one of ``candidates`` codes of its class.

    ``counts`` says how many rows there are of each class, one class after the other. It is the code whose image is
    nearest in the features ``embed`` gives; no code is taken twice. Rows of latents on the CPU. Raises ``ValueError``
    where there are fewer candidates than targets of a class.
    """
    with torch.no_grad():
        aims = _embed(embed, targets.split(CHUNK), device)
    each = PriorDescription(prior).images_per_row
    chosen = [
        _nearest_codes(prior, embed, torch.full([candidates], c), aim, rng, device, chunk)
        for c, aim in enumerate(aims.split([each * count for count in counts]))
    ]
    return {key: torch.cat([rows[key] for rows in chosen]) for key in chosen[0]}


@torch.no_grad()
def _nearest_codes(
    prior: Prior,
    embed: Embed,
    classes: Tensor,
    centers: Tensor,
    rng: torch.Generator,
    device: torch.device,
    chunk: int,
) -> dict[str, Tensor]:
    """A row of latents for each row of centers [rows * images_per_row, D], of codes drawn for ``classes`` (int64 [n]).

    Their images are not kept.
    """
    n, each = len(classes), PriorDescription(prior).images_per_row
    centers = centers.unflatten(0, (-1, each)).flatten(1)
    if n < len(centers):
        raise ValueError(f"{len(centers)} images per class cannot be chosen of {n} candidates (--candidates)")
    codes, points = [], []
    for part in classes.split(CHUNK):
        drawn = {key: tensor.to(device) for key, tensor in prior.init(part, rng).items()}
        images = SyntheticSet(prior, drawn, part.repeat_interleave(each), chunk).images()
        points.append(_embed(embed, [images], device).unflatten(0, (-1, each)).flatten(1))
        codes.append({key: tensor.cpu() for key, tensor in drawn.items()})
    rows = nearest_distinct(centers, torch.cat(points))
    return {key: torch.cat([drawn[key] for drawn in codes])[rows] for key in codes[0]}


def _embed(embed: Embed, batches: Iterable[Tensor], device: torch.device) -> Tensor:
    """What ``embed`` gives for all images of ``batches``, float64 [n, D] on the CPU."""
    return torch.cat([embed(images.to(device)).flatten(1).double().cpu() for images in batches])
