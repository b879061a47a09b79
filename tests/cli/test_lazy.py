"""Commands by name before they are imported, and what is read from sources in place of importing them."""

import inspect

import pytest
from click.testing import CliRunner
from errors import mentions

from glad.cli import main
from glad.cli.lazy import LazyGroup
from glad.cli.source import FILLED, FORMATS, OBJECTIVES, read_class
from glad.formats import FORMATS as FORMS
from glad.objectives import OBJECTIVES as CLASSES
from glad.registry import options_of

GROUPS = {"glad": main, "glad weights": main.commands["weights"]}
ENTRIES = [(group, name) for group, found in GROUPS.items() for name in found.commands]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_the_summary_of_a_command_is_the_first_sentence_of_its_help(group: str, name: str) -> None:
    found = GROUPS[group]
    assert isinstance(found, LazyGroup)
    command = found.commands[name]
    assert command.name in (name, "convert")
    first = inspect.cleandoc(command.help or "").partition("\n")[0]
    assert found.entries[name].summary == first and first.endswith(".") and len(first) < 80


def test_the_tables_that_help_reads_are_those_of_the_registries() -> None:
    assert {name: f"{made.__module__}:{made.__qualname__}" for name, made in CLASSES.items()} == OBJECTIVES
    assert {name: form.help for name, form in FORMS.items()} == FORMATS
    for name, place in OBJECTIVES.items():
        found, made = read_class(place, FILLED), CLASSES[name]
        assert found.summary == (inspect.getdoc(made) or "").partition("\n")[0]
        assert dict(found.options) == {key: p.default for key, p in options_of(made).items()}
        for table in ("learning_rates", "options_for_codes"):
            assert found.tables.get(table) == (dict(getattr(made, table)) if hasattr(made, table) else None), name


def test_a_former_name_works_and_says_the_present_one() -> None:
    result = CliRunner().invoke(main, ["recipes", "show", "dm-cifar10-pixels"])
    assert result.exit_code == 0 and mentions(result.stderr, "recipes presets")
    assert "recipes" not in CliRunner().invoke(main, ["--help"]).output
    result = CliRunner().invoke(main, ["distill", "--recipe", "nothing-like-it"])
    assert mentions(result.stderr, "--recipe --preset") and mentions(result.stderr, "unknown preset")
    result = CliRunner().invoke(main, ["distill", "--start", "nothing-like-it"])
    assert mentions(result.stderr, "--start --initialization")


def test_a_misspelt_command_is_answered_with_what_was_meant() -> None:
    assert mentions(CliRunner().invoke(main, ["distil"]).output, "'distil' 'distill'")
    assert mentions(CliRunner().invoke(main, ["weights", "pulll"]).output, "'pulll' 'pull'")
