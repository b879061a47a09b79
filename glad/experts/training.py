"""Training an expert: a network on the real data, whose parameters after every epoch a student is to follow.

The recipe ``mtt`` is that of Cazenavette et al. (CVPR 2022), ``glad`` the same for fewer epochs (Cazenavette et al.,
CVPR 2023), ``smooth`` that of AST (Shen et al., 2023): its first epochs count less, and its rate falls after the
middle. With a ``penalty`` the slope of the logits is held near one, so that the path bends less.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glad.data.augment import augment
from glad.data.balance import balanced_order
from glad.data.dataset import ImageData
from glad.microbatch import microbatch_size
from glad.rng import rng_for
from glad.settings.experts import Recipe, Slope


def slope_penalty(network: nn.Module, images: Tensor, labels: Tensor, of: Slope = "logits") -> Tensor:
    """How far a network's slope at images [n, C, H, W] is from what it is held at: a scalar, differentiable.

    ``of`` the ``logits``: the mean over samples and pixels of (||d sum of logits / d x|| - 1)^2, the norm over
    channels, which is AST's penalty. ``label``: the same of the logit of the true class; the sum of all is blind to
    what cross-entropy sees. ``loss``: the mean over samples of ||d cross-entropy / d x||^2 (Drucker & LeCun, 1992).
    """
    images = images.detach().requires_grad_()
    logits = network(images)
    if of == "loss":
        (slope,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), images, create_graph=True)
        return slope.square().flatten(1).sum(1).mean()
    chosen = logits if of == "logits" else logits.gather(1, labels[:, None])
    (slope,) = torch.autograd.grad(chosen.sum(), images, create_graph=True)
    # The root has no derivative at zero, where ReLUs leave many pixels of small networks.
    return ((slope.square().sum(1) + 1e-12).sqrt() - 1).square().mean()


def make_optimizer(network: nn.Module, recipe: Recipe, epoch: int) -> torch.optim.SGD:
    """The optimizer of ``epoch``."""
    rate = recipe.learning_rate * (recipe.drop if epoch >= recipe.turn else 1.0)
    return torch.optim.SGD(
        network.parameters(), rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, foreach=True
    )


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: ImageData,
    recipe: Recipe,
    strategy: str,
    epoch: int,
    key: Sequence[int | str],
) -> float:
    """One pass over ``data``, each image augmented by ``strategy`` on its own; the mean loss.

    Order and augmentation are functions of ``key`` and the epoch.
    """
    device = next(network.parameters()).device
    size = microbatch_size(network, device, recipe.batch)
    draws = rng_for(*key, epoch, "augment")
    shuffle = rng_for(*key, epoch, "order")
    order = balanced_order(data.labels, shuffle) if recipe.balanced else torch.randperm(len(data), generator=shuffle)
    losses = []
    for indices in order.split(recipe.batch):
        images, labels = data.batch(indices).to(device), data.labels[indices].to(device)
        seen = augment(images, draws, shared=False, strategy=strategy)
        optimizer.zero_grad()
        for part in zip(seen.split(size), images.split(size), labels.split(size), strict=True):
            loss = _loss(network, *part, recipe, epoch)
            (loss * (len(part[0]) / len(indices))).backward()
            losses.append(loss.detach() * len(part[0]))
        optimizer.step()
    return float(torch.stack(losses).sum()) / len(data)


def _loss(network: nn.Module, seen: Tensor, images: Tensor, labels: Tensor, recipe: Recipe, epoch: int) -> Tensor:
    """The mean loss on augmented images, with the penalty on the same ones as they are."""
    loss = recipe.weight(epoch) * F.cross_entropy(network(seen), labels)
    return loss + recipe.penalty * slope_penalty(network, images, labels, recipe.slope) if recipe.penalty else loss


def flatten(network: nn.Module) -> Tensor:
    """A copy of all parameters in one vector, float32 [P] on the CPU.

    Always a copy: ``.detach().cpu()`` of a parameter on the CPU is the parameter itself, which goes on changing.
    """
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).cpu().clone()


def unflatten(network: nn.Module, vector: Tensor) -> None:
    """Put a vector [P] back into the parameters."""
    parameters = list(network.parameters())
    with torch.no_grad():
        for parameter, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
            parameter.copy_(part.view(parameter.shape))


OnEpoch = Callable[[int, nn.Module, torch.optim.Optimizer], None]
"""Called with the number of epochs behind, the network and the optimizer."""


def train_expert(
    network: nn.Module,
    data: ImageData,
    recipe: Recipe,
    strategy: str,
    key: Sequence[int | str],
    on_epoch: OnEpoch,
    start: int = 0,
    restore: Callable[[torch.optim.Optimizer], None] | None = None,
) -> None:
    """Train ``network`` from epoch ``start`` on, and call ``on_epoch`` at the end of every epoch.

    ``restore`` puts back the optimizer of an interrupted training. ``ArithmeticError`` if the loss is not finite.
    """
    optimizer = make_optimizer(network, recipe, start)
    if restore is not None:
        restore(optimizer)
    for epoch in range(start, recipe.epochs):
        if epoch == recipe.turn and recipe.drop != 1:
            optimizer = make_optimizer(network, recipe, epoch)
        loss = train_epoch(network, optimizer, data, recipe, strategy, epoch, key)
        if loss != loss or loss == float("inf"):
            raise ArithmeticError(
                f"the expert's loss is {loss} in epoch {epoch}: give a learning rate below {recipe.learning_rate:g} "
                "(-o learning_rate=RATE)"
            )
        on_epoch(epoch + 1, network, optimizer)
