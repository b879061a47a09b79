"""``glad report``."""

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: report.html inside the run; of several runs, here]",
)
@click.option("--watch", is_flag=True, help="Serve the page to this machine's browser while runs go on, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of --watch.  [default: a free one]")
def report(runs: tuple[Path, ...], out: Path | None, watch: bool, port: int | None) -> None:
    """Write one HTML page for whoever decides.

    What RUNS save, whether they transfer to other networks, and what they depend on; with images, curves, tables, the
    audit and how to reproduce them, side by side. The file needs no network. Runs may be unfinished.
    """
    if watch and out is not None:
        raise click.UsageError("--watch serves the page and writes no file: leave out one of --watch and --out")
    if port is not None and not watch:
        raise click.UsageError("--port is of --watch: a file needs none")
    from glad.reports import folders_of
    from glad.reports import report as write

    if not watch:
        path = write(list(runs), out)
        click.echo(f"Written to {path} ({path.stat().st_size / 1e6:.1f} MB): open it with a browser")
        return
    from glad.reports.live import Server  # a server that other commands need not load

    with Server(folders_of(list(runs)), port or 0) as server:
        click.echo(f"{server.url} shows the runs as they are now; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("\nStopped.")
