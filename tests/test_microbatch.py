import pytest
import torch
from torch import nn

from glad.batching import CHUNK, at_a_time, batch_norms, coupled
from glad.networks import make_network
from glad.randomness import generator

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def network(norm):
    return make_network(
        "convnet", channels=1, classes=2, resolution=16, rng=generator("batching"), width=4, depth=2, norm=norm
    )


def test_images_under_batch_norm_stay_together_until_its_statistics_are_frozen():
    normed = network("batch")
    assert len(batch_norms(normed)) == 2 and coupled(normed)
    assert at_a_time(normed, CPU, 100) == 100
    assert not coupled(normed.eval())
    assert at_a_time(normed, CPU, 100) == CHUNK


@pytest.mark.parametrize(("device", "batch", "expected"), [(CPU, 100, CHUNK), (CPU, 3, 3), (GPU, 100, 100)])
def test_independent_images_are_split_on_a_cpu(device, batch, expected):
    assert batch_norms(network("instance")) == []
    assert at_a_time(network("instance"), device, batch) == expected


def test_layers_inside_others_are_found():
    assert coupled(nn.Sequential(nn.Sequential(nn.BatchNorm1d(3))))
