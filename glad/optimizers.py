"""What changes the tensors of a distillation: SGD with momentum, or Adam where a prior or an objective asks for it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

OPTIMIZERS = ("sgd", "adam", "adamw")
"""What may change a tensor: SGD with momentum, Adam, or Adam with decoupled weight decay of torch's own size."""


def make_optimizer(
    tensors: Mapping[str, Tensor | list[Tensor]],
    rates: Mapping[str, float],
    momentum: float,
    kinds: Mapping[str, str] | None = None,
) -> torch.optim.Optimizer:
    """Make an optimizer with one group per name.

    Args:
        tensors: The learned tensors by name; under one name may be several, such as those of each class.
        rates: Learning rates, by the name of a tensor or by the part of it before a slash.
        momentum: That of SGD.
        kinds: One of ``OPTIMIZERS`` by the same names; SGD for those not named.

    Raises:
        ValueError: Tensors without a learning rate, which the message names.
    """
    chosen = {name: _value_for(rates, name) for name in tensors}
    if absent := [name for name, rate in chosen.items() if rate is None]:
        first, have = absent[0].split("/")[0], ", ".join(rates) or "nothing"
        raise ValueError(
            f"no learning rate for {', '.join(absent)}: give one with --lr {first}=RATE (in Python "
            f"learning_rate={{{first!r}: RATE}}), or state it in learning_rates of the prior or "
            f"objective; there are rates for {have}"
        )
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": partial(torch.optim.SGD, momentum=momentum),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    groups = [
        {"params": t if isinstance(t, list) else [t], "lr": chosen[name], "name": name} for name, t in tensors.items()
    ]
    wanted = [_value_for(kinds or {}, name) or "sgd" for name in tensors]
    if len({*wanted}) == 1:
        return makers[wanted[0]](groups, lr=0.0)
    return Combined([makers[kind]([group], lr=0.0) for kind, group in zip(wanted, groups, strict=True)])


def _value_for(values: Mapping[str, Any], name: str) -> Any:
    """The value for a tensor's name, or for the part of it before a slash; None where there is none."""
    return values.get(name, values.get(name.split("/")[0]))


class Combined(torch.optim.Optimizer):
    """Optimizers with one group each, which step together and have one state.

    Args:
        parts: The optimizers.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self._parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Give each part its group and the common state."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step of every part; there is no ``closure``, since each part would call it anew."""
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what ``state_dict()`` gave."""
        super().load_state_dict(state_dict)
        self._share()
