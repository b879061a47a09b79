"""Each transform against an independent oracle, and what all of them promise."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, jacfwd, jacrev, jvp, vmap
from torch.nn import functional as F

from glad.data import augment as module
from glad.data.augment import ALL, TRANSFORMS, augment, without_flip
from glad.rng import rng_for

each_transform = pytest.mark.parametrize("name", TRANSFORMS)


def images(n=4, channels=3, height=12, width=12, dtype=torch.float32):
    return torch.randn(n, channels, height, width, generator=rng_for("images"), dtype=dtype)


def fixed(*numbers):
    """Return a draw that answers with these numbers, one row for all."""
    return lambda count: torch.tensor([numbers[:count]])


@each_transform
def test_siamese_batches_of_different_size_are_transformed_alike(name):
    x = images(6)
    for seed in range(5):
        whole, part = (augment(batch, rng_for(seed), shared=True, strategy=name) for batch in (x, x[2:5]))
        torch.testing.assert_close(whole[2:5], part)


@each_transform
def test_samples_have_their_own_parameters(name):
    x = images(1).expand(32, -1, -1, -1)
    own = augment(x, rng_for(0), shared=False, strategy=name)
    alike = augment(x, rng_for(0), shared=True, strategy=name)
    assert len(own.flatten(1).unique(dim=0)) >= (2 if name == "flip" else 12)
    assert len(alike.flatten(1).unique(dim=0)) == 1


def test_every_transform_of_the_strategy_is_drawn():
    x = images(1)
    seen = set()
    for seed in range(60):
        result = augment(x, rng_for(seed), shared=True)
        for name in TRANSFORMS:
            draws = rng_for(seed)
            torch.randint(6, (), generator=draws)
            uniform = TRANSFORMS[name](x, lambda count, draws=draws: torch.rand(1, count, generator=draws))
            if torch.equal(uniform, result):
                seen.add(name)
    assert seen == set(TRANSFORMS)


@each_transform
def test_inputs_and_the_global_generator_stay(name):
    x = images()
    before, state = x.clone(), torch.get_rng_state()
    result = augment(x, rng_for(0), shared=False, strategy=name)
    assert torch.equal(x, before) and torch.equal(torch.get_rng_state(), state)
    assert torch.equal(result, augment(x, rng_for(0), shared=False, strategy=name))


@each_transform
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shared", [True, False])
def test_shape_and_dtype_stay(name, dtype, shared):
    x = images(height=9, width=14, dtype=dtype)
    result = augment(x, rng_for(0), shared, name)
    assert result.shape == x.shape and result.dtype == dtype
    exact = augment(x.double(), rng_for(0), shared, name)
    tolerance = {torch.float64: 0, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    torch.testing.assert_close(result.double(), exact, rtol=0, atol=tolerance)


@each_transform
@pytest.mark.parametrize("shared", [True, False])
def test_derivatives(name, shared):
    x = images(2, 2, 6, 7, dtype=torch.float64).requires_grad_()

    def curved(x):  # the transforms are linear in the image: a square makes the second derivative tell
        return augment(x, rng_for(1), shared, name).square()

    assert gradcheck(curved, (x,))
    assert gradgradcheck(curved, (x,))


def test_color_against_the_formulas():
    x = images()
    result = module.color(x, fixed(0.9, 0.25, 0.3))
    bright = x + 0.4
    gray = bright.mean(1, keepdim=True)
    saturated = gray + 0.5 * (bright - gray)
    mean = saturated.flatten(1).mean(1)[:, None, None, None]
    torch.testing.assert_close(result, mean + 0.8 * (saturated - mean))
    torch.testing.assert_close(module.color(x, fixed(0.5, 0.5, 0.5)), x)
    one = images(channels=1)
    torch.testing.assert_close(module.color(one, fixed(0.5, 0.9, 0.5)), one)


def test_crop_is_a_shift_with_zeros():
    x = images(200, 1, 16, 24)
    result = augment(x, rng_for(0), shared=False, strategy="crop")
    shifts = set()
    for before, after in zip(x, result, strict=True):
        padded = F.pad(before, (3, 3, 2, 2))
        found = [(y, x) for y in range(5) for x in range(7) if torch.equal(padded[:, y : y + 16, x : x + 24], after)]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) == 5 * 7


def test_cutout_blanks_half_of_each_side_around_any_pixel():
    x = torch.ones(400, 2, 8, 8)
    holes = augment(x, rng_for(0), shared=False, strategy="cutout")[:, 0] == 0
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.sum((1, 2)), rows * columns)  # a rectangle
    assert rows.max() == 4 and rows.min() == 2 and columns.max() == 4 and columns.min() == 2
    centered = module.cutout(x, fixed(0.5, 0.5))[0, 0] == 0
    assert centered.sum() == 16 and centered[2:6, 2:6].all()


def test_flip_mirrors_half_of_the_samples():
    x = images(400, 1, 4, 4)
    result = augment(x, rng_for(0), shared=False, strategy="flip")
    mirrored = torch.tensor([torch.equal(b, a.flip(2)) for a, b in zip(x, result, strict=True)])
    same = torch.tensor([torch.equal(b, a) for a, b in zip(x, result, strict=True)])
    assert torch.equal(mirrored, ~same)
    assert 160 < mirrored.sum() < 240


def test_scale_and_rotate_against_grid_sample():
    x = images(3, 2, 10, 10)
    for name, draw, matrix in [
        ("scale", (0.0, 0.75), [[1 / 1.2, 0.0], [0.0, 1 / 1.2 + 0.75 * (1.2 - 1 / 1.2)]]),
        (
            "rotate",
            (0.9,),
            [
                [math.cos(math.radians(12)), -math.sin(math.radians(12))],
                [math.sin(math.radians(12)), math.cos(math.radians(12))],
            ],
        ),
    ]:
        along = (2 * torch.arange(10) + 1) / 10 - 1  # the pixels' centers
        y, x_ = torch.meshgrid(along, along, indexing="ij")
        grid = torch.stack([x_, y], -1) @ torch.tensor(matrix).T
        expected = F.grid_sample(x, grid.expand(3, -1, -1, -1), align_corners=False)
        torch.testing.assert_close(TRANSFORMS[name](x, fixed(*draw)), expected, rtol=1e-4, atol=1e-5)


def test_rotation_of_a_wide_image_keeps_right_angles():
    def center(image):
        weight = image / image.sum()
        return torch.stack([(weight.sum(1) * torch.arange(40)).sum(), (weight.sum(0) * torch.arange(80)).sum()])

    corners = torch.zeros(3, 1, 40, 80)
    for index, (y, x) in enumerate([(16, 32), (16, 48), (24, 32)]):
        corners[index, 0, y - 2 : y + 3, x - 2 : x + 3] = 1
    turned = module.rotate(corners, fixed(1.0))
    origin, right, down = (center(image[0]) for image in turned)
    torch.testing.assert_close((right - origin).norm(), torch.tensor(16.0), rtol=0.01, atol=0)
    torch.testing.assert_close((down - origin).norm(), torch.tensor(8.0), rtol=0.01, atol=0)
    assert abs((right - origin) @ (down - origin)) < 1


def test_scale_and_rotate_stay_in_their_ranges():
    position = torch.linspace(-1, 1, 21).expand(500, 1, 21, 21)  # the value is the x coordinate
    edge = augment(position, rng_for(0), shared=False, strategy="scale")[:, 0, 10, 12] / position[0, 0, 10, 12]
    assert 1 / 1.2 - 1e-4 <= edge.min() < 0.85 and 1.18 < edge.max() <= 1.2 + 1e-4
    turned = augment(position, rng_for(0), shared=False, strategy="rotate")[:, 0]
    angle = torch.atan2(turned[:, 9, 10] - turned[:, 11, 10], turned[:, 10, 11] - turned[:, 10, 9]).rad2deg()
    assert -15.01 <= angle.min() < -14 and 14 < angle.max() <= 15.01


def test_strategies_by_name():
    x = images()
    assert augment(x, rng_for(0), shared=True, strategy="none") is x
    assert augment(x, rng_for(0), shared=True, strategy="") is x
    assert set(ALL.split("_")) == set(TRANSFORMS)
    assert without_flip(ALL) == "color_crop_cutout_scale_rotate"
    assert without_flip("none") == without_flip("flip") == ""
    with pytest.raises(ValueError, match="unknown augmentation 'blur' in 'crop_blur'; known: color, crop"):
        augment(x, rng_for(0), shared=True, strategy="crop_blur")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # within torch.func.jvp
@each_transform
def test_tangents_and_many_calls_as_one(name):
    """Against backward mode, and against one call at a time."""
    x, v = images(2, dtype=torch.float64, height=5, width=5), images(4, dtype=torch.float64, height=5, width=5)[2:]

    def loss(x):
        return augment(x, rng_for(0), shared=False, strategy=name).pow(3).sum()

    leaf = x.clone().requires_grad_()
    gradient = torch.autograd.grad(loss(leaf), leaf, create_graph=True)[0]
    product = torch.autograd.grad((gradient * v).sum(), leaf)[0]
    torch.testing.assert_close(jvp(loss, (x,), (v,))[1], (gradient * v).sum().detach())
    torch.testing.assert_close(jvp(grad(loss), (x,), (v,))[1], product)
    torch.testing.assert_close(grad(lambda x: jvp(loss, (x,), (v,))[1])(x), product)
    at_once = vmap(grad(loss), 1, randomness="same")(torch.stack([x, v], 1))
    torch.testing.assert_close(at_once, torch.stack([grad(loss)(x), grad(loss)(v)]))
    hessian = jacfwd(jacrev(loss), randomness="same")(x)
    torch.testing.assert_close((hessian * v).sum((4, 5, 6, 7)), product)
