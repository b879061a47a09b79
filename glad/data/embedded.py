"""The data sets that come with the package."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file

from glad.data.layout import SPLITS
from glad.data.pixels import EncodedImage
from glad.data.raw import Part, Raw

ASSETS = Path(__file__).parent / "assets"
FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def _fashion_mini() -> Raw:
    tensors = load_file(ASSETS / "fashion-mini.safetensors")
    parts = {
        split: Part(tensors[f"{split}_images"].unsqueeze(1), tensors[f"{split}_labels"].long(), f"its {split} images")
        for split in SPLITS
    }
    return Raw("fashion-mini", FASHION, parts, tuple(range(10)), 10)


def _clothing_mini() -> Raw:
    with safe_open(ASSETS / "clothing-mini.safetensors", "pt") as file:
        classes = json.loads(file.metadata()["origin"])["classes"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    parts = {}
    for split in SPLITS:
        content = tensors[f"{split}_files"].numpy().tobytes()
        ends = pairwise([0, *tensors[f"{split}_ends"].tolist()])
        files = [
            EncodedImage(content[start:end], f"clothing-mini, {split} image {i}") for i, (start, end) in enumerate(ends)
        ]
        parts[split] = Part(tuple(files), tensors[f"{split}_labels"].long(), f"its {split} images")
    return Raw("clothing-mini", tuple(classes), parts, tuple(range(len(classes))), channels=3)


EMBEDDED: dict[str, Callable[[], Raw]] = {"fashion-mini": _fashion_mini, "clothing-mini": _clothing_mini}
"""Their readers, by name."""
