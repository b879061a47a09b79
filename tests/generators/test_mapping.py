"""The mapping network: worked numbers, labels, truncation and running averages (the fixtures: test_stylegan_xl)."""

import pytest
import torch
from fixtures import check, tiny_generator

from generators.mapping import FullyConnected


def test_fully_connected_worked_numbers():
    layer = FullyConnected((4, 2), "lrelu", rate=0.01).requires_grad_(False)
    layer.weight.copy_(torch.linspace(-100, 100, 8).reshape(2, 4))
    layer.bias.copy_(torch.tensor([30.0, -20]))
    check(layer(torch.tensor([[1, -2, 0.5, 3]])), torch.tensor([[0.2727, 1.5859]]), 1e-4)


def test_only_the_label_of_a_conditional_generator_matters():
    z = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    conditional, unconditional = tiny_generator().mapping, tiny_generator(c_dim=0).mapping
    assert not torch.equal(conditional(z, torch.tensor([0, 1])), conditional(z, torch.tensor([0, 2])))
    assert torch.equal(unconditional(z), unconditional(z, torch.tensor([0, 7])))
    check(unconditional(3 * z), unconditional(z), 1e-5)  # z is normalized
    assert "embed.weight" in unconditional.state_dict()
    assert "embed_proj.weight" not in unconditional.state_dict()


@pytest.mark.parametrize("class_average", [True, False])
def test_truncation_is_towards_the_average_of_the_class(class_average):
    mapping = tiny_generator(class_average=class_average).mapping
    z, labels = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0])
    average = mapping.w_avg[labels] if class_average else mapping.w_avg.expand(2, -1)
    ws = mapping(z, labels)
    assert torch.equal(ws, ws[:, :1].expand_as(ws))
    check(mapping(z, labels, 0.0), average[:, None].expand_as(ws))
    check(mapping(z, labels, 0.3), average[:, None] + 0.3 * (ws - average[:, None]))
    assert torch.equal(mapping(z, labels, 0.3, 2)[:, 2:], ws[:, 2:])
    assert torch.equal(mapping(z, labels, 0.3, 2)[:, :2], mapping(z, labels, 0.3)[:, :2])


def test_class_averages_move_sample_by_sample():
    mapping = tiny_generator().mapping
    z, labels = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 2, 1])
    expected, rows = mapping.w_avg.clone(), mapping(z, labels)[:, 0]
    assert torch.equal(mapping.w_avg, expected)  # not unless asked
    for row, label in zip(rows, labels, strict=True):
        expected[label] = row + 0.998 * (expected[label] - row)
    mapping(z, labels, update_emas=True)
    check(mapping.w_avg, expected, 1e-6)


def test_a_single_average_moves_to_the_mean_of_the_batch():
    mapping = tiny_generator(c_dim=0).mapping
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    mean, before = mapping(z)[:, 0].mean(0), mapping.w_avg.clone()
    mapping(z, update_emas=True)
    check(mapping.w_avg, mean + 0.998 * (before - mean), 1e-6)
