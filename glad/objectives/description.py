"""What an objective says of itself: its optional members are read here and nowhere else, each with its default."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from glad.members import KINDS, NAME, OPTIONS, RATES, RENAMED, SWITCH, read_member


class ObjectiveDescription:
    """The optional members of an objective, or of its class, with a default for each that it lacks.

    Args:
        objective: The objective, or the class or function that makes it.

    Attributes:
        name: Its name, for messages: that of the class.
        learning_rates: The default rates of pixels and of the objective's own tensors, by name (none). Those of a
            generator's codes belong to the generator's prior.
        options_for_codes: The options that are published with other defaults where a generator's codes are optimized
            (none).
        optimizers: ``"sgd"``, ``"adam"`` or ``"adamw"`` by name of a tensor of its own, or of pixels (SGD with
            momentum).
        soft_labels: Whether it takes labels float [N, K], which may be learned, besides int64 [N] (False).
        learned_step_size: The name in ``tensors()`` of the student's step size, which it learns along with the set;
            networks are trained on the set with it (None).
        added_options: Options that runs of earlier versions did not have, with the value at which they change nothing
            (none). A run records them always, so that an old run is not continued under a new default.
        old_names: Former names of options and tensors, which are still accepted, with the present ones (none).

    Raises:
        ValueError: A member has a value that it cannot have; the message names both.
    """

    def __init__(self, objective: Any) -> None:
        self.objective = objective
        made = objective if inspect.isclass(objective) or inspect.isroutine(objective) else type(objective)
        self.name = made.__name__.lower()
        who = f"objective {self.name}"
        self.learning_rates: dict[str, float] = dict(read_member(objective, "learning_rates", {}, RATES, who))
        self.options_for_codes: dict[str, Any] = dict(read_member(objective, "options_for_codes", {}, OPTIONS, who))
        self.optimizers: dict[str, str] = dict(read_member(objective, "optimizers", {}, KINDS, who))
        self.soft_labels: bool = read_member(objective, "soft_labels", False, SWITCH, who)
        self.learned_step_size: str | None = read_member(objective, "learned_step_size", None, NAME, who)
        self.added_options: dict[str, Any] = dict(read_member(objective, "added_options", {}, OPTIONS, who))
        self.old_names: dict[str, str] = dict(read_member(objective, "old_names", {}, RENAMED, who))

    @property
    def by_class(self) -> bool:
        """Read ``by_class``: whether the loss is a sum over classes, of terms that need no images of other classes.

        ``terms`` may then be asked for some classes, by being given their images alone: the ranks of a sharded run
        share the classes among them. Any other objective is computed on all images, alike on every rank (False).
        """
        found: bool = read_member(self.objective, "by_class", False, SWITCH, f"objective {self.name}")
        return found

    @property
    def states_by_class(self) -> bool:
        """Whether it has the member ``by_class``."""
        return hasattr(self.objective, "by_class")

    @property
    def prepare(self) -> Callable[[Tensor, Tensor, Any], None] | None:
        """Read ``prepare(images, labels, step)``: what needs the images of all classes and precedes ``terms``.

        DC trains its network there. It is called once per iteration, with images and labels that take no gradient.
        """
        return getattr(self.objective, "prepare", None)

    def tensor_names(self) -> list[str]:
        """The names of the tensors that it offers; none of a class, which has none yet."""
        tensors = getattr(self.objective, "tensors", dict)
        return [] if inspect.isclass(self.objective) else list(tensors())

    def require_usable_labels(self, labels: Tensor) -> None:
        """Refuse labels that the objective cannot use.

        Args:
            labels: Those of the set: int64 [N], or float [N, K] (soft), which are learned where they require grad.

        Raises:
            ValueError: It takes no soft labels, or its method ``check_labels(labels)`` refuses these.
        """
        if labels.is_floating_point() and not self.soft_labels:
            raise ValueError(
                f"{self.name} needs the number of a class for each image (int64 [N]) and takes no soft labels "
                f"{list(labels.shape)}: give hard labels, or take an objective that has soft_labels = True, such as mtt"
            )
        check = getattr(self.objective, "check_labels", None)
        if check is not None:
            check(labels)

    def require_usable_experts(self, epochs: int) -> None:
        """Refuse experts that the objective cannot follow.

        Args:
            epochs: How long they were trained; of several the fewest.

        Raises:
            ValueError: Its method ``check_experts(epochs)``, if it has one, refuses them.
        """
        check = getattr(self.objective, "check_experts", None)
        if check is not None:
            check(epochs)

    def present_names(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """``given`` with present names in place of former ones, and a warning for each."""
        for name in given:
            if name in self.old_names:
                warnings.warn(f"{name} is called {self.old_names[name]} now", stacklevel=3)
        return {self.old_names.get(name, name): value for name, value in given.items()}


def all_terms(objective: Any, images: Tensor, labels: Tensor, step: Any) -> Iterator[Tensor]:
    """The terms of an iteration for the whole set, after the objective's ``prepare`` if it has one.

    Args:
        objective: The objective.
        images: Normalized [N, C, H, W]; the terms are differentiable in them.
        labels: int64 [N], or float [N, K].
        step: The iteration.

    Yields:
        Scalars whose sum is the loss.
    """
    prepare = ObjectiveDescription(objective).prepare
    if prepare is not None:
        prepare(images.detach(), labels.detach(), step)
    yield from objective.terms(images, labels, step)
