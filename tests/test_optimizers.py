"""SGD and Adam side by side: each tensor moves as under its own optimizer, also after a save."""

import pytest
import torch

from glad.optimizers import make_optimizer
from glad.runs.storage import optimizer_tensors, restore_optimizer

RATES = {"z": 0.1, "g": 0.01, "field": 0.02}


def tensors():
    return {name: torch.linspace(-1, 1, 5).requires_grad_() for name in ("z", "field", "g/weight")}


def descend(named, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        sum((i + 1) * tensor.pow(4).sum() for i, tensor in enumerate(named.values())).backward()
        optimizer.step()


def alone(make, index, steps):
    """The tensor at ``index`` after ``steps`` of an optimizer of its own."""
    tensor = list(tensors().values())[index]
    optimizer = make([tensor])
    for _ in range(steps):
        optimizer.zero_grad()
        ((index + 1) * tensor.pow(4).sum()).backward()
        optimizer.step()
    return tensor.detach()


def test_every_tensor_moves_as_under_its_own_optimizer():
    named = tensors()
    optimizer = make_optimizer(named, RATES, 0.5, {"field": "adam"})
    descend(named, optimizer, 4)
    expected = [
        alone(lambda p: torch.optim.SGD(p, 0.1, momentum=0.5), 0, 4),
        alone(lambda p: torch.optim.Adam(p, 0.02), 1, 4),
        alone(lambda p: torch.optim.SGD(p, 0.01, momentum=0.5), 2, 4),
    ]
    assert all(torch.equal(tensor, wanted) for tensor, wanted in zip(named.values(), expected, strict=True))
    assert [(group["name"], group["lr"]) for group in optimizer.param_groups] == [
        ("z", 0.1),
        ("field", 0.02),
        ("g/weight", 0.01),
    ]


@pytest.mark.parametrize("kinds", [{}, {"field": "adam"}, {"z": "adam", "field": "adam", "g": "adam"}])
def test_a_restored_optimizer_goes_on_as_if_it_had_not_stopped(kinds):
    whole, cut = tensors(), tensors()
    descend(whole, make_optimizer(whole, RATES, 0.5, kinds), 5)
    first = make_optimizer(cut, RATES, 0.5, kinds)
    descend(cut, first, 2)
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(first).items()}
    second = make_optimizer(cut, RATES, 0.5, kinds)
    restore_optimizer(second, saved)
    descend(cut, second, 3)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_one_kind_for_all_is_that_optimizer():
    assert isinstance(make_optimizer(tensors(), RATES, 0.5), torch.optim.SGD)
    assert isinstance(make_optimizer(tensors(), RATES, 0.5, dict.fromkeys(RATES, "adam")), torch.optim.Adam)


def test_a_missing_rate_is_an_error_naming_its_tensor_and_the_way_out():
    lacking = {"z": torch.zeros(1), "g/bias": torch.zeros(1)}
    message = r"no learning rate for g/bias: give one with --lr g=RATE .*there are rates for z, f$"
    with pytest.raises(ValueError, match=message):
        make_optimizer(lacking, {"z": 1.0, "f": 1.0}, 0.5)
