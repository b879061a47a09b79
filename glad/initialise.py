"""Starts of the latents that need real images and a network: the representative one of AST (Shen et al., 2023).

Per class, k-means with as many centres as synthetic images, on the logits of an expert at its end; each centre gives
the image nearest to it. With a generator the images are those of codes drawn for the class. Public code takes a tenth
of the images per class from every cluster, hence none at 1 image per class; here each centre gives one.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from glad.data import DataError, ImageData
from glad.experts import Experts
from glad.experts.training import unflatten
from glad.synset import Pixels, Prior, SyntheticSet

STARTS = ("prior", "representative")
"""Where latents may start: drawn by the prior, or chosen by :func:`representative`."""
CHUNK = 50  # real images, or codes, in the networks' memory at a time
STATISTICS = 256  # real images behind batch norm's statistics


def expert_network(
    experts: Experts, make: Callable[[torch.Generator], nn.Module], data: ImageData, rng: torch.Generator
) -> nn.Module:
    """The first expert's network after its last epoch, frozen and in evaluation mode; ``make`` gives a fresh one.

    An expert's file holds no running statistics: batch norm takes those of real images drawn from ``rng``.
    """
    network, expert = make(rng).requires_grad_(False), experts.experts[0]
    unflatten(network, expert.row(expert.epochs))
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if norms:
        for norm in norms:
            norm.momentum = None  # running statistics are then exactly those of what was seen
        images = data.batch(torch.randperm(len(data), generator=rng)[:STATISTICS])
        network.train()(images.to(next(network.parameters()).device))
    return network.eval()


@torch.no_grad()
def representative(
    data: ImageData,
    prior: Prior,
    network: nn.Module,
    ipc: int,
    candidates: int,
    rng: torch.Generator,
    chunk: int = 10,
) -> dict[str, Tensor]:
    """``ipc`` rows of latents per class, class after class, whose images stand for the real ones in ``network``'s eyes.

    The logits of a class's real images have ``ipc`` centres; each takes the image whose logits are nearest: of all real
    images of the class where latents are pixels, else of ``candidates`` codes that ``prior`` draws for the class and
    renders ``chunk`` at a time. The result is a function of ``rng`` and on the CPU. Raises ``DataError`` where a class
    has fewer than ``ipc`` images, ``ValueError`` where there are fewer candidates.
    """
    chosen = []
    for c, name in enumerate(data.classes):
        indices = data.of_class(c)
        if len(indices) < ipc:
            raise DataError(
                f"class {name!r} of {data.name} has {len(indices)} images, {ipc} were asked for: ask for fewer"
            )
        logits = _logits(network, (data.batch(part) for part in indices.split(CHUNK)))
        centres = class_centres(logits, ipc, rng)
        if isinstance(prior, Pixels):
            chosen.append({"pixels": data.batch(indices[nearest_distinct(centres, logits)])})
        else:
            chosen.append(_nearest_codes(prior, network, torch.full([candidates], c), centres, rng, chunk))
    return {key: torch.cat([rows[key] for rows in chosen]) for key in chosen[0]}


def class_centres(logits: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """The centres [count, K] that k-means finds in the logits [n, K] of one class: at 1 their mean."""
    from sklearn.cluster import KMeans  # seconds to import, which other runs need not wait for

    seed = int(torch.randint(2**31, (), generator=rng))
    return torch.from_numpy(KMeans(count, n_init=10, random_state=seed).fit(logits.numpy()).cluster_centers_)


def nearest_distinct(centres: Tensor, logits: Tensor) -> Tensor:
    """For each of the centres [k, K] the index of the nearest of the logits [n, K], int64 [k]; none is taken twice.

    Pairs are formed greedily from the closest one on, so a centre misses its nearest only to a centre that is closer.
    """
    distances = torch.cdist(centres, logits)
    chosen = torch.empty(len(centres), dtype=torch.int64)
    for _ in centres:
        centre, candidate = divmod(int(distances.argmin()), len(logits))
        chosen[centre] = candidate
        distances[centre] = distances[:, candidate] = torch.inf
    return chosen


def _nearest_codes(
    prior: Prior, network: nn.Module, classes: Tensor, centres: Tensor, rng: torch.Generator, chunk: int
) -> dict[str, Tensor]:
    """One row of latents per centre, of the codes drawn for ``classes`` (int64 [n]); their images are not kept."""
    n = len(classes)
    if n < len(centres):
        raise ValueError(f"{len(centres)} images per class cannot be chosen of {n} candidates (--candidates)")
    device = next(network.parameters()).device
    codes, logits = [], []
    for part in classes.split(CHUNK):
        drawn = {key: tensor.to(device) for key, tensor in prior.init(part, rng).items()}
        logits.append(_logits(network, [SyntheticSet(prior, drawn, part, chunk).images()]))
        codes.append({key: tensor.cpu() for key, tensor in drawn.items()})
    rows = nearest_distinct(centres, torch.cat(logits))
    return {key: torch.cat([drawn[key] for drawn in codes])[rows] for key in codes[0]}


def _logits(network: nn.Module, batches: Iterable[Tensor]) -> Tensor:
    """The logits of all images of ``batches``, float64 [n, K] on the CPU."""
    device = next(network.parameters()).device
    return torch.cat([network(images.to(device)).double().cpu() for images in batches])
