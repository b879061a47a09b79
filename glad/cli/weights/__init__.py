"""``glad weights``: generators and where they come from."""

import click

from glad.cli.weights.catalog import list_them
from glad.cli.weights.compare import compare
from glad.cli.weights.convert import convert
from glad.cli.weights.hub import pull, push
from glad.cli.weights.measure import measure
from glad.cli.weights.show import show
from glad.cli.weights.train import train


@click.group()
def weights() -> None:
    """Generators: what there is, what it forbids, how to bring it here, and how to train one."""


for command in (list_them, show, compare, train, measure, pull, push, convert):
    weights.add_command(command)
