"""The classes of ImageNet-1k: the WordNet number of each, which names its folder, and its name in torchvision.

The order is that of the numbers, which is the label's. Names are no identity without their case: 264 is the dog
``Cardigan``, 474 the garment ``cardigan``.
"""

from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "assets" / "imagenet_classes.txt"
COUNT = 1000


@cache
def _table() -> tuple[tuple[str, str], ...]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return tuple((line[:9], line[10:]) for line in lines)


@cache
def wnids() -> dict[str, int]:
    """The label of each WordNet number (``n01440764``)."""
    return {wnid: i for i, (wnid, _) in enumerate(_table())}


@cache
def names() -> tuple[str, ...]:
    """The names in the order of their labels."""
    return tuple(name for _, name in _table())
