"""The few knobs of a distillation that decide, and where to look for their values.

Which there are depends on what the objective and the prior have: the layer of a generator (GLaD, Cazenavette et al.,
CVPR 2023, finds that it decides more than the objective), the learning rate of each latent, and for objectives that
follow experts (MTT, AST) the student's steps and the window of the experts' paths.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from glad.data.dataset import ImageData
from glad.data.splits import open_data
from glad.device import pick_device
from glad.experts import Experts
from glad.experts.folder import open_experts
from glad.networks.factory import require_fitting
from glad.objectives import OBJECTIVES
from glad.objectives.resolve import resolve_learning_rates
from glad.priors.resolve import ResolvedPrior, resolve_prior
from glad.registry import options_of, read_option
from glad.rng import rng_for
from glad.settings.distill import DistillSettings
from glad.settings.fields import read

RATE = "lr."  # what the knob of a latent's learning rate begins with
SPAN = 30.0  # a rate is searched from a thirtieth of the default to thirty times it
INNER_LAYERS = 5  # of a generator, evenly spaced; the first and the last are the worst in GLaD's ablation
STEPS_SPAN = 4  # the student's steps: a quarter to four times the default
WINDOW = ("syn_steps", "expert_epochs", "max_start_epoch")
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Knob:
    """A name, its default and where to look: one of ``choices``, or from ``low`` to ``high``.

    ``spaces`` says where it exists: without a layer (False), with one (True), or both.
    """

    name: str
    default: Any
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    log: bool = False
    spaces: tuple[bool, ...] = (False, True)

    def suggest(self, trial: Any) -> Any:
        """The value that Optuna's ``trial`` takes."""
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def in_words(self) -> str:
        """What is searched, in one line."""
        if self.choices:
            return f"{self.name} ({', '.join(layer_name(choice) for choice in self.choices)})"
        times = "default x " if self.name.startswith(RATE) else ""
        return f"{self.name} ({times}{self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class SearchSpace:
    """The knobs of a run's ``settings``.

    ``rates`` are the learning rates without a layer (False) and with one (True), which the knobs of rates multiply.
    """

    settings: DistillSettings
    knobs: tuple[Knob, ...]
    rates: Mapping[bool, Mapping[str, float]]
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Of data and weights: what a search must have in common with its continuation."""

    def default(self) -> dict[str, Any]:
        """The values that leave the settings as they are."""
        return self._collect(lambda knob: knob.default)

    def suggest(self, trial: Any) -> dict[str, Any]:
        """The values that Optuna's ``trial`` takes: a rate is asked for only where its latent exists."""
        return self._collect(lambda knob: knob.suggest(trial))

    def _collect(self, value_of: Callable[[Knob], Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for knob in self.knobs:  # the layer is first
            if self._has_layer(values) in knob.spaces:
                values[knob.name] = value_of(knob)
        return values

    def _has_layer(self, values: Values) -> bool:
        own = layer_of(self.settings)
        return values.get("layer", own) is not None

    def apply(self, values: Values) -> DistillSettings:
        """The settings with ``values``; those of ``default`` change nothing."""
        settings = self.settings
        if dict(values) == self.default():
            return settings
        if "layer" in values:
            settings = replace(settings, prior_options={**settings.prior_options, "layer": values["layer"]})
        window = {name: values[name] for name in WINDOW if name in values}
        settings = replace(settings, objective_options={**settings.objective_options, **window})
        rates = self.rates_of(values)
        if rates:
            own = settings.learning_rate if isinstance(settings.learning_rate, Mapping) else {}
            settings = replace(settings, learning_rate={**own, **rates})
        return settings

    def rates_of(self, values: Values) -> dict[str, float]:
        """The learning rate of every latent under ``values``, to three digits."""
        rates = self.rates[self._has_layer(values)]
        return {name: float(f"{rate * values.get(RATE + name, 1.0):.3g}") for name, rate in rates.items()}


def layer_of(settings: DistillSettings) -> int | None:
    """The generator's layer that ``settings`` name, None for W+ and where there are none."""
    layer: int | None = read_option("layer", settings.prior_options.get("layer"), int | None)
    return layer


def layer_name(layer: int | None) -> str:
    """W+ or F_n."""
    return "W+" if layer is None else f"F_{layer}"


def complete(settings: Mapping[str, Any] | DistillSettings) -> DistillSettings:
    """The settings of the distillation, without its folder; ``ValueError`` on what a file cannot hold or name."""
    if isinstance(settings, DistillSettings):
        return replace(settings, out=None)
    for name in ("data", "objective", "prior"):
        if not isinstance(settings.get(name, ""), str):
            raise ValueError(f"tuning writes settings to use again: {name} must be a name, not {settings[name]!r}")
    return replace(read(DistillSettings, settings, "glad.tune"), out=None)


def find_space(
    settings: DistillSettings,
    wanted: Sequence[str] | None = None,
    evaluated: Mapping[str, Mapping[str, int]] | None = None,
) -> SearchSpace:
    """The knobs that the run of ``settings`` has, or those of them called ``wanted``.

    Opens data, prior and experts, and raises what ``glad.distill`` does when they cannot be used; ``ValueError`` when
    there is nothing to search, or when the run's network or one that trials are ``evaluated`` with, options by name,
    cannot be built for the data.
    """
    factory = OBJECTIVES.find(settings.objective)
    train = open_data(settings).train
    for name, options in ((settings.network, settings.network_options), *(evaluated or {}).items()):
        require_fitting(train, name, options)
    resolved = _open(settings, train, layer_of(settings))
    layers = _layers(resolved.description.layers, layer_of(settings))
    rates = {layer_of(settings) is not None: _rates(resolved, factory, settings)}
    if layers:
        other = next(layer for layer in layers if (layer is None) == (layer_of(settings) is not None))
        rates[other is not None] = _rates(_open(settings, train, other), factory, settings)
    knobs = [Knob("layer", layer_of(settings), layers)] if layers else []
    for name in dict.fromkeys(name for found in rates.values() for name in found):
        where = tuple(layered for layered, found in rates.items() if found.get(name))
        if where:  # a rate of 0 holds its latent still, and so does any multiple of it
            knobs.append(Knob(RATE + name, 1.0, (), 1 / SPAN, SPAN, log=True, spaces=where))
    knobs += _window(factory, settings, open_experts(train, settings))
    if wanted is not None:
        names = [knob.name for knob in knobs]
        if unknown := [name for name in wanted if name not in names]:
            raise ValueError(f"this run has no knob {unknown[0]!r}; it has {', '.join(names) or 'none'}")
        knobs = [knob for knob in knobs if knob.name in wanted]
    if not any(knob.name == "layer" for knob in knobs):  # then it stays the settings' own
        knobs = [knob for knob in knobs if (layer_of(settings) is not None) in knob.spaces]
    if not knobs:
        raise ValueError("there is nothing to tune: neither a layer, nor a learning rate, nor a window of experts")
    return SearchSpace(settings, tuple(knobs), rates, {"data": train.digest[:12], "weights": resolved.digest[:12]})


def _open(settings: DistillSettings, train: ImageData, layer: int | None) -> ResolvedPrior:
    """The prior at ``layer``."""
    options = dict(settings.prior_options)
    if layer is not None or "layer" in options:
        options["layer"] = layer
    return resolve_prior(settings.prior, train, options, pick_device(settings.device), settings.class_map)


def _layers(count: int, own: int | None) -> tuple[int | None, ...]:
    """W+ and some inner ones of ``count`` layers of the prior, with its ``own``; nothing where it has none."""
    if not count:
        return ()
    inner = {round(count * i / (INNER_LAYERS + 1)) for i in range(1, INNER_LAYERS + 1)}
    if own is not None:
        inner.add(own)
    return (None, *sorted(inner))


def _rates(resolved: ResolvedPrior, factory: Any, settings: DistillSettings) -> dict[str, float]:
    """The learning rate of each latent that has one."""
    latents = list(resolved.prior.init(torch.zeros(1, dtype=torch.int64), rng_for(0, "tune")))
    rates = resolve_learning_rates(latents, settings.objective, factory, resolved.description, settings.learning_rate)
    return {name: rates[name] for name in latents if name in rates}


def _window(factory: Any, settings: DistillSettings, experts: Experts | None) -> list[Knob]:
    """The student's steps and the window of the experts' paths, within what their files hold.

    Any combination can run: a segment ends within every trajectory, and a student takes a step per epoch at least.
    """
    options = options_of(factory)
    if experts is None or not all(name in options for name in WINDOW):
        return []
    given = settings.objective_options
    steps, epochs, start = (read_option(name, given.get(name, options[name].default), int) for name in WINDOW)
    experts.segment(rng_for(0, "tune"), start, epochs)  # says what does not fit
    held = min(expert.epochs for expert in experts.experts)
    fewest = max(1, steps // STEPS_SPAN)
    longest = min(max(epochs, min(2 * epochs, fewest)), held + 1 - start)
    fewest = min(steps, max(fewest, longest))
    ranges = {"syn_steps": (fewest, steps, steps * STEPS_SPAN), "expert_epochs": (1, epochs, longest)}
    ranges["max_start_epoch"] = (1, start, held + 1 - longest)
    return [
        Knob(name, default, (), low, high, whole=True, log=name == "syn_steps")
        for name, (low, default, high) in ranges.items()
        if low < high
    ]
