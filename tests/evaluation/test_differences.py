"""Paired differences against all resamples written out, and against what is known of them."""

from itertools import product

import pytest
import torch

from glad.evaluation.summary import differences, interval, paired_difference


def quantile(values, share):
    """Linear between the sorted values."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def test_the_interval_is_that_of_all_resamples():
    values = [0.1, -0.2, 0.4]
    means = [sum(drawn) / 3 for drawn in product(values, repeat=3)]
    # Of 27 equally likely means the extreme ones have 1/27 > 2.5 % each: the limits are the extremes themselves.
    assert interval(values) == pytest.approx((quantile(means, 0.025), quantile(means, 0.975)), abs=0.07)
    assert interval(values) == pytest.approx((-0.2, 0.4))


@pytest.mark.parametrize("level", [0.5, 0.8])
def test_the_interval_of_many_is_that_of_the_normal_distribution(level):
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    low, high = interval(values.tolist(), level)
    z = {0.5: 0.6745, 0.8: 1.2816}[level]
    expected = values.std(correction=0).item() / 20 * z
    assert (high - low) / 2 == pytest.approx(expected, rel=0.05)
    assert (high + low) / 2 == pytest.approx(values.mean().item(), abs=0.01)


def test_it_is_a_function_of_its_arguments():
    state = torch.get_rng_state()
    assert interval([0.1, 0.2, 0.5]) == interval([0.1, 0.2, 0.5])
    assert torch.equal(torch.get_rng_state(), state)
    low, high = interval([0.3, 0.3])
    assert (low, high) == pytest.approx((0.3, 0.3))


def test_only_shared_seeds_count():
    found = paired_difference({0: 0.5, 1: 0.7, 5: 0.1}, {1: 0.4, 0: 0.1, 7: 0.9})
    assert found["mean"] == pytest.approx(0.35) and found["n"] == 2
    assert found["low"] == pytest.approx(0.3) and found["high"] == pytest.approx(0.4)
    assert paired_difference({0: 0.5}, {0: 0.25}) == {"mean": 0.25, "low": None, "high": None, "n": 1}
    assert paired_difference({0: 0.5}, {1: 0.25}) is None


def test_seen_and_cross_architecture_are_apart():
    table = {
        ("a", "convnet"): [0.5, 0.6],
        ("a", "vit"): [0.2, 0.4],
        ("a", "vgg11"): [0.4, 0.6],
        ("b", "convnet"): [0.4, 0.2],
        ("b", "vit"): [0.1, 0.1],
        ("b", "vgg11"): [0.1],  # seed 1 is missing, and so is the mean over the others
    }
    cells = [
        {"row": name, "network": network, "seed": seed, "accuracy": value}
        for (name, network), values in table.items()
        for seed, value in enumerate(values)
    ]
    (entry,) = differences(cells, [("a", "b")], "convnet")
    assert (entry["row"], entry["against"]) == ("a", "b")
    assert entry["seen"]["mean"] == pytest.approx(0.25) and entry["seen"]["n"] == 2
    assert entry["seen"]["low"] == pytest.approx(0.1) and entry["seen"]["high"] == pytest.approx(0.4)
    assert entry["cross"] == {"mean": pytest.approx(0.2), "low": None, "high": None, "n": 1}
