"""Make the embedded data set ``fashion-mini``: a small, balanced, duplicate-free sample of FashionMNIST.

Run as ``python scripts/make_fashion_mini.py --root DIR``, with DIR as ``torchvision.datasets.FashionMNIST`` lays it
out. Nothing is downloaded.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.datasets import FashionMNIST

from glad.rng import rng_for

SEED = 0
PER_CLASS = {"train": 500, "validation": 100, "test": 100}
OUT = Path(__file__).parents[1] / "glad" / "data" / "assets" / "fashion-mini.safetensors"
METADATA = {
    "source": "FashionMNIST (Zalando Research), https://github.com/zalandoresearch/fashion-mnist",
    "licence": "MIT, copyright (c) 2017 Zalando SE",
    "seed": SEED,
    "command": "python scripts/make_fashion_mini.py --root DIR",
}


def draw(labels: Tensor, usable: Tensor, sizes: dict[str, int], purpose: str) -> dict[str, Tensor]:
    """Draw disjoint sets of indices, for each name its size per class, among the usable images."""
    rng, parts = rng_for(SEED, "fashion-mini", purpose), []
    for c in range(10):
        members = (usable & (labels == c)).nonzero().flatten()
        drawn = members[torch.randperm(len(members), generator=rng)[: sum(sizes.values())]]
        parts.append(drawn.split(list(sizes.values())))
    return {name: torch.cat(part).sort().values for name, part in zip(sizes, zip(*parts, strict=True), strict=True)}


def sample(part: FashionMNIST, usable: Tensor, names: list[str]) -> dict[str, Tensor]:
    """Return images, labels and source indices of the named splits, drawn from one part of the source."""
    tensors = {}
    for name, indices in draw(part.targets, usable, {n: PER_CLASS[n] for n in names}, names[0]).items():
        tensors[f"{name}_images"] = part.data[indices].contiguous()
        tensors[f"{name}_labels"] = part.targets[indices].to(torch.uint8)
        tensors[f"{name}_index"] = indices.to(torch.int32)
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds FashionMNIST/raw")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    train, test = (FashionMNIST(options.root, train=part, download=False) for part in (True, False))
    twins = Counter(image.tobytes() for part in (train, test) for image in part.data.numpy())
    # Only images that occur once in the whole source: no split can share one with another split, or with the rest.
    unique = [torch.tensor([twins[i.tobytes()] == 1 for i in part.data.numpy()]) for part in (train, test)]
    tensors = sample(train, unique[0], ["train", "validation"]) | sample(test, unique[1], ["test"])
    save_file(tensors, options.out, metadata={"origin": json.dumps(METADATA)})  # one key: the order of several varies
    print(f"{options.out}: {options.out.stat().st_size:,} bytes; {sum(n > 1 for n in twins.values())} twins left out")


if __name__ == "__main__":
    main()
