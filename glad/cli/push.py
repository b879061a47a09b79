"""``glad push``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glad.cli.old_names import OldNames
from glad.cli.source import FORMATS

if TYPE_CHECKING:
    from glad.hub.push import DatasetUpload


@click.command(cls=OldNames, old_names={"--licence": "--license"})
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("repo", metavar="ORG/NAME")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(list(FORMATS)),
    help="A form to publish the set in; give it several times.  [default: parquet, safetensors, and codes if a "
    "generator made the set]",
)
@click.option(
    "--license", help="What the set is put under, such as cc-by-4.0.  [default: that of the data, where it is known]"
)
@click.option(
    "--permission", metavar="TEXT", help="Who allows it, where the license of the weights does not; the card says so."
)
@click.option(
    "--bits", type=click.IntRange(1, 16), help="Store learned numbers in so many bits first, as `glad compress` does."
)
@click.option("--private", is_flag=True, help="Make the repository private; one that is public is refused.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and send nothing.")
def push(
    run: Path,
    repo: str,
    formats: tuple[str, ...],
    license: str | None,
    permission: str | None,
    bits: int | None,
    private: bool,
    dry_run: bool,
) -> None:
    """Publish the set of a finished run on the Hub, with its card.

    One commit to the data set ORG/NAME holds the set, its card, pictures and settings, less the paths of this disk. A
    set made with weights goes only where their license allows it. Needs `hf auth login` or HF_TOKEN with the right to
    write.
    """
    from glad.hub.push import push as publish

    upload = publish(
        run,
        repo,
        formats=formats,
        license=license,
        permission=permission,
        bits=bits,
        private=private,
        dry_run=dry_run,
        notice=_show,
    )
    click.echo(f"\n{upload.card}\nNothing was sent (--dry-run)." if dry_run else upload.address)


def _show(upload: "DatasetUpload") -> None:
    """Every file that goes."""
    for file in upload.files:
        click.echo(f"{upload.repo}: {file.name}, {file.bytes:,} bytes, SHA-256 {file.sha256}")
