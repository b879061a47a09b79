"""Unequal classes are said, and a set's images are shared out to them."""

import math

import pytest
import torch
from errors import naming

from glad.data.balance import balanced_order, per_class, say_of_balance, share_out
from glad.rng import rng_for


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


# --- how a set's images are shared out ---


def test_equal_shares_are_those_of_one_number():
    assert share_out([5, 500], 3) == share_out([5, 500], 3, "equal") == [3, 3]


@pytest.mark.parametrize("ipc", [1, 2, 7, 10])
@pytest.mark.parametrize("balance", ["proportional", "sqrt"])
@pytest.mark.parametrize("counts", [[795, 468, 455, 290, 241, 202, 198, 184, 123, 112], [1, 1, 1000], [4, 4, 4]])
def test_shares_sum_up_are_one_at_least_and_follow_the_weights(counts, balance, ipc):
    shares = share_out(counts, ipc, balance)
    assert sum(shares) == ipc * len(counts) and min(shares) >= 1
    weights = [count if balance == "proportional" else math.sqrt(count) for count in counts]
    for c, n in enumerate(shares):  # no image would be better placed with another class
        for other, m in enumerate(shares):
            if n > 1 and c != other:
                assert weights[c] / (2 * n - 1) >= weights[other] / (2 * m + 1) - 1e-9


def test_shares_where_they_are_whole():
    assert share_out([10, 20, 30], 2, "proportional") == [1, 2, 3]
    assert share_out([10, 40, 90], 2, "sqrt") == [1, 2, 3]
    assert share_out([100, 1], 1, "proportional") == [1, 1]


def test_what_cannot_be_shared_out():
    with pytest.raises(ValueError, match=naming("'fair' equal proportional sqrt")):
        share_out([1, 2], 1, "fair")
    assert per_class(3, 2) == [3, 3] and per_class((1, 4), 2) == [1, 4]
    with pytest.raises(ValueError, match=naming("3 images 2")):
        per_class([1, 2, 3], 2)


# --- batches ---


@pytest.mark.parametrize("counts", [[5, 1, 12], [7, 7], [1, 100]])
def test_a_balanced_order_has_each_class_once_in_every_run_of_classes(counts):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=rng_for("order"))]
    order = balanced_order(labels, rng_for(3))
    assert len(order) == len(labels) and torch.equal(order, balanced_order(labels, rng_for(3)))
    for part in order.split(len(counts))[: len(labels) // len(counts)]:
        assert sorted(labels[part].tolist()) == list(range(len(counts)))
    rounds = len(labels) // len(counts)
    for c, count in enumerate(counts):  # no image comes again before all others of its class have come
        uses = order[labels[order] == c].bincount(minlength=len(labels))[labels == c]
        assert int(uses.max()) - int(uses.min()) <= 1 and int(uses.max()) <= -(-(rounds + 1) // count)
