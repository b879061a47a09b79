"""Settings, the functions of Python and the options of the command line: one list of names, one set of defaults."""

import inspect
from dataclasses import fields
from typing import Any, get_args, get_origin

import click
import pytest

import glad
from generators.training.settings import MeasureSettings, TrainingSettings
from glad.cli import main
from glad.networks import NETWORKS as REGISTERED
from glad.settings.audit import AuditSettings
from glad.settings.compare import CompareSettings, CompareSizes
from glad.settings.data import DataSettings
from glad.settings.distill import DistillSettings
from glad.settings.evaluate import NETWORKS, EvaluateSettings
from glad.settings.experts import ExpertSettings
from glad.settings.fields import documentation, settings_of
from glad.settings.tune import TuneSettings
from glad.settings.types import optional

FUNCTIONS = [
    (glad.distill, DistillSettings, {"on_step"}),
    (glad.evaluate, EvaluateSettings, {"runs", "on_cell"}),
    (glad.audit, AuditSettings, {"run", "data", "on_network"}),
    (glad.train_experts, ExpertSettings, {"on_epoch"}),
    (glad.tune, TuneSettings, {"settings", "say", "on_rung"}),
]
COMMANDS = [
    ("distill", [DistillSettings], {"ranks"}),
    ("evaluate", [EvaluateSettings], {"runs"}),
    ("audit", [AuditSettings], {"run"}),
    ("experts train", [ExpertSettings], {"dry_run"}),
    ("tune", [TuneSettings, DistillSettings], set()),
    ("weights compare", [CompareSettings, CompareSizes], {"names"}),
    ("weights train", [DataSettings, TrainingSettings], {"download", "out", "minutes", "steps", "device", "rates"}),
    ("weights measure", [DataSettings, MeasureSettings], {"name", "out", "split"}),
]
WITHOUT = {"weights train": {"zca"}, "weights measure": {"zca"}}  # a generator does not see whitened images


def command_of(words: str) -> click.Command:
    command: Any = main
    for word in words.split():
        command = command.commands[word]
    return command


@pytest.mark.parametrize(("function", "settings", "own"), FUNCTIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_function_has_the_fields_of_its_settings_with_their_defaults(function: Any, settings: Any, own: Any) -> None:
    parameters = {name: p for name, p in inspect.signature(function).parameters.items() if name not in own}
    known = {setting.name: setting for setting in settings_of(settings)}
    assert parameters.keys() == known.keys()
    for name, parameter in parameters.items():
        default, field = parameter.default, known[name]
        if default is inspect.Parameter.empty:
            assert name in ("out", "data"), name
        elif field.default == {}:
            assert default is None, name
        else:
            assert default == field.default and type(default) is type(field.default), name


@pytest.mark.parametrize(("words", "parts", "own"), COMMANDS, ids=[words for words, *_ in COMMANDS])
def test_a_command_has_the_fields_of_its_settings_with_their_defaults(words: str, parts: Any, own: set[str]) -> None:
    options = {p.name: p for p in command_of(words).params if p.expose_value and p.name not in own}
    known = {setting.name: setting for part in reversed(parts) for setting in settings_of(part)}
    assert options.keys() == known.keys() - WITHOUT.get(words, set())
    for name, option in options.items():
        assert isinstance(option, click.Option) and option.help, name
        field = known[name]
        if isinstance(field.default, int | float | str):
            assert option.default == field.default, name
        assert set(field.flags) <= set(option.opts), name
        kind = optional(get_args(field.kind)[0] if get_origin(field.kind) is tuple else field.kind)
        choices = [str(choice) for choice in get_args(kind)]
        if isinstance(option.type, click.Choice):
            assert list(option.type.choices) == choices, name


@pytest.mark.parametrize("settings", sorted({part for _, parts, _ in COMMANDS for part in parts}, key=str))
def test_every_field_says_what_it_means_in_a_sentence(settings: Any) -> None:
    for field in fields(settings):
        text = documentation(settings).get(field.name, "")
        assert text.endswith((".", "...")), f"{settings.__name__}.{field.name}: {text!r}"


@pytest.mark.parametrize(("function", "settings"), [(glad.distill, DistillSettings), (glad.evaluate, EvaluateSettings)])
def test_the_reference_says_what_the_settings_say(function: Any, settings: Any) -> None:
    text = " ".join((inspect.getdoc(function) or "").split())
    for setting in settings_of(settings):
        assert f" {setting.name}: {setting.text} " in f" {text} ", setting.name


def test_the_networks_of_an_evaluation_that_names_none_are_those_of_the_registry() -> None:
    assert list(NETWORKS) == list(REGISTERED)
