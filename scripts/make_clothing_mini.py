"""Make the embedded data set ``clothing-mini``: photographs of clothing, 64 pixels a side, in color.

They are photographs of the "clothing dataset (small)" of A. Grigorev (CC0 1.0). Run as
``python scripts/make_clothing_mini.py --data DIR``, with DIR holding ``train/CLASS``, ``validation/CLASS`` and
``test/CLASS``. Validation and test are whole, of each class at most 150 training images are drawn. Nothing is
downloaded.
"""

import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import click
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from glad.data.dataset import ImageData
from glad.data.splits import load_data
from glad.rng import rng_for

SEED, SIDE, QUALITY, MOST = 0, 64, 85, 150
OUT = Path(__file__).parents[1] / "glad" / "data" / "assets" / "clothing-mini.safetensors"
METADATA = {
    "source": "clothing dataset (small), A. Grigorev, https://github.com/alexeygrigorev/clothing-dataset-small",
    "licence": "CC0 1.0",
    "seed": SEED,
    "command": "python scripts/make_clothing_mini.py --data DIR",
}


def pixels_of(data: ImageData) -> Tensor:
    """All images, uint8 [N, 3, SIDE, SIDE]."""
    return torch.cat([data.raw(part) for part in data.chunks()])


def drawn(labels: Tensor, usable: Tensor, most: int) -> Tensor:
    """Of each class at most ``most`` of the usable images, int64, by class and position."""
    rng, parts = rng_for(SEED, "clothing-mini"), []
    for c in range(int(labels.max()) + 1):
        members = (usable & (labels == c)).nonzero().flatten()
        parts.append(members[torch.randperm(len(members), generator=rng)[:most]].sort().values)
    return torch.cat(parts)


def encoded(image: Tensor) -> bytes:
    """An image, uint8 [3, H, W], as JPEG without subsampled colors."""
    file = io.BytesIO()
    Image.fromarray(image.movedim(0, 2).numpy()).save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return file.getvalue()


@click.command()
@click.option("--data", required=True, help="Folder with train/, validation/ and test/.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=OUT)
def main(data: str, out: Path) -> None:
    """Write the images and labels to OUT."""
    splits = load_data(data, resolution=SIDE)
    images = {name: pixels_of(getattr(splits, name)) for name in ("train", "validation", "test")}
    hashes = {name: [hashlib.sha256(i.numpy().tobytes()).digest() for i in part] for name, part in images.items()}
    twins = Counter(digest for part in hashes.values() for digest in part)
    tensors = {}
    for name, part in images.items():
        labels, most = getattr(splits, name).labels, MOST if name == "train" else len(part)
        indices = drawn(labels, torch.tensor([twins[digest] == 1 for digest in hashes[name]]), most)
        files = [encoded(image) for image in part[indices]]
        tensors[f"{name}_files"] = torch.frombuffer(bytearray(b"".join(files)), dtype=torch.uint8)
        tensors[f"{name}_ends"] = torch.tensor([len(file) for file in files]).cumsum(0).to(torch.int32)
        tensors[f"{name}_labels"] = labels[indices].to(torch.uint8)
    origin = METADATA | {"classes": list(splits.train.classes)}
    save_file(tensors, out, metadata={"origin": json.dumps(origin)})  # one key: the order of several varies
    counts = ", ".join(f"{name} {len(tensors[f'{name}_labels']):,}" for name in images)
    click.echo(f"{out}: {counts}; {out.stat().st_size:,} bytes; {sum(n > 1 for n in twins.values())} twins left out")


if __name__ == "__main__":
    main()
