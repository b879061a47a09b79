"""Image files as any viewer shows them: upright, on white where they are transparent, 8 bits per channel."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from glad.data.notices import DataError

GRAY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I")
ORIENTATION = 0x0112  # the EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_FORMAT = 258, 262, 339
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    struct.error,
)
"""What Pillow raises on damaged files."""
DEEP = 255  # a largest value beyond which a file holds more than 8 bits per channel


class EncodedImage(io.BytesIO):
    """An image file in memory; ``where`` is what messages call it."""

    def __init__(self, content: bytes, where: str) -> None:
        super().__init__(content)
        self.where = where

    def __str__(self) -> str:
        return self.where

    def read_bytes(self) -> bytes:
        """The whole file, as a path gives it."""
        return self.getvalue()


ImageFile = Path | EncodedImage
"""What images are read from."""


@contextmanager
def open_image(path: ImageFile) -> Iterator[Image.Image]:
    """Open an image file; every failure inside the block becomes a ``DataError`` with the path."""
    try:
        with Image.open(path) as image:
            yield image
    except (*DAMAGE, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as an image ({reason}): replace or remove it") from error


@dataclass(frozen=True)
class Header:
    """What an image file says of itself: ``size`` is width and height as seen, the rest what ``decode`` has to do.

    ``turned`` by its EXIF orientation, laid on white for its ``alpha``, ``deep`` with 16 bits per channel, of several
    ``pages`` the first.
    """

    size: tuple[int, int]
    gray: bool
    mode: str
    turned: bool
    alpha: bool
    deep: bool
    pages: int


def read_header(path: ImageFile) -> Header:
    """Read what ``path`` says of itself; ``DataError`` where it is no image, or one that cannot be used."""
    with open_image(path) as image:
        orientation = _orientation(image)
        size = _stored_size(image)
        return Header(
            size=size[::-1] if orientation in SIDEWAYS else size,
            gray=image.mode in GRAY or (image.format == "PNG" and _stored_mode(image).startswith("LA")),
            mode=image.mode,
            turned=orientation != 1,
            alpha=_has_alpha(image),
            deep=_is_deep(image),
            pages=1 if image.format == "MPO" else getattr(image, "n_frames", 1),  # an MPO's second page is a preview
        )


def read_headers(paths: Sequence[ImageFile]) -> list[Header]:
    """:func:`read_header` of each path."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(read_header, paths))


def decode(paths: Sequence[ImageFile], channels: int, resolution: int) -> Tensor:
    """Read image files as uint8 [n, channels, resolution, resolution], resized and cropped by ``fit``.

    Pixels are those that a viewer shows: turned by the EXIF orientation, laid on white where they are transparent,
    16 bits per channel scaled to 8. Raises ``DataError`` with the path of a file that is missing, truncated or no
    image, or whose values have no such meaning (floats, signed values, 16-bit color in a TIFF).
    """
    images = torch.empty(len(paths), channels, resolution, resolution, dtype=torch.uint8)
    with ThreadPoolExecutor() as pool:
        for i, pixels in enumerate(pool.map(partial(_decode, channels=channels, resolution=resolution), paths)):
            images[i] = pixels
    return images


def _decode(path: ImageFile, channels: int, resolution: int) -> Tensor:
    return fit(read_pixels(path, channels), resolution)


def read_pixels(path: ImageFile, channels: int) -> Tensor:
    """Read a file at its own size, uint8 [channels, H, W]; see :func:`decode`."""
    with open_image(path) as image:
        upright = _to_eight_bits(image, path) if _is_deep(image) else _upright(image)
        if _has_alpha(upright):
            rgba = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        pixels = np.array(upright.convert("L" if channels == 1 else "RGB"))
        return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels)).permute(2, 0, 1).contiguous()


def fit(images: Tensor, resolution: int) -> Tensor:
    """Scale images [..., C, H, W] until the shorter side is ``resolution``, then crop the center square."""
    if images.shape[-2:] == (resolution, resolution):
        return images
    from torchvision.transforms import functional  # seconds to import, which images of the right size need not wait for

    scaled = functional.resize(images, [resolution], antialias=True)
    return functional.center_crop(scaled, [resolution, resolution])


def largest_value(path: ImageFile) -> int:
    """The largest value of a color in a file of 16 bits per channel; its alpha does not count."""
    with open_image(path) as image:
        values = _deep_values(image, path)
        return int(values[..., : (values.shape[2] - 1) // 2 * 2 + 1].max())


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or the block is damaged, as viewers take it."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole image to look for one behind its pixels
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if value in range(1, 9) else 1


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # which turns a TIFF
    return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height before the EXIF orientation; Pillow swaps those of a TIFF, from version to version."""
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        return int(tags[256]), int(tags[257])
    return image.size


def _stored_mode(image: Image.Image) -> str:
    """What a PNG holds, in Pillow's words, which open gray with alpha of 16 bits as colors; empty once it is loaded."""
    tile = _tile(image)
    return str(tile[3]) if tile else ""


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _is_deep(image: Image.Image) -> bool:
    """Whether there are 16 bits per channel; ``ValueError`` where values have no meaning as 8 bits of a picture."""
    if image.format == "TIFF":
        return _is_deep_tiff(image)
    if image.format == "PPM":
        return image.mode == "I" or _largest_of_ppm(image) > DEEP
    if image.format != "PNG":
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"its mode is {image.mode}")
        return False
    deep = image.mode.startswith("I") or ";16" in _stored_mode(image)
    if deep and "transparency" in image.info:
        raise ValueError("it has 16 bits per channel and a color that stands for transparency")
    return deep


def _tile(image: Image.Image) -> Any:
    """How Pillow decodes the file: codec, extents, offset and its arguments; None once it is loaded."""
    tiles = getattr(image, "tile", None)
    return tiles[0] if tiles else None


def _largest_of_ppm(image: Image.Image) -> int:
    tile = _tile(image)
    return int(tile[3][1]) if tile and isinstance(tile[3], tuple) and isinstance(tile[3][1], int) else 0


def _is_deep_tiff(image: Image.Image) -> bool:
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits, kind = max(tags.get(TIFF_BITS, (1,))), max(tags.get(TIFF_FORMAT, (1,)))
    if kind not in (1, 4):  # unsigned, or not said
        raise ValueError(f"its values are {({2: 'signed', 3: 'floats'}).get(kind, f'of kind {kind}')}")
    if bits > 16:
        raise ValueError(f"it has {bits} bits per channel")
    if bits > 8 and not (bits == 16 and image.mode.startswith("I;16") and tags.get(TIFF_PHOTOMETRIC) == 1):
        raise ValueError(f"it is a TIFF of {bits} bits per channel that is no plain gray image: save it as PNG")
    return bits > 8


def _deep_values(image: Image.Image, path: ImageFile) -> np.ndarray:
    """Values of a deep image, whole numbers [H, W, C] in 0..65535."""
    if image.format == "PNG" and _stored_mode(image).startswith("LA"):
        return _deep_gray_with_alpha(path)
    if image.format == "PNG" and image.mode.startswith("RGB"):
        return _deep_color(image, path)
    values = np.asarray(image).astype(np.int32)
    return values * 257 if image.mode == "RGB" else values[..., None]  # Pillow has scaled a PPM's colors to 255


def _deep_color(image: Image.Image, path: ImageFile) -> np.ndarray:
    """A PNG's colors of 16 bits, of which Pillow keeps the first byte; read as little-endian, it keeps the second."""
    high = np.asarray(image).astype(np.int32)
    with Image.open(path) as again:
        codec, extents, offset, mode = _tile(again)
        again.tile = [(codec, extents, offset, str(mode).replace("16B", "16L"))]
        return high * 256 + np.asarray(again)


def _deep_gray_with_alpha(path: ImageFile) -> np.ndarray:
    """A PNG's gray and alpha of 16 bits, read as the four bytes of a pixel of red, green, blue and alpha."""
    content = bytearray(path.read_bytes())
    content[24:26] = (8, 6)  # bits per channel, and the number of that kind of color
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image).copy().view(">u2").astype(np.int32)


def _to_eight_bits(image: Image.Image, path: ImageFile) -> Image.Image:
    """The image with 0..65535 scaled to 0..255, turned upright."""
    orientation = 1 if image.format == "TIFF" else _orientation(image)
    values = _deep_values(image, path)
    scaled = ((values * 2 + 257) // 514).astype(np.uint8)  # round(value / 257)
    result = Image.fromarray(scaled[..., 0] if scaled.shape[2] == 1 else scaled)
    if orientation != 1:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        result.info["exif"] = exif.tobytes()
        result = ImageOps.exif_transpose(result)
    return result
