"""MTT and AST: their losses against transcriptions, what each switch does, and their learning of a step size."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from errors import naming
from torch.nn import functional as F

from glad.data.augment import augment
from glad.networks import make_network
from glad.objectives import OBJECTIVES
from glad.objectives.ast import AST, balance, perturb
from glad.objectives.mtt import MTT, Classifier, relative_distance
from glad.rng import rng_for


@dataclass(frozen=True)
class Step:
    iteration: int = 3

    def rng(self, purpose):
        return rng_for(0, self.iteration, purpose)


def network(rng):
    return make_network("convnet", channels=1, classes=3, resolution=16, rng=rng, width=4)


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


PATH = [flat(network(rng_for("path", 0)))]
for number in range(1, 12):
    PATH.append(PATH[-1] + 0.01 * torch.randn(PATH[0].shape, generator=rng_for("path", number)))


def segment(rng, max_start_epoch, length):
    epoch = int(torch.randint(max_start_epoch, (), generator=rng))
    return SimpleNamespace(checkpoint=lambda i: PATH[epoch + i].clone(), epoch=epoch)


def dsa(images, rng, shared):
    return augment(images, rng, shared, "crop_scale")


def images(seed=0):
    return torch.randn(6, 1, 16, 16, generator=rng_for("images", seed))


LABELS = torch.arange(6) % 3


def loss_of(objective, pixels, step=None):
    (term,) = objective.terms(pixels, LABELS, step or Step())
    return term


def transcribed(pixels, alpha, steps, epochs, below, batch, step):
    """MTT word by word: plain modules, plain SGD."""
    piece = segment(step.rng("segment"), below, epochs)
    start, end = piece.checkpoint(0), piece.checkpoint(epochs)
    student, position = network(rng_for("any")), start
    orders = []
    for number in range(steps):
        if not orders:
            passes = number * batch // 6
            order = torch.randperm(6, generator=step.rng(f"order {passes}"))
            orders = list(order.split(batch))
        chosen = orders.pop(0)
        torch.nn.utils.vector_to_parameters(position, student.parameters())
        seen = dsa(pixels[chosen], step.rng(f"augment {number}"), False)
        F.cross_entropy(student(seen), LABELS[chosen]).backward()
        position = position - alpha * torch.cat([p.grad.flatten() for p in student.parameters()])
        student.zero_grad()
    return (position - end).square().sum() / (start - end).square().sum()


@pytest.mark.parametrize("batch", [None, 2, 3])
def test_the_loss_is_that_of_a_plain_student(batch):
    objective = MTT(segment, network, dsa, syn_steps=5, expert_epochs=2, batch_syn=batch, step_size=0.03)
    expected = transcribed(images(), 0.03, 5, 2, 5, batch or 6, Step())
    torch.testing.assert_close(loss_of(objective, images()).detach(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("unroll", ["adjoint", "full", "tesla"])
@pytest.mark.parametrize("kind", [MTT, AST])
def test_all_unrolls_have_one_loss_and_a_gradient_for_images_and_step_size(kind, unroll):
    losses = []
    for name in ("full", unroll):
        objective = kind(segment, network, dsa, syn_steps=4, expert_epochs=2, unroll=name)
        pixels = images().requires_grad_()
        loss = loss_of(objective, pixels)
        loss.backward()
        losses.append(loss.detach())
        assert pixels.grad.abs().max() > 0 and objective.step_size.grad.abs() > 0
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("kind", [MTT, AST])
def test_the_images_learn_to_lead_where_the_expert_went(kind):
    objective = kind(segment, network, dsa, syn_steps=4, expert_epochs=2, max_start_epoch=1, step_size=0.05)
    pixels = images().requires_grad_()
    step, losses = Step(), []
    for _ in range(15):
        loss = loss_of(objective, pixels, step)
        loss.backward()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            pixels -= 20 * pixels.grad
            pixels.grad = None
            objective.step_size -= 1e-4 * objective.step_size.grad
            objective.step_size.grad = None
    assert losses[-1] < 0.97 * losses[0]


@pytest.mark.parametrize("kind", [MTT, AST])
def test_the_step_size_stays_positive_and_a_fall_below_is_said(kind):
    objective = kind(segment, network, dsa, syn_steps=3)
    objective.step_size.data.fill_(-3.0)
    with pytest.warns(UserWarning, match=naming(f"{kind.__name__.lower()} --lr step_size=RATE")):
        assert loss_of(objective, images()).isfinite()
    assert objective.tensors()["step_size"] is objective.step_size
    assert 0 < objective.step_size < 1e-5


@pytest.mark.parametrize("unroll", ["adjoint", "full", "tesla"])
@pytest.mark.parametrize("kind", [MTT, AST])
def test_one_hot_labels_give_the_loss_and_gradient_of_whole_numbers(kind, unroll):
    found = []
    for labels in (LABELS, F.one_hot(LABELS, 3).float()):
        pixels = images().requires_grad_()
        objective = kind(segment, network, dsa, syn_steps=4, expert_epochs=2, unroll=unroll)
        (term,) = objective.terms(pixels, labels, Step())
        term.backward()
        found.append((term.detach(), pixels.grad))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("kind", [MTT, AST])
def test_the_gradient_of_labels_is_that_of_finite_differences(kind):
    def doubled(rng, below, length):
        found = segment(rng, below, length)
        return SimpleNamespace(checkpoint=lambda i: found.checkpoint(i).double(), epoch=found.epoch)

    def network_of_doubles(rng):
        return network(rng).double()

    objective = kind(doubled, network_of_doubles, dsa, syn_steps=2, expert_epochs=2, unroll="full")
    pixels, labels = images().double(), F.one_hot(LABELS, 3).double().requires_grad_()
    direction = torch.randn(labels.shape, generator=rng_for("direction"), dtype=torch.float64)

    def loss(size):
        (term,) = objective.terms(pixels, labels + size * direction, Step())
        return term

    loss(0.0).backward()
    expected = (loss(1e-4).detach() - loss(-1e-4).detach()) / 2e-4
    torch.testing.assert_close((labels.grad * direction).sum(), expected, rtol=1e-5, atol=1e-9)


def test_draws_are_functions_of_the_iteration():
    objective = MTT(segment, network, dsa, syn_steps=3)
    first, again, other = (loss_of(objective, images(), Step(i)).detach() for i in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_batches_go_through_all_images_before_one_comes_again():
    numbered = torch.arange(6.0)[:, None]
    classifier = Classifier(network(rng_for(0)), lambda x, rng, shared: x, LABELS, 4, Step())
    batches = [classifier.batch(numbered, LABELS, number) for number in range(6)]
    assert all(torch.equal(labels, LABELS[seen[:, 0].long()]) for seen, labels in batches)
    passes = [torch.cat([seen for seen, _ in batches[2 * p : 2 * p + 2]])[:, 0].tolist() for p in range(3)]
    assert all(sorted(order) == list(range(6)) for order in passes)
    assert passes[0] != passes[1]


OFF = {"momentum": 0.0, "bias_correction": 0, "balance": 0, "intermediate": 0.0, "perturbation": 0.0}


def test_ast_with_everything_off_is_mtt():
    plain, bare = (kind(segment, network, dsa, syn_steps=3, **o) for kind, o in ((MTT, {}), (AST, OFF)))
    assert torch.equal(loss_of(plain, images()), loss_of(bare, images()))


@pytest.mark.parametrize("switch", OFF)
def test_each_switch_of_ast_changes_the_loss(switch):
    off = {**OFF, "momentum": 0.9} if switch == "bias_correction" else OFF
    changed = {name: value for name, value in off.items() if name != switch}
    found = [
        loss_of(AST(segment, network, dsa, syn_steps=4, max_start_epoch=9, **options), images()).detach()
        for options in (off, changed)
    ]
    assert not torch.isclose(*found, rtol=1e-4)


def test_students_and_experts_meet_at_equal_strides():
    def meetings(**options):
        return AST(segment, network, dsa, **options).meetings()

    assert meetings(syn_steps=20, expert_epochs=3) == [(6, 1, 1.0), (12, 2, 1.0), (20, 3, 1.0)]
    adaptive = meetings(syn_steps=8, expert_epochs=4, adaptive=1, intermediate=2.0)
    assert adaptive == [(2, 1, 0.5), (4, 2, 1.0), (6, 3, 1.5), (8, 4, 1.0)]
    assert meetings(syn_steps=2, expert_epochs=3, intermediate=0.0) == [(2, 3, 1.0)]


def test_balance_is_one_log_of_the_distance_from_half_way():
    assert balance(5, 11) == pytest.approx(math.log(8) / math.log(5))
    assert balance(10, 11) == pytest.approx(math.log(13) / math.log(5))
    assert balance(0, 11) == pytest.approx(math.log(5) / math.log(13))


def test_only_convolutions_are_perturbed_by_a_tensor_of_given_norm():
    shapes = [torch.Size([4, 1, 3, 3]), torch.Size([4]), torch.Size([3, 16])]
    before = torch.ones(36 + 4 + 48)
    after = perturb(before, shapes, 0.5, rng_for(1))
    assert torch.equal(after[36:], before[36:])
    assert (after - before)[:36].norm() == pytest.approx(0.5, rel=1e-5)
    assert perturb(before, shapes, 0.0, rng_for(1)) is before


def test_the_perturbed_start_is_the_one_that_distances_are_relative_to():
    start, target = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    distance = relative_distance(start, target, 3.0)
    assert distance(start) == 3
    assert distance(target) == 0


@pytest.mark.parametrize("kind", [MTT, AST])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"syn_steps": 0}, "syn_steps 1 0"),
        ({"batch_syn": 0}, "batch_syn"),
        ({"step_size": 0.0}, "step_size"),
        ({"unroll": "exact"}, "adjoint full tesla"),
    ],
)
def test_options_are_checked(kind, options, said):
    with pytest.raises(ValueError, match=naming(said)):
        kind(segment, network, dsa, **options)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (MTT, {"nearest": 2}, "mtt: nearest 0 or 1 2"),
        (AST, {"momentum": 1.0}, "ast: momentum 0 below 1 1.0"),
        (AST, {"momentum": -0.5}, "ast: momentum 0 below 1 -0.5"),
        (AST, {"momentum": float("nan")}, "ast: momentum 0 below 1 nan"),
        (AST, {"intermediate": -1.0}, "ast: intermediate 0 -1.0"),
        (AST, {"perturbation": -1.0}, "ast: perturbation 0 -1.0"),
        (AST, {"step_size": float("inf")}, "ast: step_size finite 0 inf"),
        *((AST, {switch: 2}, f"ast: {switch} 0 or 1 2") for switch in ("bias_correction", "balance", "adaptive")),
    ],
)
def test_numbers_without_sense_are_refused(kind, options, said):
    with pytest.raises(ValueError, match=naming(said)):
        kind(segment, network, dsa, **options)


def test_fewer_steps_than_meetings_are_refused():
    with pytest.raises(ValueError, match="syn_steps"):
        AST(segment, network, dsa, syn_steps=2, expert_epochs=3)


def test_both_are_registered():
    assert OBJECTIVES["mtt"] is MTT and OBJECTIVES["ast"] is AST
