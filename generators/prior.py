"""A StyleGAN-XL generator as a prior: latents in W+ or F_n to normalized images (Cazenavette et al., CVPR 2023)."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.draws import normal
from generators.license import read_license
from generators.provenance import Weights
from generators.stylegan_xl import Generator

AVERAGE_OVER = 1000  # samples of z behind the mean code of a class
CONV_DTYPES = {"float32": None, "bfloat16": torch.bfloat16}  # None: that of the activations
SPACES = ("w", "w+")
"""Spaces of style codes: one code for all layers, or one for each (Abdal et al., ICCV 2019)."""
LIMIT, INFINITE = 10.0, 5.0  # features are clipped to +-10; infinite ones count as +-5


class StyleGANPrior:
    """Images of a frozen generator as a function of its codes.

    Without ``layer`` the latents are ``{"w": [N, num_ws, w_dim]}`` (W+), with ``space="w"`` one style code for all
    layers, ``{"w": [N, w_dim]}`` (W, the cheapest to store); with ``layer`` they are ``w`` and
    ``{"f": [N, C, S, S]}``, the activation entering that list position, and earlier layers are not run (F_n).
    ``normalize`` maps pixels in [0, 1] of shape [N, channels, resolution, resolution] to what networks see;
    ``class_ids`` are the generator's numbers for the data's classes. ``frame`` pixels are cut off each side of the
    generator's image before it is resized. ``rand_f`` replaces the start of f by noise of the same mean and deviation;
    ``avg_w`` starts from the class's mean code; ``learn_g`` learns the weights of the layers that are run along with
    the codes: published options, on at 1 and off at 0. ``truncation`` pulls fresh codes towards the average of their
    class, by nothing at 1 and altogether at 0. ``conv`` is the type in which the generator's convolutions run,
    ``float32`` or ``bfloat16``; all else stays float32. ``weights`` is the provenance of the generator,
    ``learning_rates`` holds the rates of its codes by objective and latent.

    Raises ``ValueError`` on a space or a layer that the generator lacks, on class numbers beyond its classes, on
    another type and on published options that are neither 0 nor 1.
    """

    def __init__(
        self,
        generator: Generator,
        normalize: Callable[[Tensor], Tensor],
        resolution: int,
        channels: int,
        class_ids: Sequence[int],
        layer: int | None = None,
        space: str = "w+",
        frame: int = 0,
        rand_f: int = 0,
        avg_w: int = 0,
        learn_g: int = 0,
        truncation: float = 1.0,
        conv: str = "float32",
        weights: Weights | None = None,
        learning_rates: Mapping[str, Any] | None = None,
    ) -> None:
        known = generator.mapping.c_dim
        if layer is not None and not 0 <= layer <= len(generator.synthesis.layer_names):
            raise ValueError(f"the generator has no layer {layer}; choose one of {describe_layers(generator)}")
        if space not in SPACES:
            raise ValueError(f"style codes are in {' or '.join(SPACES)}, not {space!r}; for features too give layer=N")
        if known and max(class_ids) >= known:
            raise ValueError(f"class number {max(class_ids)} is beyond the generator's {known} classes")
        if conv not in CONV_DTYPES:
            raise ValueError(f"convolutions run in {' or '.join(CONV_DTYPES)}, not {conv!r}")
        for name, switch in {"rand_f": rand_f, "avg_w": avg_w, "learn_g": learn_g}.items():
            if switch not in (0, 1):
                raise ValueError(f"{name} of a generator must be 0 or 1, not {switch}")
        generator.synthesis.conv_dtype = CONV_DTYPES[conv]
        self.generator, self.normalize = generator, normalize
        self.resolution, self.channels, self.frame = resolution, channels, frame
        self.shared = space == SPACES[0]
        self.layer, self.rand_f, self.avg_w, self.truncation = layer, rand_f, avg_w, truncation
        if learn_g:
            self._run_layers().requires_grad_(True)
        self.class_ids = torch.tensor(list(class_ids))
        self.codes = ("w",)
        self.conditional = bool(known)
        self.layers = len(generator.synthesis.layer_names)
        self.learning_rates = dict(learning_rates or {})
        self._weights = weights

    def provenance(self) -> Weights:
        """Where the generator is from; of one that was handed in without that, its hash is all that is known."""
        return self._weights or Weights("a generator in memory", "not stated", "", read_license(""))

    @property
    def floats_per_row(self) -> int:
        """How many numbers are stored for an image."""
        mapping, synthesis = self.generator.mapping, self.generator.synthesis
        features = 0 if self.layer is None else math.prod(synthesis.feature_shape(self.layer))
        return (1 if self.shared else mapping.num_ws) * mapping.w_dim + features

    @torch.no_grad()
    def init(self, classes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Codes of fresh samples of ``classes`` (int64 [N]), one row each, drawn from ``rng`` (CPU)."""
        device = self.generator.synthesis.input.freqs.device
        labels = self.class_ids[classes.cpu()].to(device)
        latents = self.from_codes(self._average_codes(labels, rng) if self.avg_w else self._codes(labels, rng))
        if self.rand_f and self.layer is not None:
            std, mean = torch.std_mean(latents["f"], (1, 2, 3), keepdim=True)
            latents["f"] = mean + std * normal(latents["f"].shape, rng).to(device)
        return latents

    def from_codes(self, w: Tensor) -> dict[str, Tensor]:
        """The latents of style codes as ``space`` has them: themselves, with ``layer`` their features too.

        Features are clipped as GLaD's are; the result is differentiable in ``w``.
        """
        if self.layer is None:
            return {"w": w}
        f = torch.cat([self.generator.synthesis.features(row, self.layer) for row in self._spread(w).split(1)])
        f = f.float().nan_to_num(nan=0.0, posinf=INFINITE, neginf=-INFINITE).clamp(-LIMIT, LIMIT)
        return {"w": w, "f": f}

    def _codes(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        z = normal([len(labels), self.generator.mapping.z_dim], rng)
        codes = self.generator.mapping(z.to(labels.device), labels, self.truncation)
        return codes[:, 0] if self.shared else codes

    def _average_codes(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        means = {c: self._codes(labels.new_full([AVERAGE_OVER], c), rng).mean(0) for c in labels.unique().tolist()}
        return torch.stack([means[c] for c in labels.tolist()])

    def __call__(self, w: Tensor, f: Tensor | None = None) -> Tensor:
        """Normalized images [N, channels, resolution, resolution]; differentiable in ``w`` and ``f``."""
        layer = 0 if self.layer is None else self.layer
        return self.normalize((self._fit(self.generator.synthesis.synthesize(self._spread(w), f, layer)) + 1) / 2)

    def _spread(self, w: Tensor) -> Tensor:
        """A code for each layer [N, num_ws, w_dim]: in W the same."""
        return w[:, None].expand(-1, self.generator.mapping.num_ws, -1) if self.shared else w

    def _fit(self, images: Tensor) -> Tensor:
        """Bring the generator's images to the data's channels and resolution."""
        if self.frame:
            images = images[:, :, self.frame : -self.frame, self.frame : -self.frame]
        if images.shape[1] != self.channels:
            images = images.mean(1, keepdim=True).expand(-1, self.channels, -1, -1)
        if images.shape[2] != self.resolution:
            size = [self.resolution, self.resolution]
            images = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        return images

    def _run_layers(self) -> nn.ModuleList:
        """The parts of the synthesis that images depend on."""
        synthesis, start = self.generator.synthesis, self.layer or 0
        return nn.ModuleList([*([synthesis.input] if self.layer is None else []), *synthesis.layers[start:]])

    def tensors(self) -> dict[str, Tensor]:
        """The generator's weights that are learned along with the codes; none while it is frozen."""
        named = self.generator.synthesis.named_parameters()
        return {f"g/{name}": parameter for name, parameter in named if parameter.requires_grad}


def describe_layers(generator: Generator) -> str:
    """Every layer that F_n may start at, in one line: its position, the shape of f there, and what f enters."""
    synthesis = generator.synthesis
    names = [f"before {name}" for name in synthesis.layer_names] + ["the image"]
    shapes = ["x".join(map(str, synthesis.feature_shape(n))) for n in range(len(names))]
    return ", ".join(f"{n} ({shape}, {name})" for n, (shape, name) in enumerate(zip(shapes, names, strict=True)))
