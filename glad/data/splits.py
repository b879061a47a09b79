"""Loading: from what a reader found to normalized train, validation and test splits."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor

from glad.data.balance import say_of_balance
from glad.data.dataset import CHUNK, ImageData, Splits
from glad.data.duplicates import drop_copies, say_of_copies
from glad.data.notices import DataError, warn_of
from glad.data.pixels import decode, fit
from glad.data.raw import Part, Raw
from glad.data.readers import read
from glad.data.survey import read_all_headers, say_of_pixels, settle
from glad.data.zca import ZCA
from glad.rng import rng_for
from glad.settings.data import DataSettings
from glad.settings.objects import is_object

DECODED_LIMIT = 2 * 1024**3  # bytes; a larger set of image files is decoded on demand
ZCA_LIMIT = 12288  # values per image: 3 x 64 x 64
TEST_FRACTION = 0.2  # of a source that has no test images of its own


def load_data(
    source: str,
    *,
    root: str | Path = "data",
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    resolution: int | None = None,
    zca: bool = False,
    validation: float = 0.1,
    seed: int = 0,
    download: bool = False,
    drop_duplicates: bool = False,
    single_class: bool = False,
) -> Splits:
    """Read a data set and return its training, validation and test images.

    Args:
        source: ``fashion-mini``, ``clothing-mini`` (embedded); a torchvision data set under ``root`` (``mnist``,
            ``fashionmnist``, ``cifar10``, ``cifar100``, ``svhn``, ``stl10``); ``imagenet`` or one of its subsets
            (``imagenette``, ``imagenet-a``, ...) under ``root``/train and ``root``/val; a file ``.npz``,
            ``.safetensors``, ``.parquet`` or ``.tar`` of images and labels; ``hf://org/name`` on the Hub; or a folder
            of images, whose layouts docs/DATA.md shows. Names win over paths: write ``./mnist`` for a folder called
            mnist.
        root: Where named data sets lie.
        classes: Positions or names of the classes to keep, which become 0 to K-1 in this order.
        limit: At most so many training images, of each class its share and at least one; validation and test images
            stay all.
        resolution: Side in pixels to which images are resized and cropped; image files of several sizes need it.
        zca: Whiten the images (at most 12,288 values per image).
        validation: Share of each class's training images, between 0 and 1, that is held out unless the source has
            a validation split.
        seed: Draws the validation images and those that ``limit`` keeps. Where the source has no test images, a fifth
            of each class is held out, the same for every seed.
        download: Let torchvision download the data set.
        drop_duplicates: Leave out training and validation images that are identical to another image; test images
            stay all.
        single_class: Accept a folder or file of one class, which is enough to train a generator.

    Returns:
        The splits ``train``, ``validation`` and ``test``. Their images are [N, C, H, W], of one channel if all files
        are gray, else of three; ``tensor()`` normalizes them by the training images' mean and deviation. ``origins``
        says where each split is from. What the owner of the data may not expect is in ``notices``, each of which is
        also a warning, ``DataNotice``.

    Raises:
        DataError: For anything in the arguments or the files that cannot be used.

    Examples:
        >>> splits = glad.load_data("fashion-mini", classes=["Shirt", "Bag"], limit=20)
        >>> splits.train.tensor().shape
        torch.Size([20, 1, 28, 28])
    """
    if resolution is not None and resolution < 1:
        raise DataError(f"resolution is {resolution}: choose at least 1")
    raw = read(source, Path(root).expanduser(), download, 1 if single_class else 2)
    raw = split_parts(raw, classes, limit, validation, seed)
    splits = _assemble(raw, resolution, zca, drop_duplicates)
    warn_of(splits.notices)
    return splits


def split_parts(raw: Raw, classes: Sequence[int | str] | None, limit: int | None, validation: float, seed: int) -> Raw:
    """Keep the ``classes``, hold out what the source does not split itself, and keep ``limit`` training images.

    Arguments, and the ``DataError`` where they cannot be used, are those of :func:`load_data`.
    """
    if not 0 < validation < 1:
        raise DataError(f"validation is {validation}: choose a share of the training data between 0 and 1, such as 0.1")
    raw = _choose(_named_by_use(raw), classes)
    raw = _carve(raw, "test", TEST_FRACTION, rng_for("test split"))
    raw = _carve(raw, "validation", validation, rng_for(seed, "validation"))
    return raw if limit is None else _limit(raw, limit, rng_for(seed, "limit"))


def _named_by_use(raw: Raw) -> Raw:
    """Validation images are the test images where there are no others, as is usual with ImageNet."""
    if "test" in raw.parts or "validation" not in raw.parts:
        return raw
    parts = {"test" if split == "validation" else split: part for split, part in raw.parts.items()}
    said = f"{raw.name}: {parts['test'].origin} holds the test images; validation is held out of training"
    return replace(raw, parts=parts, notices=(*raw.notices, said))


def _choose(raw: Raw, wanted: Sequence[int | str] | None) -> Raw:
    """Keep the wanted classes, in the order asked, labeled 0..K-1; every one must have images in every part."""
    positions = range(len(raw.classes)) if wanted is None else [_position(raw, c) for c in wanted]
    if not positions or len(set(positions)) < len(positions):
        raise DataError(f"classes are {wanted}: name at least one class, and none twice")
    table = torch.full((len(raw.classes),), -1)
    table[list(positions)] = torch.arange(len(positions))
    parts, names = {}, tuple(raw.classes[i] for i in positions)
    for split, part in raw.parts.items():
        labels = table[part.labels]
        for c, count in enumerate(labels[labels >= 0].bincount(minlength=len(names)).tolist()):
            if not count:
                raise DataError(
                    f"class {names[c]!r} has no {split} images in {raw.name}: add some or leave it out (--classes)"
                )
        kept = (labels >= 0).nonzero().flatten()
        parts[split] = replace(part.take(kept), labels=labels[kept])
    return replace(raw, classes=names, class_ids=tuple(raw.class_ids[i] for i in positions), parts=parts)


def _position(raw: Raw, wanted: int | str) -> int:
    if isinstance(wanted, str) and wanted in raw.classes:
        return raw.classes.index(wanted)
    if isinstance(wanted, str) and not wanted.isdecimal():
        close = get_close_matches(wanted, raw.classes, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its classes are {', '.join(raw.classes[:10])}, ..."
        raise DataError(f"{raw.name} has no class {wanted!r}: {hint}")
    if not 0 <= int(wanted) < len(raw.classes):
        raise DataError(f"{raw.name} has no class {wanted}: choose from 0 to {len(raw.classes) - 1}")
    return int(wanted)


def _ranks(labels: Tensor, rng: torch.Generator) -> Tensor:
    """Give each image a random rank within its class, divided by the size of the class: float64 [N] in [0, 1)."""
    shuffled = torch.randperm(len(labels), generator=rng)
    ranks = torch.empty(len(labels), dtype=torch.float64)
    for c in labels.unique():
        members = shuffled[labels[shuffled] == c]
        ranks[members] = torch.arange(len(members), dtype=torch.float64) / len(members)
    return ranks


def _carve(raw: Raw, split: str, fraction: float, rng: torch.Generator) -> Raw:
    """Move a fraction of each class, rounded up, from the training part to a new one; nothing if it is there."""
    if split in raw.parts:
        return raw
    train = raw.parts["train"]
    held = _ranks(train.labels, rng) < fraction
    for c, count in enumerate(train.labels[~held].bincount(minlength=len(raw.classes)).tolist()):
        if not count:
            raise DataError(
                f"class {raw.classes[c]!r} of {raw.name} has {int((train.labels == c).sum())} images left when the "
                f"{split} split is taken, which leaves none for training: add images"
            )
    origin = f"{fraction:.0%} of each class, held out of {train.origin or 'training'}"
    parts = {
        "train": train.take((~held).nonzero().flatten()),
        split: replace(train.take(held.nonzero().flatten()), origin=origin),
    }
    return replace(raw, parts=raw.parts | parts)


def _limit(raw: Raw, limit: int, rng: torch.Generator) -> Raw:
    if limit < len(raw.classes):
        raise DataError(f"limit is {limit} but there are {len(raw.classes)} classes: allow one image each (--limit)")
    train = raw.parts["train"]
    # The first rank of every class is 0, so that each keeps an image.
    kept = _ranks(train.labels, rng).argsort(stable=True)[:limit].sort().values
    origin = ", ".join(filter(None, [train.origin, f"limited to {len(kept)} of {len(train.labels)} images"]))
    limited = replace(train.take(kept), origin=origin if len(kept) < len(train.labels) else train.origin)
    return replace(raw, parts=raw.parts | {"train": limited})


def _assemble(raw: Raw, resolution: int | None, zca: bool, drop_duplicates: bool) -> Splits:
    known = raw.channels is not None and resolution is not None
    headers = {} if known else read_all_headers(raw)
    channels, resolution = settle(raw, headers, resolution)
    notices = [*raw.notices, *say_of_pixels(raw.name, headers)]
    parts = _fit(raw, channels, resolution)
    if drop_duplicates:
        parts, said = drop_copies(raw.name, parts, raw.classes)
    else:
        said = say_of_copies(raw.name, parts)
    notices += [*said, *say_of_balance(raw.name, parts["train"].labels, raw.classes)]
    sets = {split: _plain(raw, part, channels, resolution) for split, part in parts.items()}
    mean, std = sets["train"].statistics()
    sets = {split: replace(data, mean=mean, std=std) for split, data in sets.items()}
    origins = {split: part.origin for split, part in parts.items()}
    splits = Splits(**sets, origins=origins, notices=tuple(notices))
    return _whitened(splits) if zca else splits


def _plain(raw: Raw, part: Part, channels: int, resolution: int) -> ImageData:
    """The images of a part, not yet normalized: values, or files on the disk."""
    images = part.images if isinstance(part.images, Tensor) else tuple(i for i in part.images if isinstance(i, Path))
    return ImageData(
        name=raw.name,
        images=images,
        labels=part.labels,
        classes=raw.classes,
        class_ids=raw.class_ids,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        resolution=resolution,
        channels=channels,
        flip=raw.flip,
        numbering=raw.numbering,
    )


_FITTED: dict[tuple[str, bool], ZCA] = {}  # the last whitening, by its images and kind: D^3 operations to fit again


def _whitened(splits: Splits, standardized: bool = False) -> Splits:
    """The data with the whitening of its training images; ``standardized``: with that of earlier versions."""
    plain = [replace(data, whitening=None) for data in (splits.train, splits.validation, splits.test)]
    train = plain[0]
    values = train.channels * train.resolution**2
    if values > ZCA_LIMIT:
        raise DataError(
            f"ZCA of {train.channels}x{train.resolution}x{train.resolution} images works on {values} values at once, "
            f"the limit is {ZCA_LIMIT}: choose a smaller resolution (--resolution) or leave ZCA out"
        )
    key = train.digest, standardized
    if key not in _FITTED:
        images = (train.batch(index) if standardized else train.raw(index).float() / 255 for index in train.chunks())
        _FITTED.clear()
        _FITTED[key] = ZCA.fit(images, train.digest, standardized=standardized)
    whitening = _FITTED[key]
    train, validation, test = (replace(data, whitening=whitening) for data in plain)
    return replace(splits, train=train, validation=validation, test=test)


def _fit(raw: Raw, channels: int, resolution: int) -> dict[str, Part]:
    """Bring all images to one resolution; files are decoded here unless that would take too much memory."""
    decoded = sum(len(part.labels) for part in raw.parts.values()) * channels * resolution**2
    parts = {}
    for split, part in raw.parts.items():
        images = part.images
        if isinstance(images, Tensor):
            images = torch.cat([fit(chunk, resolution) for chunk in images.split(CHUNK)])
        elif decoded <= DECODED_LIMIT or not all(isinstance(image, Path) for image in images):
            images = decode(images, channels, resolution)
        parts[split] = replace(part, images=images)
    return parts


def open_data(settings: DataSettings, data: str | Splits | None = None, recorded: str = "", **more: bool) -> Splits:
    """The data that ``settings`` name, unless ``data`` are loaded; ``ValueError`` when only an object can say.

    ``recorded`` is the digest of the training data that a run was made of: where the run has the whitening of an
    earlier version, so has what is opened. ``more`` are ``download`` and ``single_class`` of ``load_data``.
    """
    if isinstance(data, Splits):
        return data
    source = settings.data
    if is_object(source):
        raise ValueError(f"the run was made from an object ({source}): hand its data to glad.evaluate(..., data=...)")
    splits = load_data(
        source,
        root=settings.root,
        classes=settings.classes,
        limit=settings.limit,
        resolution=settings.resolution,
        zca=settings.zca,
        drop_duplicates=settings.drop_duplicates,
        **more,
    )
    if settings.zca and recorded and splits.train.digest != recorded:
        former = _whitened(splits, standardized=True)
        return former if former.train.digest == recorded else splits
    return splits
