"""Folders of noisy flat images, a class brighter than the one before."""

import numpy as np
from PIL import Image


def folder(path, classes=("dark", "light"), side=16, mode="RGB", count=12):
    """Noisy flat images, each class brighter than the one before: ``path``/CLASS/n.png."""
    rng = np.random.default_rng(0)
    for position, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for i in range(count):
            level = 255 * (position + 0.5) / len(classes)
            shape = (side, side) if mode == "L" else (side, side, 3)
            pixels = (level + 12 * rng.standard_normal(shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels, mode).save(path / name / f"{i}.png")
    return path
