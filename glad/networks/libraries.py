"""Networks of torchvision and timm by name, as they are published and with random weights, to evaluate on.

They may have dropout, statistics of batches and no second derivative, so nothing is distilled with them.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

LIBRARIES = ("torchvision", "timm")
"""What stands before the colon of a name such as ``torchvision:resnet18``."""


def library_of(name: str) -> str | None:
    """Return the library that the network ``name`` is of, None where it is of none."""
    library, colon, _ = name.partition(":")
    return library if colon and library in LIBRARIES else None


def library_version(name: str) -> str | None:
    """Return the library and version of the network ``name``, such as ``timm 1.0.31``; None where it is of none."""
    library = library_of(name)
    if library is None:
        return None
    return f"{library} {_load(library).__version__.partition('+')[0]}"  # the build, such as +cpu, is no other network


def _load(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ValueError(f"{library} is not installed: pip install 'glad-distill[{library}]' ({error})") from error


def _models(library: str) -> list[str]:
    """The names of all classifiers."""
    loaded = _load(library)
    names: list[str] = loaded.list_models() if library == "timm" else loaded.models.list_models(module=loaded.models)
    return names


def library_builder(name: str) -> Callable[..., "LibraryNetwork"]:
    """Return the function that builds the network ``name``, as those in ``NETWORKS`` do.

    Its weights are there once ``initialize`` has drawn them. The option ``stem``, an odd number, puts a convolution of
    that side and stride 1 in place of the network's first one, and leaves out the max pooling that follows it; 0 leaves
    both as published. The protocol's norm does not concern it.

    Raises:
        ValueError: The library is not installed or has no such network; the message names the nearest.
    """
    library, _, model = name.partition(":")
    known = _models(library)
    if model not in known:
        near = get_close_matches(model, known, 3)
        hint = f"; did you mean {' or '.join(f'{library}:{other}' for other in near)}?" if near else ""
        raise ValueError(f"{library} has no network {model!r} among its {len(known)} classifiers{hint}")

    def build(*, channels: int, classes: int, resolution: int, norm: str, stem: int = 0) -> LibraryNetwork:
        if channels not in (1, 3):
            raise ValueError(f"{name} takes images of 1 or 3 channels, not {channels}")
        if stem and (stem < 0 or stem % 2 == 0):
            raise ValueError(f"{name}.stem is {stem}: the side of the first convolution is odd, or 0 for the published")

        def make() -> nn.Module:
            made = _published(library, model, classes, resolution)
            return _with_stem(made, stem, name) if stem else made

        return LibraryNetwork(name, make, classes, resolution)

    return build


def _published(library: str, model: str, classes: int, resolution: int) -> nn.Module:
    """The network with random weights, for RGB images."""
    loaded = _load(library)
    if library == "timm":
        config = loaded.get_pretrained_cfg(model)
        sized = {"img_size": resolution} if config is not None and config.fixed_input_size else {}
        timm: nn.Module = loaded.create_model(model, pretrained=False, num_classes=classes, **sized)
        return timm
    more: dict[str, Any] = {}
    if model in ("googlenet", "inception_v3"):
        more = {"aux_logits": False, "init_weights": True}  # one output; their weights as published
    if model.startswith("vit_"):
        more = {"image_size": resolution}
    torchvision: nn.Module = loaded.models.get_model(model, weights=None, num_classes=classes, **more)
    return torchvision


def _with_stem(model: nn.Module, side: int, name: str) -> nn.Module:
    """``model`` with its first convolution ``side`` wide and of stride 1, and without the max pooling after it."""
    convolution = None
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.MaxPool2d) and convolution is not None:
            _replace(model, path, nn.Identity())
            break
        if isinstance(module, nn.Conv2d):
            if convolution is not None:
                break
            bias = module.bias is not None
            convolution = nn.Conv2d(module.in_channels, module.out_channels, side, padding=side // 2, bias=bias)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")  # as ResNet's
            _replace(model, path, convolution)
    if convolution is None:
        raise ValueError(f"{name} has no convolution for the option stem to replace")
    return model


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside the block torch's global random streams start at ``seed``; after it they go on as if nothing had been."""
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for index in devices:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


class LibraryNetwork(nn.Module):
    """A network of a library: its weights, and what it draws while it is trained, are functions of one stream.

    Gray images become RGB ones of equal channels. ``smallest_map`` is the side of the smallest feature map that a
    convolution of more than one pixel makes, None where there is no such convolution.

    Args:
        name: The network's, for messages.
        make: Builds it on the CPU with weights of torch's global random stream.
        classes: Number of logits.
        resolution: Side of the images in pixels.
    """

    def __init__(self, name: str, make: Callable[[], nn.Module], classes: int, resolution: int) -> None:
        super().__init__()
        self.name, self.classes, self.resolution = name, classes, resolution
        self.smallest_map: int | None = None
        self._make = make

    def initialize(self, rng: torch.Generator) -> None:
        """Build the network with weights drawn from ``rng``; ``ValueError`` where images of that size do not fit."""
        self._draws = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=rng)))
        with self._seeded(torch.device("cpu")), torch.device("cpu"):
            self.model = self._make().float()
        self._try()

    def _seeded(self, device: torch.device) -> Any:
        return seeded(int(torch.randint(2**62, (), generator=self._draws)), device)

    @torch.no_grad()
    def _try(self) -> None:
        """See one image through, and note how small its feature maps get."""
        sides: list[int] = []

        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            sides.append(min(output.shape[-2:]))

        wide = [m for m in self.model.modules() if isinstance(m, nn.Conv2d) and max(m.kernel_size) > 1]
        hooks = [module.register_forward_hook(note) for module in wide]
        self.eval()
        try:
            logits = self(torch.zeros(1, 3, self.resolution, self.resolution))
        except (RuntimeError, AssertionError, ValueError) as error:
            why = str(error).strip().splitlines()[0]
            raise ValueError(f"{self.name} does not take images of {self.resolution} pixels: {why}") from error
        finally:
            self.train()
            for hook in hooks:
                hook.remove()
        if logits.shape != (1, self.classes):
            raise ValueError(f"{self.name} is no classifier: of an image it makes {tuple(logits.shape)}")
        self.smallest_map = min(sides, default=None)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [N, classes], of images [N, 1 or 3, H, W]."""
        x = x.expand(-1, 3, -1, -1)
        if not self.training:
            return self.model(x)
        try:
            with self._seeded(x.device):  # of dropout and the like
                return self.model(x)
        except ValueError as error:
            raise ValueError(f"{self.name} on a batch of {len(x)}: {error}; change the protocol's batch") from error
