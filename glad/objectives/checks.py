"""What every objective must do, ours or a user's: checks that a test calls, on sizes that take a second.

from glad.objectives.checks import check_objective

def test_mine():
    check_objective(Mine, weight=0.2)
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.description import ObjectiveDescription, all_terms
from glad.registry import construct, options_of
from glad.rng import rng_for

CLASSES, PER_CLASS, CHANNELS, SIDE = 3, 2, 1, 16
SMALL = {"batch": 4, "syn_steps": 2, "expert_epochs": 2, "max_start_epoch": 2}
"""Options that keep the checks fast, where an objective has them."""
TOLERANCE = {torch.float64: 1e-4, torch.float32: 5e-2}
"""Of a slope against finite differences, relative."""
STEP = {torch.float64: 1e-6, torch.float32: 1e-2}
"""Of finite differences."""


def check_objective(factory: Callable[..., Any], **options: Any) -> None:
    """Check an objective on three classes of two images [1, 16, 16].

    It is a stream of finite scalars that are differentiable in the images; the same step gives the same bits, whatever
    the global random stream does; the gradient is that of finite differences, in float64 where its arithmetic
    follows the type of the images; images and labels are left alone; what ``tensors()`` offers is all that one
    iteration leaves to the next; and one that says ``by_class`` gives each class alone what it gives all together.

    Args:
        factory: Its class, or a function that makes one. Of ``real``, ``network``, ``augment`` and ``segment`` it is
            handed what it asks for.
        options: Its options.

    Raises:
        AssertionError: It fails; the message says what it does and what it should do.
    """
    dtype = torch.float64 if _runs(factory, options, torch.float64) else torch.float32
    make = _maker(factory, options, dtype)
    _check_tensors(make())
    _check_terms(make(), dtype)
    _check_bits(make, dtype)
    _check_slope(make, dtype)
    _check_state(make, dtype)
    _check_classes(make, dtype)


def surroundings(dtype: torch.dtype) -> dict[str, Any]:
    """What the program hands to objectives, in small: real images, networks, augmentation, segments of a trajectory."""

    def network(rng: torch.Generator) -> Any:
        made = make_network("convnet", channels=CHANNELS, classes=CLASSES, resolution=SIDE, rng=rng, width=3, depth=2)
        return made.to(dtype)

    def real(c: int, n: int, rng: torch.Generator) -> Tensor:
        return (torch.randn(n, CHANNELS, SIDE, SIDE, generator=rng) + c).to(dtype)

    def augment(images: Tensor, rng: torch.Generator, shared: bool) -> Tensor:
        drawn = torch.rand(1 if shared else len(images), generator=rng).to(dtype)
        return images * (0.8 + 0.4 * drawn).view(-1, 1, 1, 1)

    start = torch.cat([p.detach().flatten() for p in network(rng_for("check", "start")).parameters()])
    moves = [0.05 * torch.randn(start.shape, generator=rng_for("check", "epoch", i)).to(dtype) for i in range(8)]

    def segment(rng: torch.Generator, max_start_epoch: int, length: int, min_start_epoch: int = 0) -> Any:
        epoch = int(torch.randint(min_start_epoch, max_start_epoch, (), generator=rng))
        checkpoint = lambda i: start + sum(moves[: epoch + i], torch.zeros_like(start))  # noqa: E731
        return SimpleNamespace(epoch=epoch, checkpoint=checkpoint, remaining=len(moves) - epoch)

    return {"real": real, "network": network, "augment": augment, "segment": segment}


def example(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Images [6, 1, 16, 16] that require grad, and their labels."""
    images = torch.randn(CLASSES * PER_CLASS, CHANNELS, SIDE, SIDE, generator=rng_for("check", "images")).to(dtype)
    return images.requires_grad_(), torch.arange(CLASSES).repeat_interleave(PER_CLASS)


def _maker(factory: Callable[..., Any], options: Mapping[str, Any], dtype: torch.dtype) -> Callable[[], Any]:
    small = {name: value for name, value in SMALL.items() if name in options_of(factory)}
    return lambda: construct(factory, surroundings(dtype), {**small, **options})


def _runs(factory: Callable[..., Any], options: Mapping[str, Any], dtype: torch.dtype) -> bool:
    """Whether the arithmetic of an objective follows ``dtype``; one that mixes types has an error of torch's."""
    images, labels = example(dtype)
    try:
        return all(
            term.dtype == dtype for term in all_terms(_maker(factory, options, dtype)(), images, labels, Step(0, 0))
        )
    except RuntimeError:  # what has another cause is raised again by the checks in float32
        return False


def _check_tensors(objective: Any) -> None:
    offered, again = objective.tensors(), objective.tensors()
    assert isinstance(offered, dict) and all(isinstance(t, Tensor) for t in offered.values()), (
        f"tensors() gives {type(offered).__name__} of {[type(t).__name__ for t in dict(offered).values()]}: it must "
        "give a dict of tensors"
    )
    moved = [name for name in offered if name not in again or offered[name].data_ptr() != again[name].data_ptr()]
    assert not moved, f"tensors() gives copies of {moved}: it must give the tensors themselves, to be restored in place"
    learned = ObjectiveDescription(objective).learned_step_size
    assert learned is None or learned in offered, f"learned_step_size is {learned!r}, which tensors() lacks"


def _check_terms(objective: Any, dtype: torch.dtype) -> None:
    images, labels = example(dtype)
    before, count = images.detach().clone(), 0
    for term in all_terms(objective, images, labels, Step(0, 0)):
        count += 1
        assert isinstance(term, Tensor) and term.shape == (), f"term {count} is {term!r}: each must be a scalar tensor"
        assert bool(term.isfinite()), f"term {count} is {term.item()}"
        assert term.requires_grad, f"term {count} does not depend on the images"
        term.backward()
    assert count, "terms() yields nothing"
    assert images.grad is not None and bool(images.grad.abs().sum() > 0), "the images receive no gradient"
    assert bool(images.grad.isfinite().all()), "the gradient of the images is not finite"
    assert torch.equal(images, before), "terms() changes the images that it is given"
    assert torch.equal(labels, example(dtype)[1]), "terms() changes the labels that it is given"
    learned = {name: tensor for name, tensor in objective.tensors().items() if tensor.requires_grad}
    idle = [name for name, tensor in learned.items() if tensor.grad is None]
    assert not idle, f"{idle} require grad and receive none"


def _iterate(objective: Any, images: Tensor, labels: Tensor, iteration: int) -> list[Tensor]:
    """The terms of one iteration, and the gradient of the images last; the images' own gradient is left empty."""
    leaf = images.detach().requires_grad_()
    terms = []
    for term in all_terms(objective, leaf, labels, Step(0, iteration)):
        term.backward()
        terms.append(term.detach().clone())
    assert leaf.grad is not None
    return [*terms, leaf.grad]


def _same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def _check_bits(make: Callable[[], Any], dtype: torch.dtype) -> None:
    found = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            state = torch.random.get_rng_state()
            found.append(_iterate(make(), *example(dtype), 0))
            assert torch.equal(state, torch.random.get_rng_state()), (
                "it draws from the global random stream, so that resumed runs differ: draw from step.rng(purpose)"
            )
    assert _same(*found), "the same step gives other bits the second time"


def _check_slope(make: Callable[[], Any], dtype: torch.dtype) -> None:
    """The slope of the loss along a random direction of the images, and of the student's step size if it is learned."""
    images, labels = example(dtype)
    objective = make()
    *_, gradient = _iterate(objective, images, labels, 0)
    direction = torch.randn(images.shape, generator=rng_for("check", "direction")).to(dtype)
    direction = 0.5 * direction / direction.norm() + gradient / gradient.norm().clamp(min=1e-30)

    def along_images(distance: float) -> float:
        return _loss(make(), images + distance * direction, labels)

    _compare("the images", float((gradient * direction).sum()), along_images, STEP[dtype], TOLERANCE[dtype])
    learned = ObjectiveDescription(objective).learned_step_size
    if learned is None:
        return
    size = objective.tensors()[learned]
    start, slope = float(size.detach()), float(size.grad)

    def along_step_size(distance: float) -> float:
        other = make()
        other.tensors()[learned].data.add_(distance * start)
        return _loss(other, images, labels)

    _compare("the step size", slope * start, along_step_size, 1e-3, TOLERANCE[torch.float32])  # it is rounded itself


def _loss(objective: Any, images: Tensor, labels: Tensor) -> float:
    *terms, _ = _iterate(objective, images, labels, 0)
    return float(torch.stack(terms).double().sum())


def _compare(what: str, slope: float, value: Callable[[float], float], step: float, tolerance: float) -> None:
    """Compare with two finite differences, the second one over a longer step: a kink may lie on one of them."""
    measured = [(value(h) - value(-h)) / (2 * h) for h in (step, 3 * step)]
    near = min(abs(slope - found) / max(abs(slope), abs(found), 1e-12) for found in measured)
    assert near < tolerance, (
        f"the gradient of {what} has a slope of {slope:.6g} along a direction, finite differences {measured[0]:.6g}"
    )


def _check_state(make: Callable[[], Any], dtype: torch.dtype) -> None:
    """An objective that is restored from ``tensors()`` after two iterations computes the third as if uninterrupted."""
    whole, restored = make(), make()
    images, labels = example(dtype)
    moving = images.detach()
    for iteration in range(2):
        *_, gradient = _iterate(whole, moving, labels, iteration)
        moving = moving - 0.1 * gradient / gradient.norm()
    saved = {name: tensor.detach().clone() for name, tensor in whole.tensors().items()}
    offered = restored.tensors()
    shapes, expected = ({name: list(t.shape) for name, t in tensors.items()} for tensors in (saved, offered))
    assert shapes == expected, (
        f"after two iterations tensors() has {shapes}, at first {expected}: they must be the same"
    )
    for name, tensor in offered.items():
        tensor.data.copy_(saved[name])
    ours, theirs = (_iterate(objective, moving, labels, 2) for objective in (whole, restored))
    assert _same(ours, theirs), (
        "restored from tensors(), it goes on differently: all that outlives an iteration belongs into tensors()"
    )


def _check_classes(make: Callable[[], Any], dtype: torch.dtype) -> None:
    """Asked for one class after the other, an objective that is ``by_class`` gives the gradient that all give."""
    if not ObjectiveDescription(make()).by_class:
        return
    together, apart = make(), make()
    images, labels = example(dtype)
    *_, whole = _iterate(together, images, labels, 0)
    if (prepare := ObjectiveDescription(apart).prepare) is not None:
        prepare(images.detach(), labels, Step(0, 0))
    for c in range(CLASSES):
        rows = labels == c
        part = images.detach()[rows].requires_grad_()
        for term in apart.terms(part, labels[rows], Step(0, 0)):
            term.backward()
        assert part.grad is not None, f"by_class is True, but class {c} alone receives no gradient"
        off = float((part.grad - whole[rows]).norm() / whole[rows].norm().clamp(min=1e-30))
        assert off < 1e-4, f"by_class is True, but class {c} alone has another gradient: it differs by {off:.2g} of it"
    kept = [name for name, t in together.tensors().items() if not torch.equal(t, apart.tensors()[name])]
    assert not kept, f"by_class is True, but {kept} depend on the classes that terms was asked for"
