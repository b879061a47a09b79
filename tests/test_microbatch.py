import pytest
import torch
from torch import nn

from glad.microbatch import CHUNK, batch_norms, microbatch_size, uses_batch_statistics
from glad.networks import make_network
from glad.rng import rng_for

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def network(norm):
    return make_network(
        "convnet", channels=1, classes=2, resolution=16, rng=rng_for("batching"), width=4, depth=2, norm=norm
    )


def test_images_under_batch_norm_stay_together_until_its_statistics_are_frozen():
    normed = network("batch")
    assert len(batch_norms(normed)) == 2 and uses_batch_statistics(normed)
    assert microbatch_size(normed, CPU, 100) == 100
    assert not uses_batch_statistics(normed.eval())
    assert microbatch_size(normed, CPU, 100) == CHUNK


@pytest.mark.parametrize(("device", "batch", "expected"), [(CPU, 100, CHUNK), (CPU, 3, 3), (GPU, 100, 100)])
def test_independent_images_are_split_on_a_cpu(device, batch, expected):
    assert batch_norms(network("instance")) == []
    assert microbatch_size(network("instance"), device, batch) == expected


def test_layers_inside_others_are_found():
    assert uses_batch_statistics(nn.Sequential(nn.Sequential(nn.BatchNorm1d(3))))
