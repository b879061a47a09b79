"""Write ``taesd.npz``, what diffusers makes of seeded weights: ``PYTHONPATH=tests/helpers:. python FILE``.

Needs ``diffusers``; its version stands in the file.
"""

from pathlib import Path

import diffusers
import numpy as np
import torch
from tiny_autoencoder import random_state

from glad.rng import normal, rng_for

model = diffusers.AutoencoderTiny()
model.load_state_dict(random_state())
latents = 2.5 * normal([1, 4, 3, 2], rng_for("taesd", "latents"))
images = 0.5 * normal([1, 3, 16, 24], rng_for("taesd", "images"))
with torch.no_grad():
    decoded, encoded = model.decode(latents).sample, model.encode(images).latents
numbers = {"latents": latents, "decoded": decoded, "images": images, "encoded": encoded}
print({name: (tensor.shape, float(tensor.min()), float(tensor.max())) for name, tensor in numbers.items()})
np.savez_compressed(
    Path(__file__).with_name("taesd.npz"),
    version=np.array(diffusers.__version__),
    **{name: numbers[name].numpy() for name in ("decoded", "encoded")},
)
