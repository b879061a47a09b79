"""What a generator's tensors do not tell, as JSON: clamps, averaging rates, signals, output scale, margin, classes.

``{"output_scale", "margin", "bandwidth", "classes", "layers": {name: {field of LayerSpec: value}}}``, every entry
optional; files from before have ``"clamp"``, one for all layers or a list, in place of ``"layers"``. What the tensors
tell as well must agree with them.
"""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from torch import Tensor

from generators.geometry import MARGIN, LayerSpec, Signal, from_state_dict
from generators.stylegan_xl import Generator

STATED = ("clamp", "ema_beta", "critical", "pads", "signals")  # fields that no tensor shows


@dataclass(frozen=True)
class GeneratorSettings:
    """Everything but the tensors: the layers, and what the whole generator has one of."""

    specs: list[LayerSpec]
    output_scale: float = 0.25
    margin: int = MARGIN
    bandwidth: float = 2.0
    classes: int | None = None  # None: as the tensors tell


def describe_settings(generator: Generator) -> dict[str, Any]:
    """The settings of ``generator`` as JSON, with the whole geometry of every layer."""
    synthesis, source = generator.synthesis, generator.synthesis.input
    layers = {layer.spec.name: asdict(layer.spec) for layer in synthesis.layers}
    return {
        "output_scale": synthesis.output_scale,
        "margin": (source.size - source.rate) // 2,
        "bandwidth": source.bandwidth,
        "classes": generator.mapping.c_dim,
        "layers": {name: {k: v for k, v in spec.items() if k != "name"} for name, spec in layers.items()},
    }


def read_settings(state: Mapping[str, Tensor], settings: Any) -> GeneratorSettings:
    """Layers from the tensors ``state`` and JSON ``settings``.

    Raises ``ValueError`` on settings of another form, and where they and the tensors disagree, naming both values.
    """
    if not isinstance(settings, dict) or not isinstance(layers := settings.get("layers", {}), dict):
        raise ValueError(f"settings {reprlib.repr(settings)} are not of the form written by save")
    if not all(isinstance(stated, dict) for stated in layers.values()):
        raise ValueError(f"settings of layers {reprlib.repr(layers)} are not of the form written by save")
    factors = {name: [_natural(stated.get(key)) for key in ("up", "down")] for name, stated in layers.items()}
    specs = from_state_dict(state, factors)
    if unknown := sorted(layers.keys() - {spec.name for spec in specs}):
        raise ValueError(f"settings of layers {reprlib.repr(unknown)} that the tensors lack")
    clamps = settings.get("clamp", [spec.clamp for spec in specs])
    clamps = clamps if isinstance(clamps, list) else [clamps] * len(specs)
    if len(clamps) != len(specs):
        raise ValueError(f"settings tell {len(clamps)} clamps, the generator has {len(specs)} layers")
    specs = [replace(spec, clamp=_clamp(clamp)) for spec, clamp in zip(specs, clamps, strict=True)]
    specs = [_apply(spec, layers.get(spec.name, {}), first=not i) for i, spec in enumerate(specs)]
    margin, bandwidth = settings.get("margin", MARGIN), _number("bandwidth", settings.get("bandwidth", 2.0))
    if type(margin) is not int or margin < 0 or specs[0].in_size - 2 * margin <= 2 * bandwidth:
        stated = f"{reprlib.repr(margin)} and bandwidth {bandwidth:g}"
        raise ValueError(f"the input's {specs[0].in_size} pixels do not go with margin {stated}")
    classes = settings.get("classes")
    if classes is not None and (type(classes) is not int or classes < 0):
        raise ValueError(f"settings tell {reprlib.repr(classes)} classes")
    return GeneratorSettings(
        specs, _number("output_scale", settings.get("output_scale", 0.25)), margin, bandwidth, classes
    )


def _apply(spec: LayerSpec, stated: dict[str, Any], first: bool) -> LayerSpec:
    """``spec`` with what is stated of it; what the tensors show as well must be equal."""
    known = {field.name for field in fields(LayerSpec)} - {"name"}
    for key, value in stated.items():
        if key not in known:
            raise ValueError(f"layer {spec.name}: unknown setting {reprlib.repr(key)}")
        free = key in STATED or (first and key == "in_size" and _natural(value))
        ours = getattr(spec, key)
        if not free and (type(value) is not type(ours) or value != ours):
            raise ValueError(f"layer {spec.name}: {key} is stated as {reprlib.repr(value)}, its tensors have {ours}")
    values = {key: value for key, value in stated.items() if key in (*STATED, "in_size")}
    if "clamp" in values:
        values["clamp"] = _clamp(values["clamp"])
    if "ema_beta" in values:
        values["ema_beta"] = _number("ema_beta", values["ema_beta"])
    if not isinstance(values.get("critical", False), bool):
        raise ValueError(f"layer {spec.name}: critical is stated as {reprlib.repr(values['critical'])}")
    spec = replace(spec, **{**values, "pads": None, "signals": None})
    return replace(spec, pads=_pads(spec, stated.get("pads")), signals=_signals(spec, stated.get("signals")))


def _pads(spec: LayerSpec, stated: Any) -> tuple[int, int, int, int] | None:
    """The padding that is stated where it differs from the usual one; it must lead to the same size."""
    usual = spec.padding
    if stated is None or stated == list(usual):
        return None
    whole = isinstance(stated, list) and len(stated) == 4 and all(type(n) is int for n in stated)
    if not whole or {stated[0] + stated[1], stated[2] + stated[3]} != {usual[0] + usual[1]}:
        raise ValueError(
            f"layer {spec.name}: padding is stated as {reprlib.repr(stated)}, its sizes need {list(usual)}"
        )
    return stated[0], stated[1], stated[2], stated[3]


def _signals(spec: LayerSpec, stated: Any) -> tuple[Signal, Signal] | None:
    """The signals that are stated, in and out; their sizes and rates must be those of the layer."""
    if stated is None:
        return None
    try:
        source, target = (_signal(**signal) for signal in stated)
    except (TypeError, ValueError) as error:
        raise ValueError(f"layer {spec.name}: signals {reprlib.repr(stated)} are no two signals: {error}") from error
    for signal, size, channels in (
        (source, spec.in_size, spec.in_channels),
        (target, spec.out_size, spec.out_channels),
    ):
        if (signal.size, signal.channels) != (size, channels):
            have = reprlib.repr((signal.size, signal.channels))
            raise ValueError(f"layer {spec.name}: a signal of size and channels {have}, tensors of {(size, channels)}")
    if source.rate * spec.up != target.rate * spec.down:
        raise ValueError(
            f"layer {spec.name}: rates {source.rate:g} and {target.rate:g} do not meet "
            f"when they are resampled by {spec.up} and {spec.down}"
        )
    return source, target


def _signal(size: Any, rate: Any, cutoff: Any, half_width: Any, channels: Any) -> Signal:
    numbers = {"rate": rate, "cutoff": cutoff, "half_width": half_width}
    return Signal(size, channels=channels, **{key: _number(key, value) for key, value in numbers.items()})


def _natural(value: Any) -> int | None:
    """``value`` if it is a whole number above 0, else None."""
    return value if type(value) is int and value > 0 else None


def _clamp(value: Any) -> float | None:
    return None if value is None else _number("clamp", value)


def _number(key: str, value: Any) -> float:
    """A finite positive number; ``ValueError`` naming ``key`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{key} is stated as {reprlib.repr(value)}, not a number above 0")
    return float(value)
