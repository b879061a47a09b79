"""A small set, pushed: what was sent, its card, and what loads again."""

import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from distilled_sets import invoke

import glad
from glad.runs.storage import read_json, write_json

ROOT = Path(__file__).parents[2]
SMALL = {"limit": 60, "objective_options": {"batch": 4}}


@contextmanager
def no_connection():
    """A connection, even to the loopback, fails the test."""

    def refuse(*_):
        pytest.fail("a connection was made")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


def push(run, *options):
    return invoke("push", run.path, "me/tiny", *options)


def card_of(run, **options):
    """The card, by a dry run."""
    return glad.push(run, "me/tiny", dry_run=True, **options).card


def front_of(card):
    return yaml.safe_load(card.split("---\n")[1])


def pushed(server, repo="me/tiny"):
    """The files of the last commit."""
    return server.commits[f"datasets/{repo}"][-1][1]


def laid(files, folder):
    """``files`` written below ``folder``."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def change(run, file, **entries):
    """Replace entries of a JSON file of the run, or of its settings."""
    path = run.path / file
    if file == "config.yaml":
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **entries}))
    else:
        write_json(path, {**read_json(path), **entries})


HOSTILE = ("--- b", "a: 'b' \"c\" #d", "[x](y) <b> | `z` *e* & f")
