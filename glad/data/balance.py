"""How unequal the classes of a data set are."""

from collections.abc import Sequence

from torch import Tensor

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
