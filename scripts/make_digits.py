"""Write scikit-learn's handwritten digits as 28-pixel images: data for a generator of something other than clothes.

The 1,797 images of 8 x 8 pixels (Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, CC BY 4.0) come with scikit-learn; they are enlarged to 24 pixels and framed, as MNIST's are. The
embedded ``digits-mini`` (generators/assets/digits-mini.md) was trained on them.

    python scripts/make_digits.py --out runs/digits.npz
    glad weights train --data runs/digits.npz --out runs/digits --channels 32 --w-dim 64 --minutes 40
"""

from pathlib import Path

import click
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

INNER, FRAME, BRIGHTEST = 24, 2, 16  # BRIGHTEST: the largest value of the 8 x 8 images


def enlarged(images: torch.Tensor) -> torch.Tensor:
    """Gray images [N, 8, 8] with values 0 to 16 as uint8 [N, 1, 28, 28]."""
    larger = F.interpolate(images[:, None] / BRIGHTEST, size=(INNER, INNER), mode="bicubic", align_corners=False)
    return F.pad((larger.clamp(0, 1) * 255).round(), [FRAME] * 4).to(torch.uint8)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("runs/digits.npz"))
def main(out: Path) -> None:
    """Write all images and labels to OUT."""
    digits = load_digits()
    out.parent.mkdir(parents=True, exist_ok=True)
    images = enlarged(torch.from_numpy(digits.images).float())
    np.savez_compressed(out, x_train=images.numpy().transpose(0, 2, 3, 1), y_train=digits.target)
    click.echo(f"{out}: {len(images):,} images of 28 x 28, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
