"""Numbers of another implementation of StyleGAN-XL, and a tiny generator that the tests share.

The full fixtures (60 MB) are read from the folder that GLAD_FIXTURES names, by default ``shared/fixtures`` beside the
checkout; where they are missing their tests are skipped. ``tests/golden`` holds the small part that is committed.
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from generators import geometry
from generators.mapping import Mapping
from generators.stylegan_xl import Generator, Synthesis

ROOT = Path(os.environ.get("GLAD_FIXTURES", Path(__file__).resolve().parents[3] / "shared" / "fixtures"))
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MISSING = pytest.mark.skipif(not (ROOT / "ops.npz").is_file(), reason=f"no fixtures in {ROOT} (GLAD_FIXTURES)")
NETWORKS = ["A_cifar32_t_cond", "B1_superres32_t_cond"]
FORWARD, GRADIENT = 1e-5, 1e-4


def check(actual, expected, tolerance=FORWARD):
    """Hold max|difference| / max|expected| to ``tolerance``."""
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    error, scale = (actual.detach() - expected).abs().max().item(), expected.abs().max().item()
    assert error <= tolerance * scale, f"error {error:.3g} of {scale:.3g}, allowed {tolerance:g} of it"


@cache
def arrays(path):
    """Every array of an npz file, as tensors."""
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@dataclass
class Case:
    """One case of an operator: its keyword arguments and its tensors by name."""

    arguments: dict
    tensors: dict

    def __getitem__(self, name):
        return self.tensors[name]

    def __contains__(self, name):
        return name in self.tensors


def _cases(folder, kind):
    listed = json.loads((folder / "ops.json").read_text())
    tensors = arrays(folder / "ops.npz")
    filters = {"f1": tensors["f1"], "f2": tensors["f2"], "none": None}
    for index, arguments in enumerate(listed):
        arguments = dict(arguments)
        number = arguments.pop("number", index)  # in tests/golden: the place in the full list
        if arguments.pop("kind") != kind:
            continue
        arguments |= {key: filters[arguments[key]] for key in ("f", "fu", "fd") if key in arguments}
        prefix = f"{number:03d}_"
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        yield pytest.param(Case(arguments, own), id=f"{folder.name}-{number:03d}")


def operator_cases(kind):
    """The committed cases of one operator, then the full ones or a skip."""
    if MISSING.args[0]:
        return [*_cases(GOLDEN, kind), pytest.param(None, marks=MISSING, id="fixtures")]
    return [*_cases(GOLDEN, kind), *_cases(ROOT, kind)]


def leaf(tensor):
    """A copy of ``tensor`` that takes a gradient."""
    return tensor.detach().clone().requires_grad_()


def tiny_specs(radial=False):
    """Two stages, 8 to 16 pixels, at most six channels, a skipped number in the names."""
    kernel = 1 if radial else 3
    return geometry.superres(geometry.stem(8, 4, 48, 6, kernel=kernel, radial=radial), 4, 2, 48, 6)


def tiny_generator(seed=0, specs=None, c_dim=3, w_dim=5, output_scale=0.25, class_average=True):
    """A generator of a few thousand weights, every one of them away from its initial value."""
    rng = torch.Generator().manual_seed(seed)
    specs = tiny_specs() if specs is None else specs
    mapping = Mapping(len(specs) + 1, 4, c_dim, w_dim, embedding=(3, 7), class_average=class_average)
    generator = Generator(mapping, Synthesis(specs, w_dim, output_scale)).initialize(rng)
    generator.mapping.w_avg.normal_(generator=rng)
    generator.synthesis.input.affine.weight.data.normal_(std=0.1, generator=rng)
    for layer in generator.synthesis.layers:
        layer.bias.data.normal_(std=0.3, generator=rng)
        layer.magnitude_ema.uniform_(0.5, 2, generator=rng)
    return generator.requires_grad_(False)


def codes(generator, n=2, seed=1, dtype=torch.float32):
    """Random style codes [n, num_ws, w_dim], different for every layer."""
    synthesis = generator.synthesis
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, synthesis.num_ws, synthesis.w_dim, generator=rng, dtype=dtype)
