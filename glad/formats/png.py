"""PNG files of 8 and of 16 bits.

Pillow, which serves those of 8 bits, has no 16-bit color, and the libraries that do are no longer kept (pypng), about
to go (torchvision's) or image libraries of their own. The format is five fields and zlib, so it is written here; the
tests read the result with Pillow, a byte at a time.
"""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 3: 2}  # channels to PNG's number for gray and RGB
MODES = {"L": 1, "RGB": 3}


def encode(image: np.ndarray) -> bytes:
    """A uint8 or uint16 image [H, W, C] as a PNG of as many bits; ``ValueError`` unless C is 1 or 3."""
    if image.shape[2] not in COLOR_TYPES:
        raise ValueError(f"a PNG has 1 or 3 channels, not {image.shape[2]}: choose the format npz or safetensors")
    if image.dtype == np.uint16:
        return _encode_sixteen(image)
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def decode(content: bytes) -> np.ndarray:
    """A PNG as uint8 or uint16 [H, W, C]; ``ValueError`` when it is damaged.

    Of 16 bits it reads what ``encode`` writes, in one of PNG's five filters.
    """
    try:
        if content[24:25] == b"\x10":  # the header's number of bits
            return _decode_sixteen(content)
        with Image.open(io.BytesIO(content)) as image:
            return np.array(image).reshape(image.height, image.width, MODES[image.mode])
    except (OSError, ValueError, LookupError, SyntaxError, struct.error, zlib.error) as error:
        raise ValueError(f"a PNG of {len(content)} bytes cannot be read ({error})") from error


def _encode_sixteen(image: np.ndarray) -> bytes:
    height, width, channels = image.shape
    rows = image.astype(">u2").reshape(height, -1).view(np.uint8)  # [H, 2 W C], big-endian
    step = 2 * channels  # bytes of a pixel
    left = np.pad(rows, ((0, 0), (step, 0)))[:, :-step]
    filtered = np.pad(rows - left, ((0, 0), (1, 0)), constant_values=1)  # filter 1, "Sub": bytes wrap around
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _decode_sixteen(content: bytes) -> np.ndarray:
    chunks = dict(_chunks(content))
    width, height, _, color, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = next(count for count, number in COLOR_TYPES.items() if number == color)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, -1)
    if bool((rows[:, 0] != 1).any()):
        raise ValueError("another program has written it anew")
    steps = rows[:, 1:].reshape(height, width, 2 * channels)
    return steps.cumsum(1, dtype=np.uint8).view(">u2").astype(np.uint16)  # [H, W, 2 C] bytes -> [H, W, C]


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and content of every chunk; ``ValueError`` at the first that is not whole."""
    at = len(SIGNATURE)
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, inside = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if content[at : at + 12 + length] != _chunk(kind, inside):
            raise ValueError("its checksum is wrong")
        yield kind, inside
        at += 12 + length
