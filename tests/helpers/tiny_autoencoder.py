"""Weights of TAESD's shape that mean nothing: a file such as its author publishes, made from a seed."""

import math
import tempfile
from functools import cache
from pathlib import Path

from safetensors.torch import save_file

from glad.priors.taesd import decoder, encoder
from glad.rng import normal, rng_for

_KEPT = []


def random_state(seed=0):
    """Tensors by their public names, small enough that images stay near [0, 1]."""
    shapes = {
        f"{part}.layers.{name}": list(tensor.shape)
        for part, made in (("encoder", encoder()), ("decoder", decoder()))
        for name, tensor in made.state_dict().items()
    }
    return {name: _draw(shape, rng_for("taesd", name, seed)) for name, shape in shapes.items()}


def _draw(shape, rng):
    return normal(shape, rng) * (0.8 * math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1)


def write_weights(path, seed=0, **metadata):
    """A file of these tensors."""
    save_file(random_state(seed), path, metadata or None)
    return path


@cache
def weights_file():
    """Such a file, written once and deleted when the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="glad-taesd-")
    _KEPT.append(folder)
    return str(write_weights(Path(folder.name) / "tiny.safetensors"))
