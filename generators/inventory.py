"""What each latent space of a generator takes: W+, and F_n at every layer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from generators.prior import StyleGANPrior
from generators.stylegan_xl import Generator

FLOAT = 4  # bytes


@dataclass(frozen=True)
class LatentSpace:
    """A latent space: W+ (``layer`` None), or F_n, whose features enter the layer called ``enters``."""

    layer: int | None
    enters: str
    shape: tuple[int, int, int] | None
    """Of the features, [C, S, S]; None in W+."""
    latent_bytes: int
    """Of the latents of one image, float32; in F_n the style codes that are still read count too."""
    parameters: int
    """Of the layers that are run."""

    @property
    def name(self) -> str:
        """``W+`` or ``F_n``."""
        return "W+" if self.layer is None else f"F_{self.layer}"


def spaces(generator: Generator) -> list[LatentSpace]:
    """All of a generator's spaces, from W+ to the image."""
    synthesis = generator.synthesis
    names = [*synthesis.layer_names, "the image"]
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in synthesis.layers]
    start = sum(p.numel() for p in synthesis.input.parameters())
    codes = synthesis.num_ws * synthesis.w_dim * FLOAT
    found = [LatentSpace(None, names[0], None, codes, start + sum(sizes))]
    for layer, name in enumerate(names):
        shape = synthesis.feature_shape(layer)
        found.append(
            LatentSpace(layer, name, shape, codes + shape[0] * shape[1] * shape[2] * FLOAT, sum(sizes[layer:]))
        )
    return found


@dataclass(frozen=True)
class RenderingCost:
    """What one image and the gradient of its latents cost: seconds, and bytes that the graph holds between them."""

    seconds: float
    graph_bytes: int


def costs(generator: Generator, measured: list[LatentSpace], device: torch.device) -> Iterator[RenderingCost]:
    """Render one image in each of the spaces, with the gradient of its latents, after one to warm up."""
    classes, rng = torch.zeros(1, dtype=torch.int64), torch.Generator().manual_seed(0)
    for number, space in enumerate(measured):
        prior = StyleGANPrior(generator, lambda x: x, generator.resolution, generator.channels, [0], layer=space.layer)
        latents = {name: tensor.requires_grad_() for name, tensor in prior.init(classes, rng).items()}
        if not number:
            _once(prior, latents, device)
        yield _once(prior, latents, device)


def _once(prior: StyleGANPrior, latents: dict[str, Tensor], device: torch.device) -> RenderingCost:
    held: dict[int, int] = {}
    own = {
        tensor.untyped_storage().data_ptr() for tensor in [*prior.generator.parameters(), *prior.generator.buffers()]
    }

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    _wait(device)
    began = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        image = prior(**latents)
    total = sum(held.values())
    torch.autograd.grad(image.sum(), list(latents.values()), allow_unused=True)
    _wait(device)
    return RenderingCost(time.perf_counter() - began, total)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
