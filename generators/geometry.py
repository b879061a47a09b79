"""Geometry of StyleGAN-XL's synthesis layers: sizes, sampling rates, filters, paddings (Sauer et al., SIGGRAPH 2022).

A network is a list of ``LayerSpec``, made for a new stem, for a super-resolution stage on top of another network,
or recovered from the tensors of a checkpoint.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from generators.filters import lowpass

MARGIN = 10  # samples beyond the image on every side
FILTER_SIZE = 6  # taps per unit of the resampling factor
STEM_EMA_BETA = 0.5 ** (32 / 20_000)  # a batch of 32 and a half-life of 20,000 images
HEAD_EMA_BETA = 0.999


@dataclass(frozen=True)
class Signal:
    """What a feature map holds: ``size`` pixels at ``rate`` samples per image, band-limited to ``cutoff``."""

    size: int
    rate: float
    cutoff: float
    half_width: float
    channels: int


@dataclass(frozen=True)
class LayerSpec:
    """One synthesis layer: ``in_size`` to ``out_size`` pixels (square), ``padding`` as ``(x0, x1, y0, y1)``."""

    name: str
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    kernel: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    radial: bool
    to_rgb: bool
    clamp: float | None = 256.0
    ema_beta: float = STEM_EMA_BETA
    critical: bool = False
    signals: tuple[Signal, Signal] | None = None  # in and out; not recoverable from a bare state dict
    pads: tuple[int, int, int, int] | None = None  # a file's own padding, where it is not the usual one

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Padding of the layer's filtered leaky ReLU, on the up-sampled grid; negative crops."""
        if self.pads is not None:
            return self.pads
        total = (self.out_size - 1) * self.down + 1 - (self.in_size + self.kernel - 1) * self.up
        total += self.up_taps + self.down_taps - 2
        low = (total + self.up) // 2
        return low, total - low, low, total - low

    def filters(self) -> tuple[Tensor | None, Tensor | None]:
        """Design the up- and down-sampling filters; needs the signals, so only for a network built here."""
        if self.signals is None:
            raise ValueError(f"layer {self.name}: its filters come with its checkpoint, they cannot be designed")
        source, target = self.signals
        rate = source.rate * self.up
        return (
            lowpass(self.up_taps, source.cutoff, 2 * source.half_width, rate),
            lowpass(self.down_taps, target.cutoff, 2 * target.half_width, rate, self.radial),
        )


def _layer(
    index: int, source: Signal, target: Signal, kernel: int, radial: bool, last: bool, critical: bool
) -> LayerSpec:
    rate = max(source.rate, target.rate) * (1 if last else 2)
    up, down = round(rate / source.rate), round(rate / target.rate)
    return LayerSpec(
        name=f"L{index}_{target.size}_{target.channels}",
        in_channels=source.channels,
        out_channels=target.channels,
        in_size=source.size,
        out_size=target.size,
        kernel=1 if last else kernel,
        up=up,
        down=down,
        up_taps=FILTER_SIZE * up if up > 1 and not last else 1,
        down_taps=FILTER_SIZE * down if down > 1 and not last else 1,
        radial=radial and not critical and not last,
        to_rgb=last,
        critical=critical,
        signals=(source, target),
    )


def _signals(
    count: int, resolution: int, cutoff: float, stopband: float, channels: tuple[float, int], img_channels: int
) -> list[Signal]:
    """The ``count + 1`` signals of a stage whose cutoff and stopband rise geometrically to the resolution's."""
    base, most = channels
    signals = []
    for i in range(count + 1):
        e = min(i / (count - 2), 1)
        fc = cutoff * (resolution / 2 / cutoff) ** e
        ft = stopband * (resolution / 2 * 2**0.3 / stopband) ** e
        rate = 2.0 ** math.ceil(math.log2(min(2 * ft, resolution)))
        width = round(min(base / 2 / fc, most)) if i < count else img_channels
        size = int(rate) + 2 * MARGIN if i < count - 1 else resolution
        signals.append(Signal(size, rate, fc, max(ft, rate / 2) - fc, width))
    return signals


def stem(
    resolution: int,
    layers: int,
    channel_base: float = 65536,
    channel_max: int = 1024,
    img_channels: int = 3,
    kernel: int = 3,
    radial: bool = False,
) -> list[LayerSpec]:
    """Layers of an ordinary generator: ``layers`` of them and toRGB, from a cutoff of 2 to ``resolution / 2``.

    ``kernel=3, radial=False`` is StyleGAN3-T, ``kernel=1, radial=True`` is R. Raises ``ValueError`` on a resolution
    that is not a power of two of at least 8, on fewer than 4 layers or on layers without a channel.
    """
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two of at least 8, not {resolution}")
    if layers < 4:
        raise ValueError(f"a stem has at least 4 layers, not {layers}")
    signals = _signals(layers, resolution, 2.0, 2**2.1, (channel_base, channel_max), img_channels)
    if min(signal.channels for signal in signals) < 1:
        raise ValueError(
            f"channel_base {channel_base:g} leaves no channel in layers of {resolution} pixels: take more than "
            f"{resolution // 2}"
        )
    return [
        _layer(i, signals[max(i - 1, 0)], signals[i], kernel, radial, i == layers, i >= layers - 2)
        for i in range(layers + 1)
    ]


def superres(
    previous: Sequence[LayerSpec],
    head_layers: int,
    up_factor: int = 2,
    channel_base: float = 65536,
    channel_max: int = 1024,
    img_channels: int = 3,
    kernel: int = 3,
    radial: bool = False,
) -> list[LayerSpec]:
    """Layers of a super-resolution stage: ``previous`` less its critically sampled ones, then ``head_layers`` + toRGB.

    Names skip one number at the first stage, as the published networks do: never compute a position from a name.
    Raises ``ValueError`` when ``previous`` came from a bare checkpoint, whose signals are unknown.
    """
    kept = [spec for spec in previous if not spec.critical]
    if any(spec.signals is None for spec in previous) or not kept:
        raise ValueError("a super-resolution stage needs a previous network built from its configuration")
    if head_layers < 4:
        raise ValueError(f"a super-resolution stage has at least 4 head layers, not {head_layers}")
    assert kept[-1].signals is not None
    base = kept[-1].signals[1]
    resolution = previous[-1].out_size * up_factor
    stopband = base.cutoff + base.half_width
    signals = _signals(head_layers, resolution, base.cutoff, stopband, (channel_base, channel_max), img_channels)
    first = replace(signals[0], rate=base.rate, channels=base.channels, size=int(base.rate) + 2 * MARGIN)
    signals[0] = replace(first, half_width=max(stopband, base.rate / 2) - base.cutoff)
    start = len(kept) + 1
    sources = [base, *signals]
    head = [
        _layer(start + j, sources[j], signals[j], kernel, radial, j == head_layers, j >= head_layers - 2)
        for j in range(head_layers + 1)
    ]
    return [*kept, *(replace(spec, ema_beta=HEAD_EMA_BETA) for spec in head)]


_NAME = re.compile(r"synthesis\.(L(\d+)_(\d+)_(\d+))\.weight")


def from_state_dict(
    state: Mapping[str, Tensor], factors: Mapping[str, Sequence[int | None]] | None = None
) -> list[LayerSpec]:
    """Recover the layers from the names and shapes of a checkpoint's tensors.

    ``factors`` tells, by layer, by how much it up- and down-samples where its filters have another number of taps per
    unit than the published ones. Raises ``ValueError`` naming what is missing or contradictory. The clamp (256), the
    EMA rates and the output scale are not recoverable: the published values are assumed.
    """
    found = sorted((int(m[2]), m[1], int(m[3])) for m in map(_NAME.fullmatch, state) if m)
    if not found:
        raise ValueError("no synthesis layers (synthesis.L<n>_<size>_<channels>.weight) among the tensors")
    specs: list[LayerSpec] = []
    for number, name, size in found:
        weight = state[f"synthesis.{name}.weight"]
        if weight.ndim != 4 or not weight.numel() or (specs and weight.shape[1] != specs[-1].out_channels):
            have = specs[-1].out_channels if specs else "none"
            raise ValueError(f"layer {name}: weight {tuple(weight.shape)} does not follow {have} channels")
        spec = _recover(
            state, name, size, specs[-1].out_size if specs else size, (factors or {}).get(name, (None, None))
        )
        specs.append(replace(spec, to_rgb=number == found[-1][0]))
    return specs


def _recover(
    state: Mapping[str, Tensor], name: str, size: int, in_size: int, factors: Sequence[int | None]
) -> LayerSpec:
    weight = state[f"synthesis.{name}.weight"]
    filters = [state.get(f"synthesis.{name}.{kind}_filter") for kind in ("up", "down")]
    if any(f is not None and (f.ndim not in (1, 2) or f.shape[0] != f.shape[-1]) for f in filters):
        shapes = [None if f is None else list(f.shape) for f in filters]
        raise ValueError(f"layer {name}: filters of shape {shapes} are neither [taps] nor [taps, taps]")
    up_taps, down_taps = (1 if f is None else f.shape[0] for f in filters)
    up, down = (_factor(name, taps, stated) for taps, stated in zip((up_taps, down_taps), factors, strict=True))
    return LayerSpec(
        name=name,
        in_channels=weight.shape[1],
        out_channels=weight.shape[0],
        in_size=in_size,
        out_size=size,
        kernel=weight.shape[2],
        up=up,
        down=down,
        up_taps=up_taps,
        down_taps=down_taps,
        radial=filters[1] is not None and filters[1].ndim == 2,
        to_rgb=False,
    )


def _factor(name: str, taps: int, stated: int | None) -> int:
    """The resampling factor that a filter of ``taps`` belongs to; ``stated`` counts where the taps show none."""
    if taps == 1 or (taps and taps % FILTER_SIZE == 0):
        return max(taps // FILTER_SIZE, 1)
    if not taps or not stated or taps % stated:
        raise ValueError(f"layer {name}: a filter of {taps} taps is not {FILTER_SIZE} per resampling factor")
    return stated
