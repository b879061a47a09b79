"""The documents: every link leads somewhere, and every command of glad that they show exists with its options."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from glad.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder, pattern in ((".", "*.md"), ("docs", "**/*.md"), ("generators/assets", "*.md"), ("tests", "**/*.md"))
    for path in (ROOT / folder).glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def anchors(text):
    """The names that a document's headings can be linked by."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    for link in LINK.findall(path.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{path.name}: {link}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_page_is_whole(path):
    """A page that was cut by accident lacks its title, or ends within a sentence."""
    text = path.read_text()
    assert re.match(r"# |<h1|!\[|---\n", text), f"{path.name} begins with {text[:40]!r}"
    last = text.rstrip().splitlines()[-1]
    assert re.search(r"[.|)`>]$|^::: ", last), f"{path.name} ends with {last!r}"


def commands(text):
    """The lines of a document's shell blocks that call glad, continued lines joined, comments off."""
    for language, block in FENCE.findall(text):
        if language in ("bash", "sh", ""):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True) if line.lstrip().startswith("glad ") else []
                if words:
                    yield words[1:]


def unknown(words):
    """What of a command line of glad does not exist: a subcommand, or an option."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[0]
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    known |= {"-h", "--help", "--version"}
    return next((word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known), None)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_shown_exists(path):
    for words in commands(path.read_text()):
        assert unknown(words) is None, f"{path.name}: glad {' '.join(words)}: {unknown(words)}"


def options(command: click.Command):
    """Every option of a command and of those below it, former ones too."""
    found = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return found.union(getattr(command, "old_names", ()), *map(options, below))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_named_in_a_sentence_exists(path):
    scripts = "\n".join(script.read_text() for script in (ROOT / "scripts").glob("*.py"))
    known = options(main) | set(re.findall(r"--[a-z][a-z-]+", scripts)) | {"--help"}
    sentences = FENCE.sub("", path.read_text())
    named = re.findall(r"`(--[a-z][a-z-]+)", sentences)
    assert set(named) <= known, f"{path.name}: {set(named) - known}"


def test_what_does_not_exist_is_seen():
    assert unknown(["distil"]) == "distil"
    assert unknown(["distill", "--ipc", "1", "--ippc", "2"]) == "--ippc"
    assert unknown(["weights", "pulll", "x"]) == "pulll"
    assert unknown(["weights", "show", "fashion-mini", "--no-measure"]) is None
    assert list(commands("```bash\nglad info  # versions\nmake test\n```")) == [["info"]]


def readme_commands() -> list[str]:
    pages = "\n".join((ROOT / name).read_text() for name in ("README.md", "docs/GUIDE.md"))
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", pages, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("glad ")]


@pytest.mark.parametrize("command", readme_commands())
def test_commands_of_the_readme_are_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "NAME").mkdir(parents=True)
    (tmp_path / "runs" / "NAME" / "config.yaml").write_text("ipc: 2\n")
    result = CliRunner().invoke(main, [*shlex.split(command)[1:], "--help"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_the_two_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
