"""What the headers of image files say before any is decoded: channels, size, and what decoding changes."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from glad.data.notices import DataError, shorten
from glad.data.pixels import Header, ImageFile, largest_value, read_headers
from glad.data.raw import Raw

EIGHT_BITS = 255


def read_all_headers(raw: Raw) -> dict[ImageFile, Header]:
    """The header of each image file of ``raw``; none where images are arrays."""
    paths = [path for part in raw.parts.values() if not isinstance(part.images, Tensor) for path in part.images]
    return dict(zip(paths, read_headers(paths), strict=True))


def settle(raw: Raw, headers: Mapping[ImageFile, Header], resolution: int | None) -> tuple[int, int]:
    """One number of channels and one resolution for all parts; files are gray only if all of them are."""
    found = {part.images.shape[1] for part in raw.parts.values() if isinstance(part.images, Tensor)}
    if len(found) > 1:
        raise DataError(f"{raw.name} mixes images of {' and '.join(map(str, sorted(found)))} channels: store one kind")
    gray = all(header.gray for header in headers.values())
    channels = raw.channels or (found.pop() if found else 1 if gray else 3)
    return channels, _side(raw, headers) if resolution is None else resolution


def _side(raw: Raw, headers: Mapping[ImageFile, Header]) -> int:
    """The side of all images, which must be squares of one size."""
    sizes = _sizes(raw, headers)
    first, size = next(sizes)
    for name, other in sizes:
        if other != size:
            raise DataError(
                f"{first} is {size[0]}x{size[1]} but {name} is {other[0]}x{other[1]}: choose one size with --resolution"
            )
    if size[0] != size[1]:
        raise DataError(f"{first} is {size[0]}x{size[1]}, not square: choose a size to crop to with --resolution")
    return size[0]


def _sizes(raw: Raw, headers: Mapping[ImageFile, Header]) -> Iterator[tuple[str, tuple[int, int]]]:
    for split, part in raw.parts.items():
        if isinstance(part.images, Tensor):
            yield f"the {split} part of {raw.name}", (part.images.shape[3], part.images.shape[2])
        else:
            yield from ((str(path), headers[path].size) for path in part.images)


def say_of_pixels(name: str, headers: Mapping[ImageFile, Header]) -> list[str]:
    """What decoding does to pixels beyond reading them, with counts; ``DataError`` where 16 bits hold 8-bit values."""
    deep = [path for path, header in headers.items() if header.deep]
    largest = max((largest_value(path) for path in deep), default=0)
    if deep and largest <= EIGHT_BITS:
        raise DataError(
            f"{shorten(map(str, deep), 1)} have 16 bits per channel but no value above {largest}, and would be black: "
            "store them with 8 bits"
        )
    counts = {
        "turned as their EXIF orientation says": sum(header.turned for header in headers.values()),
        "laid on white, for they have an alpha channel": sum(header.alpha for header in headers.values()),
        f"scaled from 16 bits, 0..65535 to 0..255 (largest value {largest})": len(deep),
        "read as their first page or frame only": sum(header.pages > 1 for header in headers.values()),
    }
    return [f"{name}: {count} of {len(headers)} images are {what}" for what, count in counts.items() if count]
