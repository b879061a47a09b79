"""``glad weights``: generators and where they come from."""

import click

from glad.cli.lazy import Entry, LazyGroup

ENTRIES = {
    "compare": Entry("glad.cli.weights.compare:compare", "Measure which generator suits the data."),
    "import": Entry("glad.cli.weights.convert:convert", "Convert a file to safetensors without running code of it."),
    "list": Entry("glad.cli.weights.catalog:list_them", "List the generators that glad knows."),
    "measure": Entry("glad.cli.weights.measure:measure", "Measure a generator beside the images it was trained on."),
    "pull": Entry("glad.cli.weights.hub:pull", "Download weights, and check them."),
    "push": Entry("glad.cli.weights.hub:push", "Publish weights on the Hub, with a model card."),
    "show": Entry("glad.cli.weights.show:show", "Show what a generator is, and what its latent spaces take."),
    "train": Entry("glad.cli.weights.train:train", "Train a small generator on a data set: a prior of your own."),
}


@click.group(cls=LazyGroup, entries=ENTRIES)
def weights() -> None:
    """List, fetch, convert, compare and train generators."""
