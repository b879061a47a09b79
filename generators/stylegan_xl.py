"""StyleGAN-XL's generator: mapping network and alias-free synthesis (Karras et al. 2021; Sauer et al. 2022).

Written from the mathematics.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cuda_ops import filtered_lrelu
from generators.draws import normal
from generators.geometry import MARGIN, LayerSpec
from generators.mapping import FullyConnected, Mapping
from generators.modulated_conv import modulated_conv


class FourierInput(nn.Module):
    """Style code [N, w_dim] to a rotated and shifted field of sines [N, C, size, size]."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, channels: int, w_dim: int, size: int, bandwidth: float = 2.0) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = size, size - 2 * MARGIN, bandwidth
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.affine = FullyConnected((w_dim, 4))
        self.register_buffer("freqs", torch.empty(channels, 2))
        self.register_buffer("phases", torch.empty(channels))
        identity = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]  # torch.eye on the meta device takes seconds
        self.register_buffer("transform", torch.tensor(identity))

    def initialize(self, rng: torch.Generator) -> None:
        """Draw frequencies inside the bandwidth; the learned transform starts at the identity."""
        self.weight.data.copy_(normal(self.weight.shape, rng))
        g = normal(self.freqs.shape, rng)
        r = g.norm(dim=1, keepdim=True)
        self.freqs.copy_(self.bandwidth * g / (r * (r.square() / 4).exp()))
        self.phases.copy_(torch.rand(self.phases.shape, generator=rng) - 0.5)
        self.affine.weight.data.zero_()
        self.affine.bias.data.copy_(torch.tensor([1.0, 0, 0, 0]))

    def _motion(self, w: Tensor) -> Tensor:
        """The learned rotation and translation times the user's transform: [N, 3, 3]."""
        t = self.affine(w)
        c, s, tx, ty = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        zero, one = torch.zeros_like(c), torch.ones_like(c)
        rotation = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).reshape(-1, 3, 3)
        shift = torch.stack([one, zero, -tx, zero, one, -ty, zero, zero, one], 1).reshape(-1, 3, 3)
        return rotation @ shift @ self.transform

    def forward(self, w: Tensor) -> Tensor:
        """Sample the sines at the pixel centers; those beyond the bandwidth fade out."""
        m = self._motion(w)
        phases = self.phases + (self.freqs @ m[:, :2, 2:]).squeeze(2)  # [N, C]
        freqs = self.freqs @ m[:, :2, :2]  # [N, C, 2]
        fade = (1 - (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)).clamp(0, 1)
        p = (torch.arange(self.size, device=w.device, dtype=w.dtype) + 0.5 - self.size / 2) / self.rate
        angle = freqs[:, :, 0, None, None] * p + freqs[:, :, 1, None, None] * p[:, None] + phases[:, :, None, None]
        waves = fade[:, :, None, None] * torch.sin(2 * math.pi * angle)  # [N, C, y, x]
        return torch.einsum("nchw,dc->ndhw", waves, self.weight / math.sqrt(self.weight.shape[0]))


class SynthesisLayer(nn.Module):
    """Modulated convolution and alias-free nonlinearity: [N, in, S_in, S_in] to [N, out, S_out, S_out]."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, spec: LayerSpec, w_dim: int) -> None:
        super().__init__()
        self.spec = spec
        self.affine = FullyConnected((w_dim, spec.in_channels), bias=1.0)
        self.weight = nn.Parameter(torch.empty(spec.out_channels, spec.in_channels, spec.kernel, spec.kernel))
        self.bias = nn.Parameter(torch.zeros(spec.out_channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        down_shape = [spec.down_taps] * (2 if spec.radial else 1)
        up, down = spec.filters() if spec.signals else (torch.zeros(spec.up_taps), torch.zeros(down_shape))
        self.register_buffer("up_filter", None if spec.up_taps == 1 else up)
        self.register_buffer("down_filter", None if spec.down_taps == 1 else down)

    def initialize(self, rng: torch.Generator) -> None:
        """Draw the convolution from N(0, 1)."""
        self.weight.data.copy_(normal(self.weight.shape, rng))

    def forward(self, x: Tensor, w: Tensor, update_emas: bool = False, conv_dtype: torch.dtype | None = None) -> Tensor:
        """``x`` [N, in, S_in, S_in] modulated by ``w`` [N, w_dim]; ``conv_dtype`` as in ``Synthesis``."""
        spec = self.spec
        if update_emas:
            self.magnitude_ema.lerp_(x.detach().float().square().mean(), 1 - spec.ema_beta)
        style = self.affine(w)
        if spec.to_rgb:
            style = style / math.sqrt(spec.in_channels * spec.kernel**2)
        gain, padding = self.magnitude_ema.rsqrt(), spec.kernel - 1
        x = modulated_conv(x, self.weight, style, not spec.to_rgb, gain, padding, conv_dtype)
        slope = 1.0 if spec.to_rgb else 0.2
        return filtered_lrelu(
            x,
            self.up_filter,
            self.down_filter,
            self.bias,
            up=spec.up,
            down=spec.down,
            padding=spec.padding,
            clamp=spec.clamp,
            gain=1.0 if spec.to_rgb else math.sqrt(2),
            slope=slope,
        )


class Synthesis(nn.Module):
    """Style codes [N, num_ws, w_dim] to images [N, channels, R, R], nominally in [-1, 1].

    ``conv_dtype`` is the type in which the convolutions run, by default that of the activations between them.
    """

    conv_dtype: torch.dtype | None = None

    def __init__(self, specs: Sequence[LayerSpec], w_dim: int = 512, output_scale: float = 0.25) -> None:
        super().__init__()
        self.w_dim, self.output_scale = w_dim, output_scale
        self.layer_names = [spec.name for spec in specs]
        self.num_ws = len(specs) + 1
        self.input = FourierInput(specs[0].in_channels, w_dim, specs[0].in_size)
        for spec in specs:
            self.add_module(spec.name, SynthesisLayer(spec, w_dim))

    @property
    def layers(self) -> list[SynthesisLayer]:
        """The layers in order; position ``i`` reads ``ws[:, i + 1]``."""
        return [getattr(self, name) for name in self.layer_names]

    def features(self, ws: Tensor, layer: int, update_emas: bool = False) -> Tensor:
        """The activation entering list position ``layer``: GLaD's ``f``; 0 is the Fourier input."""
        self._check(ws, layer)
        return self._run(self.input(ws[:, 0]), ws, 0, layer, update_emas)

    def synthesize(self, ws: Tensor, f: Tensor | None = None, layer: int = 0, update_emas: bool = False) -> Tensor:
        """Images from ``ws``; with ``f`` the layers before list position ``layer`` are replaced by it.

        Raises ``ValueError`` on a layer that the network lacks, or on codes or features of another shape.
        """
        self._check(ws, layer)
        if f is None and layer:
            raise ValueError(f"layer {layer} needs the features f that enter it")
        shape = self.feature_shape(layer)
        if f is not None and f.shape != (ws.shape[0], *shape):
            raise ValueError(f"f must be {[ws.shape[0], *shape]} at layer {layer}, not {list(f.shape)}")
        x = self.input(ws[:, 0]) if f is None else f
        return (self._run(x, ws, layer, len(self.layer_names), update_emas) * self.output_scale).to(ws.dtype)

    def feature_shape(self, layer: int) -> tuple[int, int, int]:
        """Shape [C, S, S] of the activation entering list position ``layer``; after the last it is the image."""
        last = self.layers[-1].spec
        specs = [(entered.spec.in_channels, entered.spec.in_size) for entered in self.layers]
        channels, size = [*specs, (last.out_channels, last.out_size)][layer]
        return channels, size, size

    def _run(self, x: Tensor, ws: Tensor, start: int, stop: int, update_emas: bool) -> Tensor:
        for position, layer in enumerate(self.layers[start:stop], start):
            x = layer(x, ws[:, position + 1], update_emas, self.conv_dtype)
        return x

    def _check(self, ws: Tensor, layer: int) -> None:
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"ws must be [N, {self.num_ws}, {self.w_dim}], not {list(ws.shape)}")
        if not 0 <= layer <= len(self.layer_names):
            names = ", ".join(f"{i} before {name}" for i, name in enumerate(self.layer_names))
            end = len(self.layer_names)
            raise ValueError(f"the generator has no layer {layer}; its layers are {names}, {end} the end")


class Generator(nn.Module):
    """Mapping and synthesis together: ``z`` [N, z_dim] and labels [N] to images [N, C, R, R] in [-1, 1]."""

    def __init__(self, mapping: Mapping, synthesis: Synthesis) -> None:
        super().__init__()
        if mapping.num_ws != synthesis.num_ws or mapping.w_dim != synthesis.w_dim:
            have, want = (mapping.num_ws, mapping.w_dim), (synthesis.num_ws, synthesis.w_dim)
            raise ValueError(f"mapping gives codes {have}, synthesis takes {want} (num_ws, w_dim)")
        self.mapping, self.synthesis = mapping, synthesis

    @property
    def resolution(self) -> int:
        """Height and width of an image."""
        return self.synthesis.layers[-1].spec.out_size

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.synthesis.layers[-1].spec.out_channels

    def initialize(self, rng: torch.Generator) -> "Generator":
        """Draw every weight anew from ``rng`` and return self."""
        for module in self.modules():
            if isinstance(module, FullyConnected | Mapping | SynthesisLayer):
                module.initialize(rng)
        self.synthesis.input.initialize(rng)  # after its affine layer, which it sets to the identity
        return self

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        psi: float = 1.0,
        cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """Images for ``z`` and int64 ``labels``, with truncation ``psi``."""
        ws = self.mapping(z, labels, psi, cutoff, update_emas)
        return self.synthesis.synthesize(ws, update_emas=update_emas)
