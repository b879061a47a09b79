"""DM against its formula, and the siamese augmentation."""

import pytest
import torch
from torch import nn

from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.dm import DM
from glad.rng import rng_for

LABELS = torch.tensor([2, 0, 2, 0, 2])  # class 1 has no synthetic image
STEP = Step(seed=0, iteration=3)


def images(n=5, key="images", dtype=torch.float64):
    return torch.randn(n, 3, 16, 16, generator=rng_for(key), dtype=dtype)


def real(c, n, rng):
    """n images of class c, which differ from class to class."""
    return torch.randn(n, 3, 16, 16, generator=rng, dtype=torch.float64) + c


def network(rng, norm="instance"):
    return make_network("convnet", channels=3, classes=3, resolution=16, rng=rng, norm=norm, width=4, depth=2).double()


def batch_network(rng):
    return network(rng, "batch")


def shift(x, rng, shared):
    """An augmentation with one draw for all samples."""
    assert shared
    return x * (0.5 + torch.rand((), generator=rng, dtype=x.dtype))


def plain(x, rng, shared):
    return x


def formula(synthetic, embed, augment=shift, batch=6):
    """The published loss, class by class, with the objective's own draws."""
    loss = 0
    for c in (0, 2):
        parts = real(c, batch, STEP.rng(f"real {c}")), synthetic[c == LABELS]
        of_real, of_synthetic = (embed(augment(x, STEP.rng(f"augment {c}"), True)).mean(0) for x in parts)
        loss = loss + ((of_real - of_synthetic) ** 2).sum()
    return loss


def loss_and_gradient(objective, x):
    x = x.clone().requires_grad_()
    terms = list(objective.terms(x, LABELS, STEP))
    (gradient,) = torch.autograd.grad(sum(terms), x)
    return terms, gradient


@pytest.mark.parametrize("augment", [shift, plain])
def test_the_loss_is_the_published_one(augment):
    terms, gradient = loss_and_gradient(DM(real, network, augment, batch=6), images())
    x = images().requires_grad_()
    expected = formula(x, network(STEP.rng("network")).embed, augment)
    assert len(terms) == 2  # one per class that has images
    torch.testing.assert_close(sum(terms), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, x)[0], rtol=1e-9, atol=1e-12)
    assert gradient.norm() > 0


def test_batch_norm_sees_all_classes_at_once_and_gives_one_term():
    seen = []

    def watched(rng):
        network = batch_network(rng)
        norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
        norm.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        return network

    terms, _ = loss_and_gradient(DM(real, watched, shift, batch=6), images())
    assert seen == [12, 5]  # real images of both classes, then all synthetic ones
    features = batch_network(STEP.rng("network")).embed
    parts = [
        (shift(real(c, 6, STEP.rng(f"real {c}")), STEP.rng(f"augment {c}"), True),
         shift(images()[c == LABELS], STEP.rng(f"augment {c}"), True))
        for c in (0, 2)
    ]  # fmt: skip
    of_real, of_synthetic = (features(torch.cat(side)) for side in zip(*parts, strict=True))
    expected = sum(
        ((of_real[6 * i : 6 * i + 6].mean(0) - rows.mean(0)) ** 2).sum()
        for i, rows in enumerate(of_synthetic.split([2, 3]))
    )
    assert len(terms) == 1
    torch.testing.assert_close(terms[0], expected, rtol=1e-12, atol=0)


class Flat(nn.Module):
    """A network of nothing but its features: one smooth layer."""

    def __init__(self, rng):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 5, generator=rng, dtype=torch.float64))

    def embed(self, x):
        return torch.tanh(x.flatten(1) @ self.weight)


def test_the_gradient_is_the_finite_difference():
    objective = DM(
        real=lambda c, n, rng: torch.randn(n, 2, 2, 2, generator=rng, dtype=torch.float64) + c,
        network=lambda rng: Flat(rng),
        augment=lambda x, rng, shared: x + torch.rand((), generator=rng, dtype=x.dtype) * x.square(),
        batch=4,
    )
    x = torch.randn(5, 2, 2, 2, generator=rng_for("x"), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sum(objective.terms(x, LABELS, STEP)), x)


def test_equal_means_give_zero():
    def twice(c, n, rng):
        return images()[c == LABELS].repeat(2, 1, 1, 1)

    terms, gradient = loss_and_gradient(DM(twice, network, shift), images())
    assert all(term < 1e-24 for term in terms)
    assert gradient.abs().max() < 1e-12


def draws(step, labels=LABELS):
    """The first number each call of the augmentation draws, and whether its draw is shared."""
    seen = []

    def record(x, rng, shared):
        seen.append((torch.rand((), generator=rng).item(), shared))
        return x

    list(DM(real, network, record, batch=6).terms(images(len(labels)), labels, step))
    return seen


def test_real_and_synthetic_images_of_a_class_share_their_augmentation():
    seen = draws(STEP)
    assert all(shared for _, shared in seen)
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]


def test_classes_iterations_and_seeds_have_draws_of_their_own():
    seen = [*draws(STEP), *draws(Step(0, 4)), *draws(Step(1, 3))]
    assert len(set(seen)) == 6  # two classes, three steps
    assert draws(STEP) == draws(STEP)


def test_a_class_draws_the_same_whatever_other_classes_there_are():
    assert draws(STEP, torch.tensor([2, 2])) == draws(STEP)[2:]


def test_networks_are_fresh_in_every_iteration_and_stay_as_they_are():
    made = []

    def keep(rng):
        made.append(network(rng))
        return made[-1]

    for iteration in (3, 3, 4):
        x = images().requires_grad_()
        sum(DM(real, keep, plain, batch=6).terms(x, LABELS, Step(0, iteration))).backward()
    first, again, other = (torch.cat([p.flatten() for p in used.parameters()]) for used in made)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert all(parameter.grad is None for used in made for parameter in used.parameters())


def test_classes_get_different_real_images_in_the_number_asked_for():
    asked = []

    def watched(c, n, rng):
        asked.append((c, n, torch.rand((), generator=rng).item()))
        return real(c, n, rng)

    list(DM(watched, network, plain, batch=7).terms(images(), LABELS, STEP))
    assert [call[:2] for call in asked] == [(0, 7), (2, 7)]
    assert asked[0][2] != asked[1][2]


def test_nothing_is_kept_between_iterations():
    assert DM(real, network, plain).tensors() == {}


def test_an_empty_batch_is_an_error():
    with pytest.raises(ValueError, match="not 0"):
        DM(real, network, plain, batch=0)
