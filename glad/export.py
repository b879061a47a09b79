"""The distilled images as files that other programs read."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from glad.data import ImageData
from glad.pictures import eight_bit, save_png
from glad.run_folder import Run
from glad.runs import RunError, write_durably, write_tensors


def export_folder(run: Run, data: ImageData, out: Path) -> None:
    """``OUT/NN_CLASS/00000.png``: an ImageFolder whose sorted folders are the labels."""
    images, labels = run.read_set()
    pixels = eight_bit(data.pixels(images))
    width = len(str(len(data.classes) - 1))
    for i, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in data.classes[label])
        array = image.permute(1, 2, 0).numpy()  # [C, H, W] -> [H, W, C]
        picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
        save_png(picture, out / f"{label:0{width}d}_{name}" / f"{i:05d}.png")


def export_npz(run: Run, data: ImageData, out: Path) -> None:
    """``images`` uint8 [N, H, W, C], ``labels`` int64 [N] and ``classes``: a file that ``--data`` reads."""
    images, labels = run.read_set()
    buffer = io.BytesIO()
    array = eight_bit(data.pixels(images)).permute(0, 2, 3, 1).numpy()  # [N, C, H, W] -> [N, H, W, C]
    np.savez_compressed(buffer, images=array, labels=labels.numpy(), classes=np.array(data.classes))
    write_durably(out, buffer.getvalue())


def export_safetensors(run: Run, data: ImageData, out: Path) -> None:
    """``images`` float32 [N, C, H, W] as networks see them, ``pixels`` of them in [0, 1], unclipped, and ``labels``."""
    images, labels = run.read_set()
    write_tensors(
        out, {"images": images, "pixels": data.pixels(images), "labels": labels}, classes="\n".join(data.classes)
    )


FORMATS: dict[str, tuple[Callable[[Run, ImageData, Path], None], str]] = {
    "folder": (export_folder, ""),
    "npz": (export_npz, ".npz"),
    "safetensors": (export_safetensors, ".safetensors"),
}
"""How to export, and the suffix of what is written."""


def export(run: Run, data: ImageData, kind: str, out: Path | None) -> Path:
    """Write the final set of ``run`` as ``kind`` to ``out`` (by default beside it) and return where it lies.

    Raises ``RunError`` when ``out`` already exists, so that nothing is overwritten or mixed.
    """
    write, suffix = FORMATS[kind]
    target = out or run.path / f"export{suffix}"
    if target.exists():
        raise RunError(f"{target} exists already: choose another place with --out, or remove it")
    write(run, data, target)
    return target
