"""Image files as a viewer shows them: orientation, transparency, 16 bits, and what is refused."""

import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from errors import naming
from image_files import load_with_notices, write_images
from PIL import Image, TiffImagePlugin

from glad.data.notices import DataError
from glad.data.pixels import ORIENTATION, decode, fit, read_header
from glad.data.splits import load_data

CORNERS = np.array([[10, 90, 150], [200, 250, 40]], dtype=np.uint8).repeat(8, 0).repeat(8, 1)  # 16 x 24
SEEN = {  # the pixels that a viewer shows, by EXIF orientation: where the stored first row and column lie
    1: CORNERS,  # top, left
    2: CORNERS[:, ::-1],  # top, right
    3: CORNERS[::-1, ::-1],  # bottom, right
    4: CORNERS[::-1],  # bottom, left
    5: CORNERS.T,  # left, top
    6: CORNERS[::-1].T,  # right, top
    7: CORNERS[::-1, ::-1].T,  # right, bottom
    8: CORNERS[:, ::-1].T,  # left, bottom
}


def decoded(path, channels=3, resolution=None):
    """The image as uint8 [H, W, C], of the size it has as seen, which must be square where no other is given."""
    return decode([path], channels, resolution or read_header(path).size[0])[0].permute(1, 2, 0).numpy()


def write_png(path, values, color, exif=b"", transparent=b""):
    """A PNG with 16 bits per channel, written by hand: ``values`` are whole numbers [H, W, C]."""
    height, width, _ = values.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0))]
    chunks += [(b"eXIf", exif)] * bool(exif) + [(b"tRNS", transparent)] * bool(transparent)
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    )


def write_tiff(path, array, **tags):
    """A TIFF of one strip, written by hand: ``tags`` by number override those of unsigned gray values."""
    data = array.tobytes()
    height, width = array.shape[:2]
    entries = {256: width, 257: height, 258: 8 * array.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries |= {279: len(data), 339: 1, **{int(key.removeprefix("tag")): value for key, value in tags.items()}}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + table + b"\0" * 4
    )


# --- orientation ---


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", [*SEEN, 0, 9])
def test_images_are_turned_as_their_orientation_says(tmp_path, suffix, orientation):
    exif, path = Image.Exif(), tmp_path / f"a.{suffix}"
    exif[ORIENTATION] = orientation
    options = {"jpg": {"quality": 100}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(CORNERS).convert("RGB").save(path, exif=exif, **options)
    seen, header = SEEN.get(orientation, CORNERS), read_header(path)
    assert header.size == seen.shape[::-1] and header.turned == (orientation in range(2, 9))
    expected = fit(torch.from_numpy(seen.copy())[None], 16)[0].numpy()  # the center square
    assert abs(decoded(path, resolution=16).astype(int) - expected[..., None]).max() <= (3 if suffix == "jpg" else 0)


def test_a_damaged_exif_block_is_no_orientation(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(CORNERS).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Corrupt EXIF data")  # of Pillow
        assert read_header(path).size == (24, 16) and decoded(path, 1, 16).shape == (16, 16, 1)


# --- transparency ---


@pytest.mark.parametrize("alpha", range(0, 256, 51))
def test_what_is_transparent_is_white(tmp_path, alpha):
    values = np.full((4, 4, 4), (200, 100, 0, alpha), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values[..., 1::2]).save(tmp_path / "b.png")
    expected = [round((v * alpha + 255 * (255 - alpha)) / 255) for v in (200, 100, 0)]
    assert decoded(tmp_path / "a.png")[2, 2].tolist() == expected
    assert decoded(tmp_path / "b.png", 1)[2, 2].tolist() == expected[1:2]
    assert read_header(tmp_path / "b.png").gray and not read_header(tmp_path / "a.png").gray


def test_opaque_pixels_keep_their_values(tmp_path):
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    Image.fromarray(np.dstack([values, np.full((16, 16), 255, np.uint8)])).save(tmp_path / "a.png")
    assert (decoded(tmp_path / "a.png") == values).all()


@pytest.mark.parametrize("kind", ["P", "L", "RGB"])
def test_a_transparent_color_is_white(tmp_path, kind):
    image = Image.new("RGB", (4, 4), (10, 10, 10))
    image.putpixel((1, 1), (90, 90, 90))
    image = image.convert(kind) if kind != "P" else image.quantize(2)
    stored = image.getpixel((1, 1))
    image.save(tmp_path / "a.png", transparency=stored)
    assert decoded(tmp_path / "a.png")[1, 1].tolist() == [255] * 3
    assert decoded(tmp_path / "a.png")[0, 0].tolist() == [10] * 3 and read_header(tmp_path / "a.png").alpha


# --- 16 bits ---

RAMP = np.linspace(0, 65535, 64).round().astype(int).reshape(8, 8)


def eight(values):
    return np.round(np.asarray(values) * 255 / 65535)


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 1), (6, 3)])
def test_sixteen_bits_are_scaled(tmp_path, color, channels):
    values = np.dstack([RAMP, RAMP.T, RAMP[::-1]][:channels])
    alpha = np.full((8, 8, 1), 16384)
    write_png(tmp_path / "a.png", np.dstack([values, alpha]) if color >= 4 else values, color)
    header, seen = read_header(tmp_path / "a.png"), eight(values)
    assert header.deep and header.gray == (channels == 1) and header.alpha == (color >= 4)
    tolerance = 0
    if color >= 4:  # the values and the alpha are rounded before one is laid on white
        seen, tolerance = 255 + (seen - 255) * 16384 / 65535, 1
    assert abs(decoded(tmp_path / "a.png", channels) - seen).max() <= tolerance


def test_sixteen_bits_are_turned(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    write_png(tmp_path / "a.png", RAMP[..., None], 0, exif.tobytes().removeprefix(b"Exif\0\0"))
    assert (decoded(tmp_path / "a.png", 1)[..., 0] == eight(RAMP[::-1].T)).all()


@pytest.mark.parametrize("maximum", [4095, 65535])
def test_sixteen_bits_of_other_formats_are_scaled(tmp_path, maximum):
    values = (RAMP * maximum // 65535).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(f"P5 8 8 {maximum}\n".encode() + values.tobytes())
    (tmp_path / "a.ppm").write_bytes(f"P6 8 8 {maximum}\n".encode() + values.repeat(3).tobytes())
    write_tiff(tmp_path / "a.tif", RAMP.astype("<u2"))
    for name, channels in (("a.pgm", 1), ("a.ppm", 3)):
        assert read_header(tmp_path / name).deep
        assert abs(decoded(tmp_path / name, channels) - np.round(values[..., None] * 255.0 / maximum)).max() <= 1
    assert (decoded(tmp_path / "a.tif", 1)[..., 0] == eight(RAMP)).all()


@pytest.mark.parametrize(
    ("values", "tags", "message"),
    [
        (np.zeros((4, 4), np.int8), {"tag339": 2}, "signed"),
        (np.zeros((4, 4), np.int16), {"tag339": 2}, "signed"),
        (np.zeros((4, 4), np.float32), {"tag339": 3}, "floats"),
        (np.zeros((4, 4), np.uint32), {}, "32 bits"),
        (np.zeros((4, 4), np.uint16), {"tag262": 0}, "TIFF 16 bits"),
    ],
)
def test_values_that_are_no_picture_are_refused(tmp_path, values, tags, message):
    write_tiff(tmp_path / "a.tif", values, **tags)
    for read in (read_header, lambda path: decode([path], 1, 4)):
        with pytest.raises(DataError, match=naming(f"a.tif {message}")):
            read(tmp_path / "a.tif")


def test_sixteen_bit_color_in_a_tiff_is_refused(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    Image.new("RGB", (4, 4)).save(tmp_path / "a.tif", tiffinfo=tags)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    at = content.index(struct.pack("<HHH", 8, 8, 8))
    content[at : at + 6] = struct.pack("<HHH", 16, 16, 16)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=naming("TIFF 16 PNG")):
        read_header(tmp_path / "a.tif")


def test_a_transparent_color_of_sixteen_bits_is_refused(tmp_path):
    write_png(tmp_path / "a.png", RAMP[..., None], 0, transparent=b"\0\1")
    with pytest.raises(DataError, match=naming("16 transparency")):
        decode([tmp_path / "a.png"], 1, 8)


def test_a_page_without_a_size_is_an_unreadable_file(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-4] + struct.pack("<I", 8))  # the next page begins in zeros
    with pytest.raises(DataError, match=naming("a.tif (Missing dimensions)")):
        read_header(tmp_path / "a.tif")


# --- what is said ---


def write_pets(root, *names):
    for c, name in enumerate(("cat", "dog")):
        write_images(root / name, 10, seed=c)
    return [root / "cat" / f"z{i}.png" for i in range(len(names) or 1)]


def test_what_decoding_changes_is_counted(tmp_path):
    write_pets(tmp_path)
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    for i in range(2):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / "cat" / f"x{i}.jpg", exif=exif)
        Image.fromarray(np.full((8, 8, 4), i, np.uint8)).save(tmp_path / "dog" / f"x{i}.png")
    write_png(tmp_path / "cat" / "y.png", RAMP[..., None], 0)
    pages = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "dog" / "y.tif", save_all=True, append_images=pages[1:])
    splits, notices = load_with_notices(tmp_path)
    assert notices.splitlines() == [
        f"{tmp_path.name}: 2 of 26 images are turned as their EXIF orientation says",
        f"{tmp_path.name}: 2 of 26 images are laid on white, for they have an alpha channel",
        f"{tmp_path.name}: 1 of 26 images are scaled from 16 bits, 0..65535 to 0..255 (largest value 65535)",
        f"{tmp_path.name}: 1 of 26 images are read as their first page or frame only",
    ]
    assert splits.notices == tuple(notices.splitlines())


def test_eight_bit_values_in_sixteen_bits_are_refused(tmp_path):
    for c, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for i in range(10):
            write_png(tmp_path / name / f"{i}.png", np.full((8, 8, 1), 10 * c + i + 200), 0)
    with pytest.raises(DataError, match=naming("0.png 19 16 219")):
        load_data(str(tmp_path))


# --- size ---


def test_fit_scales_the_shorter_side_and_crops_the_center():
    image = torch.zeros(1, 4, 12, dtype=torch.uint8)
    image[:, :, 4:8] = 200
    assert torch.equal(fit(image, 4), torch.full((1, 4, 4), 200, dtype=torch.uint8))
    assert fit(image, 9).shape == (1, 9, 9) and fit(image[..., :4], 2).shape == (1, 2, 2)
