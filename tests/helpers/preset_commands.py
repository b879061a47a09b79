"""Commands by their words, for tests of presets."""

from click.testing import CliRunner

from glad.cli import main


def run(*arguments: str, code: int = 0) -> str:
    """What ``glad`` says to ``arguments``, on one line; it must end with ``code``."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return " ".join(result.output.split())
