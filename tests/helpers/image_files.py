"""Small image files and npz files, for tests of what reads them."""

import warnings

import numpy as np
import torch
from PIL import Image

from glad.data.notices import DataNotice
from glad.data.splits import load_data
from glad.rng import rng_for


def load_with_notices(source, **options):
    """The splits, and the notices as one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataNotice)
        splits = load_data(str(source), **options)
    return splits, "\n".join(str(warning.message) for warning in caught)


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=rng_for(seed), dtype=torch.uint8).numpy()


def write_images(folder, count, size=(8, 8), gray=False, suffix="png", seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    for i, pixels in enumerate(noise(count, height, width, *(() if gray else (3,)), seed=seed)):
        Image.fromarray(pixels).save(folder / f"{i:03}.{suffix}")


def write_npz(path, n=40, shape=(8, 8), **changes):
    arrays = {"x_train": noise(n, *shape), "y_train": np.arange(n) % 4, **changes}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return str(path)
