"""DC against a transcription of its formula, and its inner training."""

import pytest
import torch
from errors import naming
from torch import nn
from torch.nn import functional as F

from glad.data.augment import augment
from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.dc import DC, LOOPS
from glad.objectives.description import all_terms
from glad.rng import rng_for

LABELS = torch.tensor([2, 0, 2, 0, 2])  # class 1 has no synthetic image
START = Step(seed=0, iteration=0)


def images(n=5, key="images"):
    return torch.randn(n, 3, 16, 16, generator=rng_for(key), dtype=torch.float64)


def real(c, n, rng):
    """n images of class c, which differ from class to class."""
    return torch.randn(n, 3, 16, 16, generator=rng, dtype=torch.float64) + c


def network(rng, norm="instance"):
    return make_network("convnet", channels=3, classes=3, resolution=16, rng=rng, norm=norm, width=4, depth=2).double()


def batch_network(rng):
    return network(rng, "batch")


def smooth_network(rng):
    """A network whose second derivatives finite differences can see: no kinks, and few pixels."""
    made = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    for weight in made.parameters():
        weight.data.uniform_(-0.5, 0.5, generator=rng)
    return made


def plain(x, rng, shared):
    return x


def objective(network=network, augment=augment, **options):
    return DC(real, network, augment, **{"batch": 20, "net_lr": 0.1, **options})  # 20: more than one chunk


def weights(dc):
    return {name: tensor.clone() for name, tensor in dc.tensors().items()}


def play(dc, iterations, x=None):
    """Terms of iterations 0, 1, ...; the weights that each used."""
    used = []
    for iteration in range(iterations):
        list(all_terms(dc, images() if x is None else x, LABELS, Step(0, iteration)))
        used.append(weights(dc))
    return used


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def transcription(synthetic, network, batch=20):
    """The published loss as one sum over the classes, with the objective's own draws."""
    parameters, loss = list(network.parameters()), 0
    for c in (0, 2):
        sides = []
        for x in (real(c, batch, START.rng(f"real {c}")), synthetic[c == LABELS]):
            logits = network(augment(x, START.rng(f"augment {c}"), True))
            likelihood = F.cross_entropy(logits, torch.full((len(x),), c))
            sides.append(torch.autograd.grad(likelihood, parameters, create_graph=True))
        for of_real, of_synthetic in zip(*sides, strict=True):
            if of_real.ndim in (2, 4):
                a, b = of_real.detach().reshape(len(of_real), -1), of_synthetic.reshape(len(of_real), -1)
                loss = loss + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
    return loss


def test_the_loss_and_its_gradient_are_the_published_ones():
    x = images().requires_grad_()
    terms = list(all_terms(objective(), x, LABELS, START))
    expected = transcription(x, network(START.rng("network")))
    assert len(terms) == 2  # one per class that has images
    torch.testing.assert_close(sum(terms), expected, rtol=1e-9, atol=0)
    gradient, expected = (torch.autograd.grad(loss, x)[0] for loss in (sum(terms), expected))
    torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-10)
    assert gradient.norm() > 0


@pytest.mark.parametrize("distance", ["layers", "mse", "cos"])
def test_the_gradient_for_the_images_is_that_of_finite_differences(distance):
    def small(c, n, rng):
        return torch.randn(n, 1, 4, 4, generator=rng, dtype=torch.float64) + c

    def loss(x):
        dc = DC(small, smooth_network, plain, batch=4, distance=distance)
        return sum(all_terms(dc, x, torch.tensor([0, 1, 1]), START))

    x = torch.randn(3, 1, 4, 4, generator=rng_for("small"), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(loss, [x])


@pytest.mark.parametrize("build", [network, batch_network])
def test_going_backward_touches_neither_the_weights_nor_their_gradients(build):
    dc = objective(build)
    list(all_terms(dc, images(), LABELS, START))
    before = weights(dc)
    sum(all_terms(dc, images().requires_grad_(), LABELS, START)).backward()
    assert same(before, weights(dc))
    assert all(tensor.grad is None and not tensor.requires_grad for tensor in dc.tensors().values())


def draws(outer, inner):
    """What the augmentation's generators gave over two iterations, and whether each draw was shared."""
    seen = []

    def record(x, rng, shared):
        seen.append((torch.rand((), generator=rng).item(), shared, len(x)))
        return x

    play(objective(augment=record, outer=outer, inner=inner, batch_syn=3), 2)
    return seen


def test_the_augmentation_is_shared_within_a_class_and_per_image_in_training():
    seen = draws(outer=2, inner=2)
    assert [(shared, n) for _, shared, n in seen] == [
        *[(True, 20), (True, 2), (True, 20), (True, 3)],
        *[(False, 3), (False, 2)] * 2,  # two epochs in batches of three
        *[(True, 20), (True, 2), (True, 20), (True, 3)],
    ]
    values = [value for value, _, _ in seen]
    assert values[0] == values[1] and values[2] == values[3] and len(set(values)) == 4 + 4


def test_the_network_is_trained_between_the_updates_of_its_life_and_then_drawn_anew():
    first, second, third, fourth = play(objective(outer=3, inner=2), 4)
    assert not same(first, second) and not same(second, third)
    for used, iteration in ((first, 0), (fourth, 3)):
        for name, weight in network(Step(0, iteration).rng("network")).named_parameters():
            assert torch.equal(used[f"network/{name}"], weight)
            assert not used[f"momentum/{name}"].any()


def test_with_one_update_per_network_none_is_ever_trained():
    for iteration, used in enumerate(play(objective(outer=1, inner=5), 3)):
        for name, weight in network(Step(0, iteration).rng("network")).named_parameters():
            assert torch.equal(used[f"network/{name}"], weight)


def test_training_is_torchs_sgd_on_the_whole_set_with_moments_that_live_as_long_as_the_network():
    *_, trained = play(objective(augment=plain, outer=3, inner=2, net_momentum=0.5), 3)
    expected = network(START.rng("network"))
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1, momentum=0.5)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(expected(images()), LABELS).backward()
        optimizer.step()
    for name, weight in expected.named_parameters():
        torch.testing.assert_close(trained[f"network/{name}"], weight.detach(), rtol=1e-9, atol=1e-12)


def test_training_lowers_the_loss_on_the_set():
    dc = objective(augment=plain, outer=2, inner=20)
    losses = []
    for iteration in range(2):
        list(all_terms(dc, images(), LABELS, Step(0, iteration)))
        losses.append(F.cross_entropy(dc._network(images()), LABELS).item())
    assert losses[1] < 0.5 * losses[0]


def test_the_state_has_its_names_and_shapes_from_the_start_and_stays_the_same_tensors():
    dc = objective(outer=2, inner=1)
    before = dc.tensors()
    play(dc, 3)
    after = dc.tensors()
    assert list(before) == list(after) and all(before[name] is after[name] for name in before)
    assert {name.split("/")[0] for name in before} == {"network", "momentum"}


def test_batch_norm_has_the_statistics_of_sixteen_real_images_per_class_and_keeps_them():
    asked = []

    def watched(c, n, rng):
        asked.append((c, n))
        return real(c, n, rng)

    dc = DC(watched, batch_network, plain, batch=20, outer=2, inner=3, net_lr=0.1)
    for iteration in range(2):  # a fresh network, and one that was trained in between
        step = Step(0, iteration)
        terms = all_terms(dc, images(), LABELS, step)
        next(terms)
        assert asked == [(0, 16), (2, 16), (0, 20)]
        asked.clear()
        convolution, norm = dc._network.blocks[0][:2]
        seen = convolution(torch.cat([real(c, 16, step.rng(f"statistics {c}")) for c in (0, 2)]))
        frozen = norm.running_mean.clone(), norm.running_var.clone()
        torch.testing.assert_close(frozen, (seen.mean((0, 2, 3)), seen.transpose(0, 1).flatten(1).var(1)))
        list(terms)
        assert torch.equal(norm.running_mean, frozen[0]) and torch.equal(norm.running_var, frozen[1])
        asked.clear()


@pytest.mark.parametrize(("ipc", "loops"), [*LOOPS.items(), (5, (1, 1)), (19, (10, 50)), (100, (50, 10))])
def test_the_loops_are_the_published_ones_or_those_of_the_nearest_smaller_set(ipc, loops):
    labels = torch.arange(3).repeat_interleave(ipc)
    assert objective().loops(labels) == loops
    assert objective(outer=7).loops(labels) == (7, loops[1])
    assert objective(inner=0).loops(labels) == (loops[0], 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch 1 0"),
        ({"outer": 0}, "outer 1 0"),
        ({"inner": -1}, "inner 0 -1"),
        ({"batch_syn": 0}, "batch_syn 1 0"),
        ({"net_lr": 0.0}, "net_lr > 0 0 <= net_momentum < 1 0.0 0.0"),
        ({"net_momentum": 1.0}, "0.1 1.0"),
        ({"net_lr": float("inf")}, "net_lr inf"),
        ({"distance": "cosine"}, "'cosine' layers mse cos ours"),
    ],
)
def test_an_impossible_option_is_an_error(options, message):
    with pytest.raises(ValueError, match=naming(message)):
        objective(**options)
