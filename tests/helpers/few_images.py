"""The embedded data with fewer held-out images, for tests that ask about no accuracy: most of their time is testing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch

from glad.data import splits
from glad.data.raw import Raw

HELD_OUT = 10  # of a class, in the validation and in the test split: there are 100


@contextmanager
def few_held_out() -> Iterator[None]:
    """Load fashion-mini with all training images and ``HELD_OUT`` a class of the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "read", _read(splits.read))
        yield


def _read(read: Any) -> Any:
    def fewer(*arguments: Any) -> Raw:
        raw = read(*arguments)
        if raw.name != "fashion-mini":
            return raw
        kept = {split: part for split, part in raw.parts.items() if split != "train"}
        for split, part in kept.items():
            index = torch.cat([(part.labels == c).nonzero().flatten()[:HELD_OUT] for c in range(len(raw.classes))])
            kept[split] = part.take(index.sort().values)
        return replace(raw, parts=raw.parts | kept)

    return fewer
