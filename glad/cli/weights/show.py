"""``glad weights show``."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from generators.provenance import Weights
from glad.cli.options import progress_bar

if TYPE_CHECKING:
    import torch

    from generators.inventory import LatentSpace, RenderingCost
    from generators.stylegan_xl import Generator

MIB = 2**20


@click.command()
@click.argument("name")
@click.option("--measure/--no-measure", default=True, help="Time one image, and its memory, in every space.")
@click.option("--device", default="auto", help="auto, cpu, cuda, ...")
def show(name: str, measure: bool, device: str) -> None:
    """Show what a generator is, and what its latent spaces take.

    NAME is one of `glad weights list`, a safetensors file, or org/repo:file on the Hub. A row per space: W+, and F_n
    for every n that -p layer=n takes.
    """
    from generators.inventory import spaces
    from glad.device import pick_device
    from glad.priors.stylegan import load_generator

    where = pick_device(device)
    generator, stated, metadata = load_generator(name)
    generator.to(where)
    click.echo("\n".join(f"{key}: {value}" for key, value in describe_weights(generator, stated, metadata)))
    console, listed = Console(width=None if Console().is_terminal else 140), spaces(generator)
    console.print(space_table(listed, list(_measure(generator, listed, where)) if measure else []))


def describe_weights(generator: "Generator", stated: Weights, metadata: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What the file and the catalog tell, line by line."""
    mapping = generator.mapping
    names = metadata.get("classes", "").splitlines()
    listed = f" ({', '.join(names[:10])}{', ...' if len(names) > 10 else ''})" if len(names) == mapping.c_dim else ""
    yield "name", stated.name
    side, channels = generator.resolution, generator.channels
    yield "images", f"{side} x {side}, {'1 channel' if channels == 1 else f'{channels} channels'}"
    yield "classes", f"{mapping.c_dim}{listed}" if mapping.c_dim else "none, it is unconditional"
    yield "parameters", f"{sum(p.numel() for p in generator.parameters()):,}"
    yield "style codes", f"{mapping.num_ws} of {mapping.w_dim}, from z of {mapping.z_dim}"
    yield "trained on", metadata.get("data", "not stated in the file")
    yield "source", stated.file or stated.source
    yield "license", stated.license.in_words()
    yield "sha256", stated.sha256


def _measure(
    generator: "Generator", listed: Sequence["LatentSpace"], device: "torch.device"
) -> Iterator["RenderingCost"]:
    from generators.inventory import costs

    with progress_bar(len(listed), "space") as bar:
        for number, cost in enumerate(costs(generator, list(listed), device)):
            bar.advance(number + 1, listed[number].name)
            yield cost


def space_table(listed: Sequence["LatentSpace"], measured: Sequence["RenderingCost"]) -> Table:
    """A row per space."""
    table = Table(title="Latent spaces, for one image" + (" (measured with its gradient)" if measured else ""))
    columns = ("space", "-p layer=", "enters", "shape of f", "latents, bytes", "parameters run")
    for column in (*columns, *(("seconds", "graph, MiB") if measured else ())):
        table.add_column(column, justify="left" if column in ("space", "enters") else "right")
    for number, space in enumerate(listed):
        layer = "" if space.layer is None else str(space.layer)
        shape = "-" if space.shape is None else " x ".join(map(str, space.shape))
        row = [space.name, layer, space.enters, shape, f"{space.latent_bytes:,}", f"{space.parameters:,}"]
        if measured:
            row += [f"{measured[number].seconds:.3f}", f"{measured[number].graph_bytes / MIB:.1f}"]
        table.add_row(*row)
    return table
