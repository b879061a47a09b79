"""``glad weights``: generators and where they come from."""

import click

from glad.cli.weights.catalog import list_them
from glad.cli.weights.compare import compare
from glad.cli.weights.convert import convert
from glad.cli.weights.hub import pull, push
from glad.cli.weights.show import show


@click.group()
def weights() -> None:
    """Pretrained generators: what there is, what it forbids, and how to bring it here."""


for command in (list_them, show, compare, pull, push, convert):
    weights.add_command(command)
