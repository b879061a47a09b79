"""Small image files and npz files, for tests of what reads them."""

import numpy as np
import torch
from PIL import Image

from glad.rng import rng_for


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=rng_for(seed), dtype=torch.uint8).numpy()


def write_images(folder, count, size=(8, 8), grey=False, suffix="png", seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    for i, pixels in enumerate(noise(count, height, width, *(() if grey else (3,)), seed=seed)):
        Image.fromarray(pixels).save(folder / f"{i:03}.{suffix}")


def write_npz(path, n=40, shape=(8, 8), **changes):
    arrays = {"x_train": noise(n, *shape), "y_train": np.arange(n) % 4, **changes}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return str(path)
