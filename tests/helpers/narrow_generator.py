"""The embedded generator with eight channels in place of up to 48, which renders in a third of the time."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from generators import weights

CHANNELS = 8


@cache
def narrow_generator() -> str:
    """The path of its weights, which state what the embedded ones state."""
    network, metadata = weights.load(weights.EMBEDDED["fashion-mini"])
    state = {}
    for name, tensor in network.state_dict().items():
        channels = name.startswith("synthesis") and "filter" not in name
        place = tuple(slice(CHANNELS) if size > CHANNELS else slice(None) for size in tensor.shape)
        if name.endswith("affine.weight"):
            place = (place[0] if "input" not in name else slice(None), slice(None))
        elif name.endswith("input.affine.bias"):
            place = (slice(None),)
        state[name] = tensor[place].clone() if channels and tensor.dim() else tensor.clone()
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = {"clamp": None, "output_scale": 0.25, "margin": 10}
    stated = {name: value for name, value in metadata.items() if name != "stylegan_xl"}
    weights.save(folder / "fashion-mini.safetensors", weights.build(state, settings), **stated)
    return str(folder / "fashion-mini.safetensors")
