"""Fewer bits for what a set stores: its latents as few levels each, and the file of codes that holds them packed."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from glad.data.dataset import Splits
from glad.formats.codes import require_named, require_rendered, with_file
from glad.formats.distilled import Card, Distilled
from glad.formats.export import export
from glad.formats.load import RUN, kind_of, load_distilled
from glad.formats.packing import Packed, pack_whole, quantize
from glad.formats.rendering import open_renderer
from glad.runs.folder import Run
from glad.runs.storage import RunError
from glad.runs.stored_size import StoredSize

MOST = 16
"""Bits of a number, at most."""
OF_LABELS = 8
"""Bits of a number of soft labels, at least: there are few of them, and they stand for shares of one."""


@dataclass(frozen=True)
class Compressed:
    """A compressed set and what it cost.

    Attributes:
        path: The file of codes.
        card: Its card.
        before: What the set took to store.
        after: What it takes now.
        rmse: The root of the mean squared error of its pixels, where 1 is white.
    """

    path: Path
    card: Card
    before: StoredSize
    after: StoredSize
    rmse: float

    @property
    def psnr(self) -> float:
        """The peak signal-to-noise ratio of its images in dB; infinite where nothing is lost."""
        return -20 * math.log10(self.rmse) if self.rmse else math.inf


def compress(
    source: str | Path | Run,
    bits: int,
    out: str | Path | None = None,
    *,
    prior: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    data: Splits | None = None,
) -> Compressed:
    """Store a distilled set in fewer bits, as a file of codes.

    Learned numbers become ``offset + scale * level``, with levels from 0 to 2^bits - 1. Each tensor shares offset and
    scale as a whole, by row, by its second dimension or by column, whichever gives the smallest error of images for its
    bytes. Soft labels take 8 bits or more. Indices, masks and labels are packed exactly. Weights of a generator that
    were learned along stay as they are. ``glad.load_distilled``, ``glad.evaluate`` and ``glad.render`` take the file.

    Args:
        source: A finished run (its folder or the object), or a file of codes.
        bits: Bits of a learned number, 1 to 16.
        out: The file to write; by default ``codes-Nbit.safetensors`` inside the run, or beside the file of codes.
        prior: The generator's file, where the codes name neither an embedded one nor one of the catalog.
        device: Where images are rendered: ``auto``, ``cpu`` or ``cuda``.
        force: Replace an earlier export at ``out``.
        data: The splits, for a run that was distilled from an object instead of a name.

    Returns:
        The path, the card, the bytes before and after, and the error of the images.

    Raises:
        ValueError: ``bits`` is out of range.
        RunError: ``source`` is no finished run and holds no codes, or ``out`` cannot be written.

    Examples:
        >>> smaller = glad.compress("runs/tiny", 8, "small.safetensors")
        >>> smaller.before.latents // smaller.after.latents
        3
    """
    path = source.path if isinstance(source, Run) else Path(source)
    _require_bits(bits)
    if (kind := kind_of(path)) not in (RUN, "codes"):
        raise RunError(
            f"{path} holds images and no latents (format {kind}): compress the run that made it, or its codes"
        )
    usual = path / name_in_run(bits) if kind == RUN else path.with_name(f"{path.stem}-{bits}bit.safetensors")
    place = usual if out is None else Path(out)
    whole = load_distilled(path, prior=prior, device=device, data=data)
    if kind == RUN and prior is not None and whole.codes is not None:
        whole = replace(whole, codes=with_file(whole.codes, str(prior)))
    small = compress_set(whole, bits, device)
    card = export(small, "codes", place, force=force).card
    rmse = float((small.pixels - whole.pixels).double().square().mean().sqrt())
    return Compressed(place, card, whole.stored, small.stored, rmse)


def name_in_run(bits: int) -> str:
    """What the file is called inside the run."""
    return f"codes-{bits}bit.safetensors"


def compress_set(source: Distilled, bits: int, device: str = "auto") -> Distilled:
    """The set ``source`` in so many bits, with the images of its new codes; see ``compress``."""
    _require_bits(bits)
    codes, card = source.codes, source.card
    if codes is None:
        raise RunError(f"a set read from the format {card.format} has no latents: compress the run that made it")
    require_named(codes)
    render, data = open_renderer(codes, card, device), card.data()
    require_rendered(source, render(codes.latents, source.labels))

    def packed_latent(name: str, tensor: Tensor) -> Packed:
        def error(found: Tensor) -> float:
            pixels = data.pixels(render({**codes.latents, name: found}, source.labels))
            return float((pixels - source.pixels).double().square().mean())

        return _best_groups(tensor, bits, error) if tensor.is_floating_point() else pack_whole(tensor)

    packed = {f"latents/{name}": packed_latent(name, tensor) for name, tensor in codes.latents.items()}
    packed |= {f"learned/{name}": pack_whole(t) for name, t in codes.learned.items() if not t.is_floating_point()}
    packed |= _pack_labels(source, len(next(iter(codes.latents.values()))), bits)
    latents = {name: packed[f"latents/{name}"].unpack() for name in codes.latents}
    images = render(latents, source.labels)
    pixels = data.pixels(images)
    new = replace(
        card,
        range=(float(pixels.min()), float(pixels.max())),
        zca="none" if card.zca == "none" else "inverted",
        made={**card.made, "bits": bits},
    )
    soft = packed["soft_labels"].unpack() if "soft_labels" in packed else None
    return Distilled(images, pixels, source.labels, soft, new, replace(codes, latents=latents, packed=packed))


def _pack_labels(source: Distilled, rows: int, bits: int) -> dict[str, Packed]:
    """Labels, once for each row where all its images have the same, and soft labels where the set has them."""
    each = len(source.labels) // rows
    of_rows = source.labels[::each]
    alike = torch.equal(of_rows.repeat_interleave(each), source.labels)
    kind = torch.int16 if len(source.classes) < 2**15 else torch.int32
    packed = {"labels": pack_whole((of_rows if alike else source.labels).to(kind))}
    if source.soft_labels is not None:
        shares = max(bits, OF_LABELS)
        scale = source.soft_labels.max() / (2**shares - 1)
        affine = torch.stack([torch.zeros_like(scale), scale]).view(2, 1, 1)  # no label below 0
        packed["soft_labels"] = quantize(source.soft_labels, shares, affine=affine)
    return packed


def _require_bits(bits: int) -> None:
    if not 1 <= bits <= MOST:
        raise ValueError(f"a number is stored in 1 to {MOST} bits, not {bits}")


def _best_groups(tensor: Tensor, bits: int, error: Callable[[Tensor], float]) -> Packed:
    """``tensor`` in so many bits, its offsets and scales shared so that images are best for the bytes.

    A bit more for each number would quarter the squared error: so much must a bit of offsets and scales be worth.
    Where they would take more than the levels they are not tried.
    """
    by_position = tuple(range(1, tensor.ndim))
    groups = dict.fromkeys([(), (0,), (1,) if tensor.ndim > 1 else (), by_position])
    counts = {own: math.prod(tensor.shape[d] for d in own) for own in groups}
    found = [quantize(tensor, bits, own) for own, n in counts.items() if n == 1 or 64 * n < bits * tensor.numel()]
    return min(found, key=lambda packed: _worth(error(packed.unpack()), 8 * packed.nbytes / tensor.numel()))


def _worth(error: float, bits: float) -> float:
    return math.log2(max(error, 1e-30)) / 2 + bits
