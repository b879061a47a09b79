"""Differentiable siamese augmentation, DSA (Zhao & Bilen, ICML 2021).

Every transform is a function of images [N, C, H, W] and of a ``Draw``, the source of its random parameters, and
differs from the released code in nothing but rotations of images that are not square, which stay rotations.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from glad.data.dataset import ImageData

Draw = Callable[[int], Tensor]
"""``draw(k)`` returns uniform numbers in [0, 1) of shape [rows, k]: one row per sample, or one row for all."""

ALL = "color_crop_cutout_flip_scale_rotate"


def augment(images: Tensor, rng: torch.Generator, shared: bool, strategy: str = ALL) -> Tensor:
    """Apply one transform, drawn from ``strategy``, to normalized images [N, C, H, W]; shape and dtype stay.

    ``strategy`` names transforms joined by ``_``; ``""`` and ``"none"`` return the images as they are. ``shared``
    draws one set of parameters for all samples, so that batches of any size given equal generators are transformed
    alike; otherwise each sample has its own. What comes from outside the image is zero. Differentiable twice with
    respect to the images. Draws are made on the device of ``rng``. Raises ValueError for an unknown transform.
    """
    names = transform_names(strategy)
    if not names:
        return images
    name = names[int(torch.randint(len(names), (), generator=rng, device=rng.device))]
    rows = 1 if shared else len(images)

    def draw(count: int) -> Tensor:
        return torch.rand(rows, count, generator=rng, device=rng.device).to(images.device, non_blocking=True)

    return TRANSFORMS[name](images, draw)


def without_flip(strategy: str) -> str:
    """Return ``strategy`` without its flip, for digits and letters."""
    return "_".join(name for name in transform_names(strategy) if name != "flip")


def transform_names(strategy: str) -> list[str]:
    """Return the transforms that ``strategy`` names, none for ``""`` and ``"none"``; ValueError for an unknown one."""
    names = [] if strategy in ("", "none") else strategy.split("_")
    for name in names:
        if name not in TRANSFORMS:
            raise ValueError(f"unknown augmentation {name!r} in {strategy!r}; known: {', '.join(TRANSFORMS)}")
    return names


def color(images: Tensor, draw: Draw) -> Tensor:
    """Change brightness by ±0.5, then saturation by a factor in [0, 2), then contrast by one in [0.5, 1.5)."""
    brightness, saturation, contrast = draw(3).to(images.dtype)[..., None, None, None].unbind(1)  # [rows, 1, 1, 1]
    images = images + (brightness - 0.5)
    gray = images.mean(1, keepdim=True)
    images = _blend(gray, images, 2 * saturation).to(images.dtype) if images.shape[1] > 1 else images
    mean = images.mean((1, 2, 3), keepdim=True)
    return _blend(mean, images, contrast + 0.5).to(images.dtype)


def _blend(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """``start + weight (end - start)``; torch.lerp rounds differently on processors with fused multiplications."""
    wide = torch.promote_types(start.dtype, torch.float32)
    start, end, weight = start.to(wide), end.to(wide), weight.to(wide)
    return start + weight * (end - start)


def crop(images: Tensor, draw: Draw) -> Tensor:
    """Move by whole pixels, up to an eighth of each side."""
    height, width = images.shape[2:]
    y, x = _pixels(draw(2), [2 * int(side * 0.125 + 0.5) + 1 for side in (height, width)])
    margin_y, margin_x = (int(side * 0.125 + 0.5) for side in (height, width))
    padded = F.pad(images, (margin_x, margin_x, margin_y, margin_y))
    rows = y[:, None, None, None] + torch.arange(height, device=images.device)[:, None]  # [rows, 1, H, 1]
    columns = x[:, None, None, None] + torch.arange(width, device=images.device)  # [rows, 1, 1, W]
    padded = padded.gather(2, rows.expand(*images.shape[:3], padded.shape[3]))
    return padded.gather(3, columns.expand(images.shape))


def cutout(images: Tensor, draw: Draw) -> Tensor:
    """Blank a rectangle of half of each side, centered on any pixel and cut off at the border."""
    centers = _pixels(draw(2), images.shape[2:])
    inside = []
    for center, side in zip(centers, images.shape[2:], strict=True):
        size = int(side * 0.5 + 0.5)
        offset = torch.arange(side, device=images.device) - (center[:, None] - size // 2)  # [rows, side]
        inside.append((offset >= 0) & (offset < size))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]  # [rows, 1, H, W]
    return images.masked_fill(hole, 0.0)


def flip(images: Tensor, draw: Draw) -> Tensor:
    """Mirror left and right with probability one half."""
    return torch.where(draw(1)[:, :, None, None] < 0.5, images.flip(3), images)


def scale(images: Tensor, draw: Draw) -> Tensor:
    """Sample at coordinates multiplied, on each axis, by a factor uniform in [1/1.2, 1.2)."""
    factor = 1 / 1.2 + (1.2 - 1 / 1.2) * draw(2)
    return _affine(images, torch.diag_embed(factor))


def rotate(images: Tensor, draw: Draw) -> Tensor:
    """Rotate about the center by an angle uniform in ±15°."""
    angle = math.radians(15) * (2 * draw(1)[:, 0] - 1)
    aspect = images.shape[2] / images.shape[3]
    sine, cosine = angle.sin(), angle.cos()
    matrix = torch.stack([cosine, -sine * aspect, sine / aspect, cosine], 1).reshape(-1, 2, 2)
    return _affine(images, matrix)


TRANSFORMS: dict[str, Callable[[Tensor, Draw], Tensor]] = {
    "color": color,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
    "scale": scale,
    "rotate": rotate,
}


def _pixels(uniform: Tensor, counts: Any) -> list[Tensor]:
    """Map uniform numbers [rows, 2] to integers below ``counts``, one [rows] tensor per column."""
    return [(uniform[:, i] * count).long().clamp(max=count - 1) for i, count in enumerate(counts)]


def _affine(images: Tensor, matrix: Tensor) -> Tensor:
    """Sample bilinearly at ``matrix`` [rows, 2, 2] times the (x, y) coordinates in [-1, 1]."""
    dtype = torch.promote_types(images.dtype, torch.float32)
    theta = F.pad(matrix.to(dtype), (0, 1))  # [rows, 2, 3], no translation
    grid = F.affine_grid(theta, [len(theta), *images.shape[1:]], align_corners=False)
    return _Sample.apply(images.to(dtype), grid.expand(len(images), -1, -1, -1)).to(images.dtype)


class _Sample(torch.autograd.Function):
    """Bilinear sampling of x [N, C, H, W] at a constant grid [N, H, W, 2], zero outside.

    Linear in x, and its backward is ``_SampleAdjoint``, whose backward is this: derivatives of every order are right,
    where torch's own ``grid_sample`` has no second one on the CPU.
    """

    @staticmethod
    def forward(x: Tensor, grid: Tensor) -> Tensor:
        return torch.ops.aten.grid_sampler_2d(x, grid, 0, 0, False)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.grid = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _SampleAdjoint.apply(grad, *ctx.saved_tensors), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return _Sample.apply(tangent, ctx.grid)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> tuple[Tensor, int]:
        return _calls_as_one(_Sample, info.batch_size, in_dims, tensors)


class _SampleAdjoint(torch.autograd.Function):
    """The transpose of ``_Sample``: scatters [N, C, H, W] back to where it was sampled."""

    @staticmethod
    def forward(grad: Tensor, grid: Tensor) -> Tensor:
        # The image is read for its shape alone, and has that of the gradient.
        return torch.ops.aten.grid_sampler_2d_backward(grad, grad, grid, 0, 0, False, [True, False])[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.grid = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Sample.apply(grad, *ctx.saved_tensors), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return _SampleAdjoint.apply(tangent, ctx.grid)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> tuple[Tensor, int]:
        return _calls_as_one(_SampleAdjoint, info.batch_size, in_dims, tensors)


def _calls_as_one(
    function: type[torch.autograd.Function], count: int, in_dims: Sequence[int | None], tensors: Sequence[Tensor]
) -> tuple[Tensor, int]:
    """The rule of ``torch.func.vmap``: the calls beside each other in the batch."""
    calls = [t.expand(count, *t.shape) if d is None else t.movedim(d, 0) for t, d in zip(tensors, in_dims, strict=True)]
    y: Tensor = function.apply(*(t.flatten(0, 1) for t in calls))
    return y.unflatten(0, calls[0].shape[:2]), 0


def strategy_for(data: ImageData, strategy: str) -> str:
    """The augmentation ``strategy``, less the flip where a mirrored image is another class."""
    return strategy if data.flip else without_flip(strategy)
