"""Every kind of prior passes the checks that a user's must pass; priors that break a rule do not."""

from typing import ClassVar

import pytest
import torch
from errors import naming
from fixtures import tiny_generator
from own_priors import Masked, Plain, Tiled
from tiny_autoencoder import weights_file
from torch.nn import functional as F

from generators.prior import StyleGANPrior
from glad.priors import IDC, PRIORS, TAESD, DDiF, FreD, Pixels, Pyramid
from glad.priors.checks import check_prior
from glad.priors.stylegan import published_rates

CLASSES, SIDE, CPU = 3, 16, torch.device("cpu")


def real(c, n, rng):
    return torch.randn(n, 1, SIDE, SIDE, generator=rng) + c


def stylegan(**options):
    """A generator with random weights; W+ without ``layer``."""

    def make():
        network, rates = tiny_generator().requires_grad_(False), published_rates(options.get("layer") is not None, {})
        return StyleGANPrior(network, lambda x: 2 * x - 1, SIDE, 3, range(CLASSES), learning_rates=rates, **options)

    return make


MADE = {
    "pixels": lambda: Pixels(real),
    "pixels from real": lambda: Pixels(real, "real"),
    "W+": stylegan(),
    "W": stylegan(space="w"),
    "F_2": stylegan(layer=2),
    "F_2 with one code": stylegan(layer=2, space="w"),
    "F_2, learned": stylegan(layer=2, learn_g=1),
    "mean codes, noise in f": stylegan(layer=1, avg_w=1, rand_f=1),
    "idc": lambda: IDC(real, lambda x: (x - 0.5) / 0.2, SIDE, 1),
    "idc, 9 tiles that overhang": lambda: IDC(real, lambda x: (x - 0.5) / 0.2, SIDE, 1, factor=3),
    "fred": lambda: FreD(real, SIDE, 1, (20,) * CLASSES, CPU),
    "ddif": lambda: DDiF(SIDE, 1, CPU),
    "ddif, deep": lambda: DDiF(SIDE, 3, CPU, width=5, layers=4),
    "pyramid": lambda: Pyramid(lambda x: (x - 0.5) / 0.2, lambda x: 0.2 * x + 0.5, SIDE, 3),
    "pyramid, gray, no power of two": lambda: Pyramid(lambda x: 2 * x - 1, lambda x: (x + 1) / 2, 12, 1),
    "taesd": lambda: TAESD(real, lambda x: 2 * x - 1, lambda x: (x + 1) / 2, SIDE, 1, CPU, weights_file()),
    "own": lambda: Plain(1, 4),
    "several images a row": lambda: Tiled(1, 4),
    "several, masked and clamped": lambda: Masked(1, 4),
}


def double(prior):
    if isinstance(prior, StyleGANPrior):
        prior.generator.double()
    elif isinstance(prior, TAESD):
        prior.decoder.double()
    elif isinstance(prior, Plain):
        prior.weight = prior.weight.double()


@pytest.mark.parametrize("name", MADE)
def test_every_prior_keeps_the_rules(name):
    described = check_prior(MADE[name], CLASSES, double)
    assert bool(described.codes) == (name.startswith(("W", "F", "mean")))
    assert (described.weights is None) == (not described.codes and name != "taesd")


def test_every_registered_prior_is_among_them():
    assert {*PRIORS} <= {*MADE}


class Line:
    """Images [1, 2, 2] of four numbers, which keep all rules."""

    def init(self, classes, rng):
        return {"z": torch.randn(len(classes), 4, generator=rng)}

    def __call__(self, z):
        return torch.sin(z).view(-1, 1, 2, 2)

    def tensors(self):
        return {}


class Centered(Line):
    def __call__(self, z):
        return super().__call__(z - z.mean(0))


class Noisy(Line):
    def __call__(self, z):
        return super().__call__(z + 0.1 * torch.randn(z.shape))


class Global(Line):
    def init(self, classes, rng):
        return {"z": torch.randn(len(classes), 4)}


class Counting(Line):
    """Gives other latents from one object to the next."""

    made = 0

    def __init__(self):
        Counting.made += 1
        self.number = Counting.made

    def init(self, classes, rng):
        return {"z": super().init(classes, rng)["z"] + self.number}


class Short(Line):
    def init(self, classes, rng):
        return {"z": torch.randn(2, 4, generator=rng)}


class Flat(Line):
    def __call__(self, z):
        return torch.sin(z)


class Double(Line):
    images_per_row = 2


class Rounded(Line):
    def __call__(self, z):
        return super().__call__(z.detach().round() + 0 * z + z.frac().detach() * 0)


class Unused(Line):
    def init(self, classes, rng):
        return {**super().init(classes, rng), "y": torch.zeros(len(classes), 1)}

    def __call__(self, z, y):
        return super().__call__(z)


class Clipped(Line):
    """Has a gradient where it is flat."""

    def __call__(self, z):
        return super().__call__(z + (z.clamp(-0.5, 0.5) - z).detach())


class Changes(Line):
    def __call__(self, z):
        return super().__call__(z.mul_(1.0) if z.requires_grad else z.add_(1.0))


class Copies(Line):
    def __init__(self):
        self.bias = torch.zeros(1)

    def tensors(self):
        return {"g/bias": self.bias.clone()}


class Cached(Copies):
    """Keeps what it computed of its tensors, so that a restored state has no effect."""

    def tensors(self):
        return {"g/bias": self.bias}

    def __call__(self, z):
        self.seen = max(getattr(self, "seen", 0.0), float(self.bias))
        return super().__call__(z) + self.seen


class Strange(Line):
    learning_rates: ClassVar = {"w": 1.0}


class Coded(Line):
    codes = ("w",)


class Jumps(Line):
    def project(self, z):
        return {"z": -z}


class Whole(Line):
    def init(self, classes, rng):
        return {"z": super().init(classes, rng)["z"].round().to(torch.int64)}


class Encodes(Line):
    def encode(self, images):
        return {"w": images.flatten(1)}


def test_a_prior_of_ones_own_that_keeps_the_rules_passes():
    assert check_prior(Line).floats_per_row == 4


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Centered, "row 0 alone"),
        (Noisy, "same images"),
        (Global, "init global"),
        (Counting, "init same classes"),
        (Short, "z 2 6"),
        (Flat, "[N, C, H, W]"),
        (Double, "6 6 images_per_row 2 12"),
        (Rounded, "gradient zero"),
        (Unused, "y finite"),
        (Clipped, "z slope"),
        (Changes, "changes latents"),
        (Copies, "['g/bias']"),
        (Cached, "tensors() restored"),
        (Strange, "learning_rates ['w'] ['z']"),
        (Jumps, "project"),
        (Whole, "floats"),
        (Coded, "codes ['w']"),
        (Encodes, "encode {'w': [6, 4]} init"),
    ],
)
def test_a_broken_rule_is_named(kind, message):
    with pytest.raises(AssertionError, match=naming(message)):
        check_prior(kind)


def test_a_prior_whose_weights_are_float32_is_checked_in_float32():
    class Decoder(Line):
        weight = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))

        def __call__(self, z):
            return F.elu(z @ self.weight).view(-1, 1, 4, 4)

    check_prior(Decoder)
