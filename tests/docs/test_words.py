"""The words of the field, in documents, in the command line's help and in names: what was left behind stays so."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from glad.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *ROOT.glob("*/assets/*.md"),
    *ROOT.glob("glad/*/assets/*.md"),
]
DOCUMENTS += [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")]
PROSE = {
    r"\bknows? (about |some )?\d[\d.,]* %": "a test accuracy of N %",
    r"\b(is|are) known after training": "the accuracy after training",
    r"\bto know \d": "to reach a test accuracy of",
    r"\b(data|images|photographs|set|codes) teach(es)?\b|\btaught (by|on) the\b": "networks trained on them reach",
    r"\bentrants?\b|\blineups?\b|\bcontests?\b": "candidate, conditions, evaluation",
    r"\bunseen (networks?|architectures?|ones?)\b": "cross-architecture",
    r"\(same\)": "(seen)",
    r"\blessons?\b": "training setup",
    r"\b(forward|backward) sweeps?\b|\bsweeps? (forward|back)": "forward pass, backward pass",
    r"\b(pushes|pulls) (the )?(adjoints?|cotangents?|gradients?)": "computes the cotangents",
    r"\bpieces? of (an? |the )?(expert|path|trajector)": "trajectory segment",
    r"\bflatter(ed|s)\b": "too high",
    r"\bjudg(es?|ed|ing|ments?)\b": "evaluate",
    r"\bnot told\b|\btold (to be|by)\b": "stated",
    r"\b(distillation|distill) recipes?\b|\bglad recipes\b": "preset",
}
"""What must not be said, and what is said instead."""
BRITISH = (
    r"(optim|normal|initial|special|generali?|regular|parameteri?|summar|recogn|memor|minim|maxim|penal)is(e|ed|es|er|ing|ations?)\b"
    r"|colour|\bgrey|\bcentre|neighbour|behaviour|favour|catalogue|\blicence|\b(un)?labell|\blearnt\b|\bdistils?\b"
)
NAMES = (
    r"(^|_)(told|judges?|learned_lr|distil|lessons?|entrants?|lineup|contest|pickers?|subject|opened|at_a_time|coupled|pieces?|knows)(_|$)"
    r"|optimis|normalis|initialis|colour|grey|centre|neighbour|behaviour|licence|catalogue|labelled|learnt"
)
KEYS = {"judges' options"}
"""Of files that earlier versions wrote too."""
CODE = ("glad", "generators", "cuda_ops", "scripts")
DATA = re.compile(r"``[^`]*``|`[^`]*`|```.*?```|\"[^\"\n]*\\n\"", re.DOTALL)
"""Code in documents, whose keys and commands may be old."""


def helps(command: click.Command, path: str = "glad") -> Iterator[tuple[str, str]]:
    """The help of a command and of what lies below it."""
    yield path, " ".join(filter(None, [command.help, command.epilog]))
    for parameter in command.params:
        yield f"{path} {parameter.name}", getattr(parameter, "help", None) or ""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from helps(below, f"{path} {name}")


def faults(text: str) -> list[str]:
    """What is said in ``text`` and should be said otherwise."""
    found = [f"{match[0]!r}: say {instead}" for p, instead in PROSE.items() for match in re.finditer(p, text, re.I)]
    return found + [f"{match[0]!r}: US spelling" for match in re.finditer(BRITISH, DATA.sub(" ", text), re.I)]


@pytest.mark.parametrize("path", sorted(DOCUMENTS), ids=lambda path: path.name)
def test_a_document_says_it_in_the_words_of_the_field(path: Path) -> None:
    assert not faults(path.read_text())


def test_the_help_says_it_in_the_words_of_the_field() -> None:
    assert not {path: found for path, text in helps(main) if (found := faults(text))}
    assert not [path for path, text in helps(main) if "if None" in text]  # what stands before it is the default


def prose(path: Path) -> Iterator[str]:
    """The texts of a module that have more than one word: docstrings, messages, labels."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.value


def test_docstrings_and_messages_say_it_in_the_words_of_the_field() -> None:
    paths = [path for folder in CODE for path in (ROOT / folder).rglob("*.py") if path.name != "legacy.py"]
    found = {path.name: [f for text in prose(path) if text not in KEYS for f in faults(text)] for path in paths}
    assert not {name: said for name, said in found.items() if said}


def test_names_are_those_of_the_field() -> None:
    found = set()
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                name = next((getattr(node, key) for key in ("name", "id", "arg", "attr") if hasattr(node, key)), None)
                if isinstance(name, str) and re.search(NAMES, name, re.I):
                    found.add(f"{path.relative_to(ROOT)}: {name}")
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "A ConvNet trained on 5,000 of its samples knows 82.6 % of the test images.",
        "91.9 % of 149 images are known after training on the set.",
        "what the full data teach a convnet",
        "| set | ConvNet (same) | unseen |",
        "level on unseen networks",
        "the sweep back visits the steps in reverse",
        "segment, a piece of an expert's path",
        "pixels optimised directly",
    ],
)
def test_what_was_said_once_is_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "The license of `fashion-mini` is known (MIT).",
        "An unseen real image, and as many unseen real images of its class.",
        "`memorised_share` is the share of images near to a training image.",
        "The same step gives the same bits (the same seed).",
        "The sweep of learning rates on validation images.",
        "Distill the data; the set was distilled once.",
    ],
)
def test_what_is_right_is_no_fault(text: str) -> None:
    assert not faults(text)
