"""Whole GLaD steps of the published implementation, made of the functions of a checkout that the user has.

The published steps stand inside the loops of ``distill_dm.py``, ``distill_dc.py`` and ``distill_mtt.py`` and cannot be
called. So the functions are the checkout's, and what stands between them in those loops is written anew here, in their
order. Written from the interface of commit d221e9c of github.com/GeorgeCazenavette/glad (``glad_utils.py`` of 35be182,
``distill_mtt.py`` of 0177bbb). A checkout was not at hand: this was never run on the published code.

Of the checkout: the generator ``training.networks_stylegan3.Generator`` and ``sg_forward.StyleGAN_Wrapper`` around it;
``prepare_latents``, ``get_optimizer_img``, ``latent_to_im`` and ``gan_backward`` of ``glad_utils``; ``get_network``,
``DiffAugment``, ``ParamDiffAug``, ``match_loss`` and ``config`` of ``utils``; ``reparam_module.ReparamModule``; the
options of ``shared_args``.

Of this file: random weights in place of a downloaded generator and random images in place of CIFAR-10, of which a class
has no more than one step reads; the loops over chunks, classes and student's steps; DM's distance, the cross-entropies
of DC and MTT, and MTT's loss with its derivative in the step size. Evaluation, logging and printing are left out. On a
CPU the checkout cannot be imported as it is: ``Tensor.cuda`` returns the tensor itself here. Its operators then take
their own reference path, since they compile for CUDA tensors alone. Learning rates are tiny, so that random weights and
images do not diverge.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CLASSES, Z_DIM, W_DIM = 10, 64, 512
RATE, STEP_SIZE = 1e-6, 1e-2  # of latents and of the learned step size; of MTT's student
MEAN, STD = (0.5,) * 3, (0.25,) * 3
NEEDED = {
    "shared_args": ("shared_args.py", ("add_shared_args",)),
    "utils": ("utils.py", ("config", "get_network", "match_loss", "DiffAugment", "ParamDiffAug")),
    "glad_utils": ("glad_utils.py", ("prepare_latents", "get_optimizer_img", "latent_to_im", "gan_backward")),
    "reparam_module": ("reparam_module.py", ("ReparamModule",)),
    "sg_forward": ("stylegan_xl/sg_forward.py", ("StyleGAN_Wrapper",)),
    "training.networks_stylegan3": ("stylegan_xl/training/networks_stylegan3.py", ("Generator",)),
}
"""Modules of a checkout: their files, and what is taken from them."""


class CheckoutError(RuntimeError):
    """What a checkout lacks, in one line."""


@dataclass(frozen=True)
class StepJob:
    """A step and its sizes; ``layer`` is the published code's: -1 is W+, n is F_n."""

    method: str
    layer: int
    resolution: int
    width: int
    batch: int
    ipc: int
    steps: int
    unroll: str
    generator_layers: int
    channel_base: int
    channel_max: int


def import_checkout(checkout: Path) -> dict[str, Any]:
    """What ``NEEDED`` names, by name.

    Raises:
        CheckoutError: A file, a package or a function is missing.
    """
    if absent := [file for file, _ in NEEDED.values() if not (checkout / file).is_file()]:
        raise CheckoutError(f"no checkout of the published GLaD code: {absent[0]} is missing")
    sys.path[:0] = [str(checkout), str(checkout / "stylegan_xl")]
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    found: dict[str, Any] = {}
    for name, (file, members) in NEEDED.items():
        module = _import(name, file)
        if lacks := [member for member in members if not hasattr(module, member)]:
            raise CheckoutError(f"{file} has no {lacks[0]}, which commit d221e9c of the published code has")
        found |= {member: getattr(module, member) for member in members}
    return found


def _import(name: str, file: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise CheckoutError(
            f"{file} needs the module {error.name}, which is neither in the checkout nor installed: "
            "pip install wandb kornia ema-pytorch einops timm scipy tqdm requests has what the published code imports"
        ) from error


class PublishedSteps:
    """The data, latents and generator of a job, and its step.

    What the other side is to read goes to ``folder``: ``generator.pt``, the state dict of the generator, and
    ``start.pt`` with real images (uint8), latents, their images, and the parameters between which MTT's expert went.
    """

    def __init__(self, checkout: Path, job: StepJob, folder: Path) -> None:
        self.job, self.checkout = job, import_checkout(checkout)
        torch.manual_seed(0)
        self.args = self._options()
        generator = self._generator(checkout)
        torch.save(generator.state_dict(), folder / "generator.pt")
        self.generator = self.checkout["StyleGAN_Wrapper"](generator)
        side, rng = job.resolution, torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (CLASSES * job.batch, 3, side, side), dtype=torch.uint8, generator=rng)
        mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
        self.checkout["config"].mean, self.checkout["config"].std = mean, std
        self.real = (pixels.float() / 255 - mean) / std
        self.latents, self.features, self.labels = self.checkout["prepare_latents"](
            channel=3,
            num_classes=CLASSES,
            im_size=(side, side),
            zdim=Z_DIM,
            G=self.generator,
            class_map_inv={c: c for c in range(CLASSES)},
            get_images=self._real,
            args=self.args,
        )
        self.optimizer = self.checkout["get_optimizer_img"](
            latents=self.latents, f_latents=self.features, G=self.generator, args=self.args
        )
        self.expert = [parameter.detach().clone() for parameter in self._network().parameters()]
        self.end = [part + 1e-3 * torch.randn(part.shape, generator=rng) for part in self.expert]
        self.step_size = torch.tensor(STEP_SIZE, requires_grad=True)
        self.step_optimizer = torch.optim.SGD([self.step_size], lr=RATE, momentum=0.5)
        kept = {"w": self.latents.detach()} | ({"f": self.features.detach()} if job.layer >= 0 else {})
        about = {"pixels": pixels, "images": self._render(), "start": _flat(self.expert), "end": _flat(self.end)}
        torch.save({**kept, **about}, folder / "start.pt")

    def _options(self) -> Any:
        """The published options, with those that its scripts set themselves."""
        job = self.job
        sizes = [f"--{key}={value}" for key, value in (("ipc", job.ipc), ("width", job.width), ("layer", job.layer))]
        args = self.checkout["add_shared_args"]().parse_args(
            ["--dataset=CIFAR10", "--model=ConvNet", "--depth=3", "--space=wp", f"--batch_real={job.batch}", *sizes]
        )
        own = {"device": "cpu", "distributed": False, "dsa_param": self.checkout["ParamDiffAug"]()}
        for name, value in {**own, "lr_img": RATE, "lr_w": RATE, "dis_metric": "ours"}.items():
            setattr(args, name, value)
        return args

    def _generator(self, checkout: Path) -> torch.nn.Module:
        """A conditional generator with random weights, frozen.

        Its table of classes is random where the constructor takes ``rand_embedding``; otherwise it comes from the
        checkout's file, which is looked for in the folder of the generator's code.
        """
        job, make = self.job, self.checkout["Generator"]
        sizes = {"z_dim": Z_DIM, "c_dim": CLASSES, "w_dim": W_DIM, "img_resolution": job.resolution, "img_channels": 3}
        sizes |= {"num_layers": job.generator_layers}
        sizes |= {"channel_base": job.channel_base, "channel_max": job.channel_max}
        before = Path.cwd()
        os.chdir(checkout / "stylegan_xl")
        try:
            made = make(**sizes, mapping_kwargs={"rand_embedding": True})
        except TypeError:
            made = make(**sizes)
        finally:
            os.chdir(before)
        frozen: torch.nn.Module = made.eval().requires_grad_(False)
        return frozen

    def step(self, number: int) -> dict[str, Tensor]:
        """One step: its loss and gradients; in round 0 without augmentation, and with the network that it drew."""
        strategy = "none" if number == 0 else self.args.dsa_strategy
        run: Callable[[str], tuple[Tensor, list[Tensor]]] = getattr(self, f"_{self.job.method}")
        self.optimizer.zero_grad()
        loss, network = run(strategy)
        results = {"loss": loss.detach(), "w": self.latents.grad}
        if self.job.layer >= 0:
            results["f"] = self.features.grad
        return results if number else {**results, "network": _flat(network)}

    def _network(self, **options: Any) -> Any:
        """A fresh network; its weights come from the clock."""
        side, sizes = self.job.resolution, {"depth": self.args.depth, "width": self.args.width}
        return self.checkout["get_network"](self.args.model, 3, CLASSES, (side, side), **sizes, **options).train()

    def _real(self, c: int, n: int) -> Tensor:
        """``n`` distinct images of a class, in another order each time."""
        return self.real[c * self.job.batch + np.random.permutation(self.job.batch)[:n]]

    def _render(self) -> Tensor:
        """The images of the latents, without a graph."""
        size = self.args.sg_batch
        with torch.no_grad():
            pairs = zip(self.latents.split(size), self.features.split(size), strict=True)
            return torch.cat([self.checkout["latent_to_im"](self.generator, pair, self.args) for pair in pairs])

    def _update(self, images: Tensor) -> None:
        """Take the gradient that ``images`` have to the latents, and the optimizer's step."""
        self.checkout["gan_backward"](
            latents=self.latents, f_latents=self.features, image_syn=images, G=self.generator, args=self.args
        )
        self.optimizer.step()

    def _pairs(self, images: Tensor, strategy: str) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Each class with its real and its synthetic images, under one augmentation."""
        for c, synthetic in enumerate(images.split(self.job.ipc)):
            real, seed = self._real(c, self.job.batch), np.random.randint(100_000)
            given = {"seed": seed, "param": self.args.dsa_param}
            yield c, *(self.checkout["DiffAugment"](part, strategy, **given) for part in (real, synthetic))

    def _dm(self, strategy: str) -> tuple[Tensor, list[Tensor]]:
        network = self._network()
        for parameter in network.parameters():
            parameter.requires_grad = False
        images, loss = self._render().requires_grad_(), torch.zeros(())
        for _, real, synthetic in self._pairs(images, strategy):
            target, found = network.embed(real).detach().mean(0), network.embed(synthetic).mean(0)
            loss = loss + (target - found).square().sum()
        loss.backward()
        self._update(images)
        return loss, list(network.parameters())

    def _dc(self, strategy: str) -> tuple[Tensor, list[Tensor]]:
        network = self._network()
        weights, images, total = list(network.parameters()), self._render().requires_grad_(), torch.zeros(())
        for c, real, synthetic in self._pairs(images, strategy):
            of_real = F.cross_entropy(network(real), torch.full((len(real),), c))
            target = [part.detach().clone() for part in torch.autograd.grad(of_real, weights)]
            of_synthetic = F.cross_entropy(network(synthetic), torch.full((len(synthetic),), c))
            found = torch.autograd.grad(of_synthetic, weights, create_graph=True)
            loss = self.checkout["match_loss"](found, target, self.args)
            loss.backward()
            total += loss.detach()
        self._update(images)
        return total, weights

    def _mtt(self, strategy: str) -> tuple[Tensor, list[Tensor]]:
        """The student's steps are taken once for the sum of their gradients, then again for the images' (TESLA)."""
        student = self.checkout["ReparamModule"](self._network(dist=False)).train()
        start, end = _flat(self.expert), _flat(self.end)
        distance, rate, summed = F.mse_loss(start, end, reduction="sum"), self.step_size.item(), torch.zeros_like(start)
        images, seen, points = self._render().requires_grad_(), [], [start.clone().requires_grad_()]
        gc.collect()  # as the published step does, twice
        for _ in range(self.job.steps):
            rows = torch.randperm(len(images))
            batch = images[rows]
            augmented = self.checkout["DiffAugment"](batch, strategy, param=self.args.dsa_param)
            seen.append((rows, batch, augmented.clone()))
            point = points[-1].detach().clone().requires_grad_()
            loss = F.cross_entropy(student(augmented, flat_param=point), self.labels[rows])
            gradient = torch.autograd.grad(loss, point, create_graph=True)[0].detach()
            points.append(point - rate * gradient)
            summed = summed + gradient
        gradients = torch.zeros_like(images)
        for (rows, batch, augmented), point in zip(seen, points, strict=False):
            loss = F.cross_entropy(student(augmented, flat_param=point), self.labels[rows])
            (own,) = torch.autograd.grad(loss, point, create_graph=True)
            others = rate * (summed - own.detach()) - start + end
            part = (rate**2 * own.dot(own) + 2 * rate * own.dot(others)) / distance
            gradients[rows] += torch.autograd.grad(part, batch)[0]
        missed = start - self.step_size * summed - end
        loss = missed.dot(missed) / distance
        (self.step_size.grad,) = torch.autograd.grad(loss, self.step_size)
        self.step_optimizer.step()
        del seen, points, batch, augmented, point, own, part  # graphs of the student, before images are rendered again
        gc.collect()
        images.grad = gradients
        self._update(images)
        return loss, self.expert


def _flat(parameters: list[Tensor]) -> Tensor:
    """Parameters in one vector, float32 [P]."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
