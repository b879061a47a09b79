"""Former names of options still work, and say what they are called now."""

import click
import pytest
from click.testing import CliRunner
from errors import mentions

from glad.cli import main
from glad.cli.evaluate import evaluate
from glad.cli.old_names import OldNames


@click.command(cls=OldNames, old_names={"--licence": "--license"})
@click.option("--license", "terms")
@click.argument("words", nargs=-1)
def command(terms, words):
    click.echo(f"{terms} {' '.join(words)}")


@pytest.mark.parametrize("given", [["--licence", "mit"], ["--licence=mit"]])
def test_a_former_name_gives_the_same_and_says_the_new_one(given):
    result = CliRunner().invoke(command, [*given, "--", "--licence"])
    assert result.exit_code == 0 and result.stdout == "mit --licence\n"
    assert mentions(result.stderr, "--licence --license")


def test_the_present_name_says_nothing_and_the_help_has_no_other():
    assert CliRunner().invoke(command, ["--license", "mit"]).stderr == ""
    for name in (["push"], ["weights", "push"]):
        shown = CliRunner().invoke(main, [*name, "--help"]).output
        assert "--license" in shown and "--licence" not in shown
        assert "no such option" not in CliRunner().invoke(main, [*name, "--licence", "mit", "x", "y"]).output.lower()


def test_the_british_spelling_of_a_choice_is_taken():
    values = next(param for param in evaluate.params if param.name == "values")
    assert [values.type.convert(word, None, None) for word in ("normalised", "normalized")] == ["normalized"] * 2
    with pytest.raises(click.BadParameter, match="normalised2"):
        values.type.convert("normalised2", None, None)
