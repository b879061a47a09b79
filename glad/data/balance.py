"""How unequal the classes of a data set are, and how many images of each a set has."""

import heapq
from collections.abc import Sequence

import torch
from torch import Tensor

BALANCES = ("equal", "proportional", "sqrt")
"""How a set's images are shared out to the classes: alike, as the training images are, or as their square roots."""
Ipc = int | Sequence[int]
"""Images per class: one number for all, or one for each."""
UNEQUAL = 1.5  # the largest class over the smallest, above which it is said


def say_of_balance(name: str, labels: Tensor, classes: Sequence[str]) -> list[str]:
    """A line with the largest class, the smallest and their ratio, where they are unequal; ``labels`` int64 [N]."""
    counts = labels.bincount(minlength=len(classes))
    large, small = int(counts.argmax()), int(counts.argmin())
    ratio = int(counts[large]) / max(1, int(counts[small]))
    if ratio <= UNEQUAL:
        return []
    return [
        f"{name}: classes are unequal, the largest {classes[large]} with {int(counts[large])} training images, the "
        f"smallest {classes[small]} with {int(counts[small])} ({ratio:.1f} to 1)"
    ]


def share_out(counts: Sequence[int], ipc: int, balance: str = "equal") -> list[int]:
    """Share ``ipc`` images per class out to the classes, each of which gets one at least.

    Args:
        counts: Training images of each class.
        ipc: Images per class on average; their number in all is the same for every ``balance``.
        balance: One of ``BALANCES``. Images go one by one to the class with the largest share per image it has, by the
            method of odd divisors (Sainte-Laguë).

    Returns:
        Images of each class.

    Raises:
        ValueError: There is no such ``balance``.
    """
    if balance not in BALANCES:
        raise ValueError(f"unknown balance {balance!r}: one of {', '.join(BALANCES)}")
    if balance == "equal":
        return [ipc] * len(counts)
    weights = [float(count) if balance == "proportional" else count**0.5 for count in counts]
    given = [1] * len(counts)
    queue = [(-weight / 3, c) for c, weight in enumerate(weights)]
    heapq.heapify(queue)
    for _ in range(ipc * len(counts) - len(counts)):
        _, c = queue[0]
        given[c] += 1
        heapq.heapreplace(queue, (-weights[c] / (2 * given[c] + 1), c))
    return given


def balanced_order(labels: Tensor, rng: torch.Generator) -> Tensor:
    """Indices of N images, int64 [N], of which as many come from each class of ``labels``, int64 [N].

    Each run of K indices has one of each class, so that batches are balanced too. The images of a class come in
    shuffled rounds: those of a large class not all, those of a small one several times.
    """
    classes = labels.unique().tolist()
    rounds = -(-len(labels) // len(classes))
    columns = []
    for c in classes:
        members = (labels == c).nonzero().flatten()
        shuffled = [members[torch.randperm(len(members), generator=rng)] for _ in range(-(-rounds // len(members)))]
        columns.append(torch.cat(shuffled)[:rounds])
    table = torch.stack(columns, 1)
    order = torch.stack([torch.randperm(len(classes), generator=rng) for _ in range(rounds)])
    return table.gather(1, order).flatten()[: len(labels)]


def per_class(ipc: Ipc, classes: int) -> list[int]:
    """Images of each of so many classes; ``ValueError`` where ``ipc`` is a list of another length."""
    counts = [ipc] * classes if isinstance(ipc, int) else list(ipc)
    if len(counts) != classes:
        raise ValueError(f"{len(counts)} numbers of images for {classes} classes: give one for each")
    return counts
