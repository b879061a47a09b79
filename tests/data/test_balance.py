"""Unequal classes are said."""

import pytest
import torch

from glad.data.balance import say_of_balance


@pytest.mark.parametrize(
    ("counts", "ratio"), [([10, 10], None), ([15, 10], None), ([16, 10], "1.6"), ([3, 90], "30.0")]
)
def test_the_largest_and_the_smallest_class_are_named(counts, ratio):
    labels = torch.arange(2).repeat_interleave(torch.tensor(counts))
    large, small = (0, 1) if counts[0] > counts[1] else (1, 0)
    expected = (
        f"pets: classes are unequal, the largest {'ab'[large]} with {counts[large]} training images, the smallest "
        f"{'ab'[small]} with {counts[small]} ({ratio} to 1)"
    )
    assert say_of_balance("pets", labels, "ab") == ([] if ratio is None else [expected])
