"""Generators as safetensors files: tensors, with the geometry that tensors do not tell as metadata."""

import json
from collections.abc import Mapping as Dict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from generators.geometry import MARGIN, from_state_dict
from generators.stylegan_xl import Generator, Mapping, Synthesis

EMBEDDED = {"fashion-mini": Path(__file__).parent / "assets" / "fashion-mini.safetensors"}
"""Weights that come with the package, by name."""

KEY = "stylegan_xl"  # the metadata entry that holds what the tensors do not tell, as JSON


class WeightsError(ValueError):
    """A file of weights that cannot be used, with its path and the reason."""


def build(state: Dict[str, Tensor], settings: Dict[str, Any] | None = None) -> Generator:
    """Make the generator that ``state`` (tensors by their published names) belongs to, and load it.

    ``settings`` may hold ``clamp`` (a number, None, or a list with one of them per layer) and ``output_scale``, which
    a bare state dict cannot tell. Half-precision tensors become float32. Raises ``ValueError`` naming the tensors that
    are missing, unknown or of another shape, and on settings of another form.
    """
    specs = from_state_dict(state)
    clamps, output_scale = _read_settings({} if settings is None else settings, len(specs))
    specs = [replace(spec, clamp=clamp) for spec, clamp in zip(specs, clamps, strict=True)]
    needed = ["mapping.fc0.weight", "mapping.embed.weight", "mapping.w_avg", "synthesis.input.freqs"]
    if absent := [name for name in needed if name not in state]:
        raise ValueError(f"tensors missing: {', '.join(absent)}")
    average, fc0 = state["mapping.w_avg"], state["mapping.fc0.weight"]
    conditional = "mapping.embed_proj.weight" in state
    table = state["mapping.embed.weight"]
    mapping = Mapping(
        num_ws=len(specs) + 1,
        z_dim=fc0.shape[1] // (2 if conditional else 1),
        c_dim=(average.shape[0] if average.ndim == 2 else table.shape[0]) if conditional else 0,
        w_dim=fc0.shape[0],
        layers=sum(f"mapping.fc{i}.weight" in state for i in range(len(state))),
        embedding=(table.shape[0], table.shape[1]),
        class_average=average.ndim == 2,
    )
    generator = Generator(mapping, Synthesis(specs, fc0.shape[0], output_scale))
    try:
        generator.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())) from error
    return generator


def _read_settings(settings: Dict[str, Any], layers: int) -> tuple[list[float | None], float]:
    """The clamp of each layer and the output scale; ``ValueError`` where the settings are not of their form."""
    try:
        scale, clamps = float(settings.get("output_scale", 0.25)), settings.get("clamp", 256.0)
        clamps = clamps if isinstance(clamps, list) else [clamps] * layers
        clamps = [None if clamp is None else float(clamp) for clamp in clamps]
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"settings {settings} are not of the form written by save: {error}") from error
    if len(clamps) != layers:
        raise ValueError(f"settings tell {len(clamps)} clamps, the generator has {layers} layers")
    return clamps, scale


def load(path: str | Path) -> tuple[Generator, dict[str, str]]:
    """Read a safetensors file of a generator: the network, frozen, in float32, and the file's metadata.

    Geometry comes from the tensors' names and shapes. Raises :class:`WeightsError` with the path when the file is
    missing, truncated, not safetensors, or not a StyleGAN-XL generator.
    """
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        generator = build(state, json.loads(metadata.get(KEY, "{}")))
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not usable as generator weights: {error}") from error
    return generator.requires_grad_(False).eval(), metadata


def save(path: str | Path, generator: Generator, dtype: torch.dtype = torch.float32, **metadata: str) -> None:
    """Write ``generator`` as safetensors; ``magnitude_ema``, frequencies and filters stay float32."""
    synthesis = generator.synthesis
    clamps = [layer.spec.clamp for layer in synthesis.layers]
    clamp = clamps[0] if len(set(clamps)) == 1 else clamps  # a stem trained without one has heads with one
    settings = {"clamp": clamp, "output_scale": synthesis.output_scale, "margin": MARGIN}
    exact = ("magnitude_ema", "_filter", "freqs", "phases", "transform")
    tensors = {
        name: tensor.detach().cpu().contiguous().to(torch.float32 if name.endswith(exact) else dtype)
        for name, tensor in generator.state_dict().items()
    }
    Path(path).write_bytes(to_bytes(tensors, {**metadata, KEY: json.dumps(settings)}))
