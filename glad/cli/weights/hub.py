"""``glad weights pull`` and ``glad weights push``."""

from contextlib import ExitStack
from pathlib import Path

import click

from generators import catalog
from generators.license import License
from glad.cli.old_names import OldNames
from glad.cli.options import Bar, progress_bar

MIB = 1 << 20


class DownloadBar:
    """Progress in MiB, drawn from the moment that the size is known."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack, self.shown = stack, -1
        self.bar: Bar | None = None

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes are here; without a total nothing is drawn."""
        if not total:
            return
        if self.bar is None:
            self.bar = self.stack.enter_context(progress_bar(-(-total // MIB), "MiB"))
        if (now := -(-done // MIB)) != self.shown:
            self.bar.advance(now, "")
            self.shown = now


@click.command()
@click.argument("name")
@click.option("--again", is_flag=True, help="Bring it anew, though it is here; it must be what it was the first time.")
def pull(name: str, again: bool) -> None:
    """Download weights, and check them.

    NAME is one of `glad weights list`, or org/repo:file[@revision] on the Hub. A download that broke off is continued.
    Pickles are converted to safetensors by a reader that executes nothing of them. A private repository needs
    `hf auth login` or HF_TOKEN; HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE hold.
    """
    if not catalog.find(name).needs_download:
        click.echo(f"{name} needs no download: {catalog.find(name).source}. Use it with `glad distill --prior {name}`.")
        return
    from generators import hub

    with ExitStack() as stack:
        progress = DownloadBar(stack)
        record = hub.obtain(name, again, progress.advance, lambda license: _say(name, license))
    click.echo(f"{record.path} ({record.file.stat().st_size / 1e6:,.1f} MB)")
    click.echo(f"SHA-256 {record.sha256}, from {record.source}")
    click.echo(f"Use it with `glad distill --prior {name}`.")


def _say(name: str, license: License) -> None:
    """The license, before anything is downloaded; louder where it does not plainly allow commercial use."""
    click.secho(f"{name}: {license.in_words()}", err=True, bold=not license.commercial)


@click.command(cls=OldNames, old_names={"--licence": "--license"})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("repo", metavar="ORG/REPO")
@click.option("--license", help="What you put your own weights under, such as apache-2.0 or cc-by-4.0.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is made.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and send nothing.")
def push(file: Path, repo: str, license: str | None, private: bool, dry_run: bool) -> None:
    """Publish weights on the Hub, with a model card.

    Weights of others go only where their license allows it; your own need --license, unless the file states one.
    Needs `hf auth login` or HF_TOKEN with the right to write.
    """
    from generators import card, hub

    upload = card.pack(file, repo, license)
    for name, content in upload.contents().items():
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        click.echo(f"{repo}: {name}, {size:,} bytes")
    if dry_run:
        click.echo(f"SHA-256 of {file.name}: {upload.sha256}\n\n{upload.card}")
        click.echo("Nothing was sent (--dry-run).")
        return
    click.echo(hub.send(upload, private))
