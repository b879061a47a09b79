"""Write the small golden files from the full fixtures: ``PYTHONPATH=tests:. python tests/golden/make.py``.

``ops.*`` is a choice of the full cases and ``first_layer.npz`` a part of network B1, its codes folded into the affine
layers; both hold another implementation's numbers. ``tiny.*`` holds this package's own, written when it agreed with
the full fixtures.
"""

import json
import math

import numpy as np
import torch
from fixtures import GOLDEN, ROOT, arrays, codes, leaf, tiny_generator
from safetensors.torch import load_file

from generators.weights import save

OPERATORS = [6, 7, 8, 9, 10, 11, 12, 13, 18, 24, 37, 50, 54, 65, 77, 90, 100, 116, 131, 133, 134, 135, 141, 144]


def operators():
    """A choice of the operators' cases."""
    cases, tensors = json.loads((ROOT / "ops.json").read_text()), arrays(ROOT / "ops.npz")
    kept = [{"number": number, **cases[number]} for number in OPERATORS]
    (GOLDEN / "ops.json").write_text("[\n" + ",\n".join(map(json.dumps, kept)) + "\n]\n")
    numbers = {f"{number:03d}" for number in OPERATORS}
    np.savez_compressed(
        GOLDEN / "ops.npz", **{k: v for k, v in tensors.items() if k in ("f1", "f2") or k[:3] in numbers}
    )


def first_layer():
    """Network B1's Fourier input and first layer for its first sample, with the codes folded in: w_dim is 1."""
    state, numbers = load_file(ROOT / "B1_superres32_t_cond.safetensors"), arrays(ROOT / "B1_superres32_t_cond.npz")
    kept = {}
    for position, part in enumerate(["input", "L0_36_40"]):
        own = {key: value for key, value in state.items() if key.startswith(f"synthesis.{part}.")}
        affine = f"synthesis.{part}.affine.weight"
        own[affine] = (own[affine] @ numbers["ws"][0, position])[:, None] / math.sqrt(512)
        kept |= {key.removeprefix("synthesis."): value for key, value in own.items()}
        kept[f"expected_{position}"] = numbers[f"f_{position:02d}"][:1, ::7, ::3, ::3]
    np.savez_compressed(GOLDEN / "first_layer.npz", **kept)


def tiny():
    """The tiny generator, its images, features and gradients."""
    generator = tiny_generator()
    generator.synthesis.layers[5].magnitude_ema.fill_(2e-6)  # the clamp acts
    save(GOLDEN / "tiny.safetensors", generator, comment="random weights")
    rng = torch.Generator().manual_seed(2)
    z, labels, ws = torch.randn(2, 4, generator=rng), torch.tensor([2, 0]), leaf(codes(generator))
    image = generator.synthesis.synthesize(ws)
    cotangent = torch.randn(image.shape, generator=rng)
    f = leaf(generator.synthesis.features(ws, 4))
    numbers = {"z": z, "labels": labels, "ws": ws, "cotangent": cotangent, "image": image, "f": f[:, :, ::3, ::3]}
    numbers["mapped"] = generator.mapping(z, labels, 0.7, 3)
    numbers["grad_ws"] = torch.autograd.grad((image * cotangent).sum(), ws)[0]
    rendered = generator.synthesis.synthesize(ws, f, 4)
    numbers["grad_f"] = torch.autograd.grad((rendered * cotangent).sum(), f)[0][:, :, ::3, ::3]
    np.savez_compressed(GOLDEN / "tiny.npz", **{key: value.detach() for key, value in numbers.items()})


if __name__ == "__main__":
    operators()
    first_layer()
    tiny()
