"""``glad weights import``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generators.license import license_of

if TYPE_CHECKING:
    from generators.official import Found


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: OUT.safetensors.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def convert(file: Path, out: Path, force: bool) -> None:
    """Convert a file to safetensors without running code of it.

    FILE is a published StyleGAN-XL pickle (.pkl), a state dict written by torch.save (.pt, .pth), alone or under
    'G_ema', 'G' or 'state_dict', or a bare safetensors file. Its first bytes tell which, not its name.

    OUT holds the tensors and, as metadata, the whole geometry, the SHA-256 of FILE and of the source text inside it,
    and what FILE says of its training data. Give it to --prior.

    \b
    glad weights import imagenet128.pkl -o imagenet128.safetensors
    glad distill --prior imagenet128.safetensors -p layer=12
    """
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: the file to write must be called OUT.safetensors")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: the folder {out.parent} does not exist")
    if out.exists() and out.samefile(file):
        raise ValueError(f"{out} is the file to read; write to another")
    if out.exists() and not force:
        raise ValueError(f"{out} exists; --force replaces it")
    import torch

    from generators import official, weights

    with click.progressbar(length=file.stat().st_size, label=f"Reading {file.name}") as bar:
        found = official.read(file, bar.update)
    for line in _describe(found):
        click.echo(line)
    size = sum(4 * tensor.numel() for tensor in found.generator.state_dict().values())
    with click.progressbar(length=size, label=f"Writing {out.name}") as bar:
        weights.save(out, found.generator, torch.float32, bar.update, **found.facts)
    click.echo(f"{out}\n  {'SHA-256':<18}{official.sha256(out)}")


def _describe(found: "Found") -> Iterator[str]:
    """What was found, a line each."""
    generator, facts = found.generator, found.facts
    mapping, layers = generator.mapping, generator.synthesis.layer_names
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    classes = f"{mapping.c_dim} classes" if mapping.c_dim else "unconditional"
    yield facts["source_file"]
    for name, value in (
        ("form", facts["source_format"]),
        (
            "generator",
            f"{generator.resolution} px, {classes}, {len(layers)} layers, {parameters / 1e6:.1f} M parameters",
        ),
        ("SHA-256", facts["source_sha256"]),
        ("embedded source", facts.get("embedded_source_sha256", "none") + " (SHA-256 of it; it was not run)"),
        ("trained on", facts.get("data", "not stated")),
        ("license", license_of(facts).text),
    ):
        yield f"  {name:<18}{value}"
