"""The three gradients of an unrolled student: exact ones agree with each other and with differences of the loss."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from glad.data.augment import augment
from glad.networks import make_network
from glad.objectives.unroll import Student, adjoint, full, tesla
from glad.rng import rng_for

STEPS = 7


def normal(name, *shape):
    return torch.randn(*shape, generator=rng_for("unroll", name), dtype=torch.float64)


LABELS = torch.arange(6) % 3


def toy(steps=STEPS, momentum=0.0, batch=3, targets=None, microbatch_size=None, bias_correction=False):
    """A smooth two-layer student of 2 * 5 + 5 * 3 parameters on batches of ``batch`` of six points."""
    start = 0.5 * normal("start", 25)

    def seen(points, labels, step):
        order = torch.randperm(6, generator=rng_for("order", step // (6 // batch)))
        chosen = order.split(batch)[step % (6 // batch)]
        return (points[chosen] + 0.1 * normal(f"augment {step}", 2)) ** 2, labels[chosen]

    def loss(parameters, points, wanted):
        first, second = parameters[:10].view(2, 5), parameters[10:].view(5, 3)
        return F.cross_entropy(torch.tanh(points @ first) @ second, wanted)

    goals = targets or {steps: 1.0}
    return Student(
        start,
        seen,
        loss,
        {k: lambda p, k=k, w=w: w * (p - normal(f"goal {k}", 25)).square().sum() for k, w in goals.items()},
        momentum,
        microbatch_size,
        bias_correction,
    )


def gradients(unroll, student, labels=LABELS, **options):
    """The loss, and its gradients for points, rate, and labels that are soft."""
    points = normal("points", 6, 2).requires_grad_()
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    labels = labels.clone().requires_grad_() if labels.is_floating_point() else labels
    loss = unroll(student, points, labels, rate, **options)
    loss.backward()
    return loss.detach(), points.grad, rate.grad, *([] if labels.grad is None else [labels.grad])


CASES = {
    "plain": {},
    "one step": {"steps": 1},
    "momentum": {"momentum": 0.9},
    "corrected momentum": {"momentum": 0.9, "bias_correction": True, "targets": {2: 0.5, 7: 1.0}},
    "all in one batch": {"batch": 6},
    "intermediate targets": {"targets": {2: 0.5, 4: 1.5, 7: 1.0}, "momentum": 0.9},
    "a target that is not the last step of a segment": {"targets": {1: 1.0, 3: 2.0, 6: 1.0}},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("every", [None, 1, 2, 3, 7, 100])
@pytest.mark.parametrize("microbatch_size", [None, 1, 2, 10])
def test_adjoint_is_full_to_rounding_under_any_chunking(case, every, microbatch_size):
    expected = gradients(full, toy(**case))
    for found, value in zip(
        gradients(adjoint, toy(**case, microbatch_size=microbatch_size), every=every), expected, strict=True
    ):
        torch.testing.assert_close(found, value, rtol=1e-10, atol=1e-12)


SOFT = torch.softmax(normal("labels", 6, 3), 1)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("microbatch_size", [None, 2])
def test_adjoint_pulls_to_soft_labels_as_full_does(case, microbatch_size):
    expected = gradients(full, toy(**case), SOFT)
    found = gradients(adjoint, toy(**case, microbatch_size=microbatch_size), SOFT, every=3)
    assert len(found) == 4 and found[3].abs().max() > 1e-3
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_the_gradient_of_soft_labels_is_that_of_differences_of_the_loss():
    student, rate = toy(momentum=0.5, bias_correction=True), torch.tensor(0.7, dtype=torch.float64)
    points, labels = normal("points", 6, 2), SOFT.clone().requires_grad_()
    for unroll in (full, adjoint):
        assert torch.autograd.gradcheck(lambda y, unroll=unroll: unroll(student, points, y, rate), labels, atol=1e-7)


def test_with_corrected_momentum_a_constant_gradient_gives_steps_of_one_length():
    """m (1 - mu) / (1 - mu^s) of equal gradients is that gradient: the end is where plain SGD ends."""
    slope = normal("slope", 25)
    ends = [
        replace(toy(5, momentum, bias_correction=corrected), loss=lambda p, x, y: p @ slope, targets={5: torch.sum})
        for momentum, corrected in ((0.0, False), (0.9, True), (0.9, False))
    ]
    plain, corrected, cold = (full(one, normal("points", 6, 2), LABELS, torch.tensor(0.1).double()) for one in ends)
    torch.testing.assert_close(corrected, plain, rtol=1e-12, atol=1e-12)
    assert (cold - plain).abs() > 0.1 * slope.sum().abs()


def test_full_agrees_with_differences_of_the_loss():
    student = toy(momentum=0.9, targets={3: 1.0, 7: 1.0})
    points, rate = normal("points", 6, 2), torch.tensor(0.7, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, a: full(student, x, LABELS, a), (points.requires_grad_(), rate.requires_grad_()), atol=1e-7
    )
    assert torch.autograd.gradcheck(lambda x, a: adjoint(student, x, LABELS, a), (points, rate), atol=1e-7)


def test_upstream_factors_arrive():
    points, rate = normal("points", 6, 2).requires_grad_(), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    (-3 * adjoint(toy(), points, LABELS, rate)).backward()
    _, expected_points, expected_rate = gradients(full, toy())
    torch.testing.assert_close(points.grad, -3 * expected_points, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(rate.grad, -3 * expected_rate, rtol=1e-10, atol=1e-12)


def test_tesla_has_the_loss_and_is_exact_for_one_step_only():
    for steps in (1, 2):
        loss, to_points, to_rate = gradients(tesla, toy(steps, batch=6))
        expected_loss, expected_points, expected_rate = gradients(full, toy(steps, batch=6))
        torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
        exact = torch.allclose(to_points, expected_points, rtol=1e-9, atol=1e-12)
        assert exact == (steps == 1)
        if steps == 1:
            torch.testing.assert_close(to_rate, expected_rate)


def test_tesla_is_the_gradient_with_earlier_parameters_held():
    """Cui et al.: the end is start - a times the sum of gradients, each at parameters that are constants."""
    student = toy(5, batch=6, microbatch_size=4)
    points = normal("points", 6, 2).requires_grad_()
    rate = torch.tensor(0.7, dtype=torch.float64)
    path = [student.start]

    def whole(parameters, points, step):
        return student.loss(parameters, *student.batch(points, LABELS, step))

    for step in range(5):
        leaf = path[-1].detach().requires_grad_()
        path.append((leaf - rate * torch.autograd.grad(whole(leaf, points, step), leaf)[0]).detach())
    end = student.start
    for step, (here, _) in enumerate(pairwise(path)):
        leaf = here.detach().requires_grad_()
        end = end - rate * torch.autograd.grad(whole(leaf, points, step), leaf, create_graph=True)[0]
    (expected,) = torch.autograd.grad(student.targets[5](end), points)
    _, found, _ = gradients(tesla, student)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_a_convnet_with_augmentation_gives_the_same_gradient_both_ways():
    network = make_network("convnet", channels=1, classes=3, resolution=16, rng=rng_for("net"), width=4).double()
    shapes = {name: p.shape for name, p in network.named_parameters()}
    start = torch.cat([p.detach().flatten() for p in network.parameters()])
    labels, images = LABELS, normal("images", 6, 1, 16, 16)

    def seen(x, y, step):
        return augment(x, rng_for("augment", step), shared=False), y

    def loss(parameters, x, wanted):
        parts = parameters.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(network, named, (x,)), wanted)

    student = Student(start, seen, loss, {6: lambda p: (p - 0.9 * start).square().sum()}, 0.5, microbatch_size=4)
    found = []
    for unroll in (full, adjoint):
        x, rate = images.clone().requires_grad_(), torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
        unroll(student, x, labels, rate).backward()
        found.append((x.grad, rate.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)
    assert found[0][0].abs().max() > 0


def test_adjoint_keeps_the_states_of_a_root_of_the_steps_and_one_graph():
    """The number of tensors alive in a backward sweep does not grow with the steps, but with their root."""
    alive, most = [0], {}

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            alive[0] += 1
            alive.append(alive[0])
            ctx.token = Token()
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return Counted.apply(grad)

    class Token:
        def __del__(self):
            alive[0] -= 1

    for unroll in (full, adjoint):
        for steps in (4, 16):
            plain = toy(steps)
            student = replace(plain, loss=lambda p, x, y, f=plain.loss: f(Counted.apply(p), x, y))
            del alive[1:]
            gradients(unroll, student)
            most[unroll.__name__, steps] = max(alive)
    assert most["full", 16] >= 3 * most["full", 4]
    assert most["adjoint", 16] == most["adjoint", 4]
