"""Every registered objective passes the checks that a user's must pass; objectives that break a rule do not."""

import pytest
import torch
from errors import naming

from glad.objectives import OBJECTIVES
from glad.objectives.checks import check_objective

CASES = [
    *((name, {"skip_above": 0.0} if name == "datm" else {}) for name in OBJECTIVES),
    ("dc", {"outer": 2, "inner": 1, "distance": "cos"}),
    ("dc", {"outer": 2, "inner": 2, "net_momentum": 0.5}),
    ("mtt", {"unroll": "full", "batch_syn": 4}),
    ("ast", {"perturbation": 0.0, "intermediate": 0.0, "momentum": 0.0, "balance": 0}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else str(value))
def test_every_objective_keeps_the_rules(name, options):
    check_objective(OBJECTIVES[name], **options)


def test_an_approximate_gradient_is_seen():
    with pytest.raises(AssertionError, match=naming("images slope")):
        check_objective(OBJECTIVES["mtt"], unroll="tesla", step_size=0.5, syn_steps=4)


class Mean:
    """Distance of class means in pixels, which keeps all rules."""

    def __init__(self, real):
        self.real, self.count = real, torch.zeros(1)

    def terms(self, images, labels, step):
        for c in labels.unique().tolist():
            goal = self.real(c, 4, step.rng(f"real {c}")).mean(0)
            yield (images[labels == c].mean(0) - goal).square().sum()

    def tensors(self):
        return {"count": self.count}


class Hidden(Mean):
    """Weighs the loss by a number that no file keeps."""

    seen = 0

    def terms(self, images, labels, step):
        for term in super().terms(images, labels, step):
            yield term * (1 + self.seen)
        self.seen += 1


class Global(Mean):
    def terms(self, images, labels, step):
        for term in super().terms(images, labels, step):
            yield term + 0 * torch.rand(())


class Secret(Mean):
    """Gives other bits from one object to the next."""

    made = 0

    def __init__(self, real):
        super().__init__(real)
        Secret.made += 1
        self.number = Secret.made

    def terms(self, images, labels, step):
        for term in super().terms(images, labels, step):
            yield term * self.number


class Detached(Mean):
    def terms(self, images, labels, step):
        for term in super().terms(images, labels, step):
            yield term.detach().requires_grad_() + 0 * images.sum()


class Halved(Mean):
    def terms(self, images, labels, step):
        for term in super().terms(images, labels, step):
            yield term.detach() / 2 + term / 2


class Changes(Mean):
    def terms(self, images, labels, step):
        images.data.clamp_(-1, 1)
        yield from super().terms(images, labels, step)


class Copies(Mean):
    def tensors(self):
        return {"count": self.count.clone()}


class Grows(Mean):
    def terms(self, images, labels, step):
        self.grown = torch.ones(1)
        yield from super().terms(images, labels, step)

    def tensors(self):
        return {"count": self.count, **({"grown": self.grown} if hasattr(self, "grown") else {})}


class Vector(Mean):
    def terms(self, images, labels, step):
        yield torch.stack(list(super().terms(images, labels, step)))


class Idle(Mean):
    def tensors(self):
        self.count.requires_grad_()
        return {"count": self.count}


class Wrong(OBJECTIVES["mtt"]):
    """Gives the step size a gradient of the opposite sign."""

    def tensors(self):
        if self.step_size.grad is not None and not hasattr(self, "turned"):
            self.turned = self.step_size.grad.neg_()
        return super().tensors()


class Nothing(Mean):
    def terms(self, images, labels, step):
        yield from ()


class Infinite(Mean):
    def terms(self, images, labels, step):
        for term in super().terms(images, labels, step):
            yield term / 0


class ByClass(Mean):
    by_class = True


class Coupled(ByClass):
    """Compares each class with the mean of all images that it is given."""

    def terms(self, images, labels, step):
        yield from super().terms(images - images.mean(0), labels, step)


class Counting(ByClass):
    """Keeps how many images it was given last."""

    def terms(self, images, labels, step):
        self.count.fill_(len(images))
        yield from super().terms(images, labels, step)


@pytest.mark.parametrize("kind", [Mean, ByClass])
def test_an_objective_of_ones_own_that_keeps_the_rules_passes(kind):
    check_objective(kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Hidden, "restored tensors"),
        (Global, "global"),
        (Secret, "second time"),
        (Detached, "images gradient"),
        (Halved, "slope"),
        (Changes, "changes images"),
        (Copies, "['count']"),
        (Grows, "{'count': [1]}"),
        (Vector, "scalar"),
        (Idle, "['count']"),
        (Wrong, "step size slope"),
        (Nothing, "nothing"),
        (Infinite, "term 1 inf"),
        (Coupled, "by_class class 0 gradient"),
        (Counting, "by_class ['count']"),
    ],
)
def test_a_broken_rule_is_named(kind, message):
    with pytest.raises(AssertionError, match=naming(message)):
        check_objective(kind)
