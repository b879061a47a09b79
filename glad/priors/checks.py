"""What every prior must do, ours or a user's: checks that a test calls.

from glad.priors.checks import check_prior

def test_mine():
    check_prior(lambda: Mine(channels=1, resolution=16), classes=3)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from glad.priors.base import Prior
from glad.priors.description import PriorDescription
from glad.rng import rng_for

ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}
"""By which images of rows rendered alone may differ from those of rows rendered together, of their largest value."""
TOLERANCE = {torch.float64: 1e-4, torch.float32: 5e-2}
"""Of a slope against finite differences, relative."""
STEP = {torch.float64: 1e-6, torch.float32: 1e-2}
"""Of finite differences."""


def check_prior(
    make: Callable[[], Prior], classes: int = 3, to_double: Callable[[Any], Any] | None = None
) -> PriorDescription:
    """Check a prior with two rows per class.

    Its latents are a function of the classes and of the generator; the same latents give the same bits; rows do not
    depend on each other; the gradient is that of finite differences; ``tensors()`` offers the tensors themselves, and
    images are a function of latents and of them; and what it says of itself fits what it does.

    Args:
        make: Makes a fresh prior; twice the same.
        classes: How many classes it is made for.
        to_double: Turns its weights to float64, in which finite differences are exact; without, they are taken in
            float64 where its arithmetic follows the type of the latents, otherwise in float32.

    Returns:
        What the prior says of itself.

    Raises:
        AssertionError: It fails; the message says what it does and what it should do.
    """
    labels = torch.arange(classes).repeat_interleave(2)
    prior, description = make(), PriorDescription(make())
    latents = _check_latents(prior, make(), labels)
    images = _check_images(prior, latents, description)
    _check_rows(prior, latents, images, description)
    _check_tensors(prior, latents, images)
    _check_members(prior, latents, images, description)
    precise = make()
    for name, tensor in precise.tensors().items():
        tensor.data.copy_(prior.tensors()[name])  # latents mean something beside these
    if to_double is not None:
        to_double(precise)
    _check_slope(precise, latents)
    return description


def _check_latents(prior: Prior, other: Prior, labels: Tensor) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = torch.random.get_rng_state()
        latents = prior.init(labels, rng_for("check"))
        assert torch.equal(state, torch.random.get_rng_state()), (
            "init draws from the global random stream, not from rng"
        )
        torch.manual_seed(2)
        again = other.init(labels, rng_for("check"))
    assert isinstance(latents, dict) and latents, f"init gives {latents!r}: it must give a dict of tensors"
    assert any(torch.is_floating_point(tensor) for tensor in latents.values()), "no latent is a tensor of floats"
    for name, tensor in latents.items():
        assert isinstance(tensor, Tensor), f"latent {name} is no tensor"
        rows = tensor.shape[0] if tensor.ndim else 0
        assert rows == len(labels), f"latent {name} has {rows} rows for {len(labels)} classes"
        assert bool(tensor.isfinite().all()), f"latent {name} is not finite"
    assert _same(latents, again), "init gives other latents for the same classes and generator"
    return {name: tensor.detach() for name, tensor in latents.items()}


def _same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@torch.no_grad()
def _check_images(prior: Prior, latents: dict[str, Tensor], description: PriorDescription) -> Tensor:
    before = {name: tensor.clone() for name, tensor in latents.items()}
    images, rows = prior(**latents), len(next(iter(latents.values())))
    assert isinstance(images, Tensor) and images.ndim == 4, (
        f"images are [N, C, H, W], not {getattr(images, 'shape', images)}"
    )
    expected = rows * description.images_per_row
    assert len(images) == expected, (
        f"{rows} rows render {len(images)} images, where images_per_row = {description.images_per_row} means {expected}"
    )
    assert images.is_floating_point() and bool(images.isfinite().all()), "images are not finite numbers"
    assert _same(latents, before), "rendering changes the latents that it is given"
    assert torch.equal(images, prior(**latents)), "the same latents give other images the second time"
    return images


@torch.no_grad()
def _check_rows(prior: Prior, latents: dict[str, Tensor], images: Tensor, description: PriorDescription) -> None:
    """Each row alone, and all rows but one exchanged for copies of another."""
    each, most = description.images_per_row, float(images.abs().max()) * ROUNDING.get(images.dtype, 1e-4) + 1e-30
    for row in range(len(images) // each):
        alone = prior(**{name: tensor[row : row + 1] for name, tensor in latents.items()})
        off = float((alone - images[row * each : (row + 1) * each]).abs().max())
        assert off <= most, f"row {row} rendered alone differs by {off:.3g}: rows must not depend on each other"
    first = torch.zeros(len(images) // each, dtype=torch.int64)
    copies = prior(**{name: tensor[first] for name, tensor in latents.items()}).unflatten(0, (-1, each))
    off = float((copies - copies[:1]).abs().max())
    assert off <= most, f"equal latents give images that differ by {off:.3g}"


@torch.no_grad()
def _check_tensors(prior: Prior, latents: dict[str, Tensor], images: Tensor) -> None:
    offered, again = prior.tensors(), prior.tensors()
    assert isinstance(offered, dict) and all(isinstance(t, Tensor) for t in offered.values()), (
        f"tensors() gives {offered!r}: it must give a dict of tensors"
    )
    moved = [name for name in offered if name not in again or offered[name].data_ptr() != again[name].data_ptr()]
    assert not moved, f"tensors() gives copies of {moved}: it must give the tensors themselves, to be restored in place"
    saved = {name: tensor.detach().clone() for name, tensor in offered.items()}
    for tensor in (tensor for tensor in offered.values() if tensor.is_floating_point()):
        tensor.data.add_(0.5)
    prior(**latents)
    for name, tensor in offered.items():
        tensor.data.copy_(saved[name])
    assert torch.equal(images, prior(**latents)), "with tensors() restored, the same latents give other images"


@torch.no_grad()
def _check_members(prior: Prior, latents: dict[str, Tensor], images: Tensor, description: PriorDescription) -> None:
    assert description.floats_per_row > 0
    _ = description.weights  # raises where it is no record
    known = {*latents, *prior.tensors(), *(name.split("/")[0] for name in prior.tensors())}
    for member, names in (("optimizers", description.optimizers), ("learning_rates", description.learning_rates())):
        unknown = [name for name in names if name not in known]
        assert not unknown, f"{member} has {unknown}, but latents and tensors are {sorted(known)}"
    absent = [name for name in description.codes if name not in latents]
    assert not absent, f"codes names {absent}, but the latents are {[*latents]}"
    made: dict[str, dict[str, Tensor]] = {}
    if description.encode is not None:
        made["encode"] = description.encode(images)
    if description.from_codes is not None:
        made["from_codes"] = description.from_codes(**{name: latents[name] for name in description.codes})
    shapes = {name: list(tensor.shape) for name, tensor in latents.items()}
    for member, found in made.items():
        have = {name: list(tensor.shape) for name, tensor in found.items()}
        assert have == shapes, f"{member} gives {have}, init gives {shapes}"
    if description.project is not None:
        once = description.project(**{name: 10 * t if t.is_floating_point() else t for name, t in latents.items()})
        unknown = [name for name in once if name not in latents]
        assert not unknown, f"project gives {unknown}, but the latents are {[*latents]}"
        again = description.project(**{**latents, **once})
        assert _same(once, again), "project moves what it has given: latents that are allowed must stay as they are"


def _check_slope(prior: Prior, latents: dict[str, Tensor]) -> None:
    """The slope of a weighted sum of the images along a random direction of every latent."""
    images, dtype = _render(prior, latents)
    weights = torch.randn(images.shape, generator=rng_for("check", "weights")).to(dtype) / images.numel() ** 0.5
    fixed = {name: tensor for name, tensor in latents.items() if not tensor.is_floating_point()}
    leaves = {name: t.to(dtype).requires_grad_() for name, t in latents.items() if name not in fixed}
    loss = (prior(**leaves, **fixed) * weights).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        assert gradient is not None and bool(gradient.isfinite().all()), f"latent {name} has no finite gradient"
        assert bool(gradient.abs().sum() > 0), f"latent {name} has a gradient of zero: images do not depend on it"
        direction = torch.randn(leaf.shape, generator=rng_for("check", "direction", name)).to(dtype)
        direction = 0.5 * direction / direction.norm() + gradient / gradient.norm()
        slope = float((gradient * direction).sum())
        measured = [
            _difference(prior, {**leaves, **fixed}, name, direction, weights, h) for h in (STEP[dtype], 3 * STEP[dtype])
        ]
        near = min(abs(slope - found) / max(abs(slope), abs(found), 1e-12) for found in measured)
        assert near < TOLERANCE[dtype], (
            f"along a direction of latent {name} the gradient has a slope of {slope:.6g}, finite differences "
            f"{measured[0]:.6g}"
        )


def _render(prior: Prior, latents: dict[str, Tensor]) -> tuple[Tensor, torch.dtype]:
    """Images of float64 latents, if the prior renders them as float64; else those of float32."""
    try:
        with torch.no_grad():
            images = prior(**{name: t.double() if t.is_floating_point() else t for name, t in latents.items()})
        if images.dtype == torch.float64:
            return images, torch.float64
    except RuntimeError:  # what has another cause is raised again below
        pass
    with torch.no_grad():
        return prior(**latents), torch.float32


@torch.no_grad()
def _difference(
    prior: Prior, latents: dict[str, Tensor], name: str, direction: Tensor, weights: Tensor, step: float
) -> float:
    """The central difference of the weighted sum of the images along ``direction`` of the latent ``name``."""
    ends = [prior(**{**latents, name: latents[name] + sign * step * direction}) for sign in (1, -1)]
    return float(((ends[0] - ends[1]) * weights).double().sum()) / (2 * step)
