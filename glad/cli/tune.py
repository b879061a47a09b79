"""``glad tune``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glad.cli.old_names import OldNames
from glad.cli.options import Bar, load_settings, progress_bar
from glad.cli.settings import from_options, old_flags, settings_options
from glad.settings.distill import DistillSettings
from glad.settings.tune import TuneSettings

if TYPE_CHECKING:
    from glad.tuning.search import Search, Trial

PLAIN_WIDTH = 140  # of a table that goes to a file


def _load(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Settings of a file as defaults; a run's own folder is not where to tune."""
    load_settings(ctx, param, path)
    (ctx.default_map or {}).pop("out", None)
    return path


@click.command(cls=OldNames, old_names={**old_flags(DistillSettings), **old_flags(TuneSettings)})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_load,
    help="YAML file with the options by name (a run's config.yaml is one, without its folder); the command line wins.",
)
@settings_options(TuneSettings)
@settings_options(DistillSettings, skip=("out",))
def tune(**options: Any) -> None:
    """Search the settings that decide, on the validation images, with short runs.

    Takes the options of `glad distill`, which are trial 0, and searches the generator's layer, learning rates, and
    with experts the student's steps and the experts' window. Bad trials are stopped early. The best settings are
    written to best.yaml for `glad distill --config`. The same command continues a search that was interrupted.
    """
    asked, settings = from_options(TuneSettings, options), from_options(DistillSettings, {**options, "out": None})
    from rich.console import Console

    from glad.tuning.report import best_table, verdict
    from glad.tuning.tuner import run_search

    total = asked.trials if asked.trials is not None else round(asked.minutes or 0)
    with progress_bar(max(1, total), "trial" if asked.trials is not None else "minute") as bar:
        tuned = run_search(settings, asked, click.echo, _on_rung(bar, asked.trials is not None))
    table = best_table(tuned.space, tuned.rows, tuned.best)
    Console(width=None if Console().is_terminal else PLAIN_WIDTH).print(table)
    click.echo(verdict(tuned.rows, tuned.best))
    click.echo(f"Run it with `glad distill --config {asked.out}/best.yaml`; {asked.out}/tune.png shows what mattered.")


def _on_rung(bar: Bar, counts_trials: bool) -> "Callable[[Search, Trial], None]":
    """Draws trials, or minutes, and says what each evaluation found."""
    from glad.tuning.report import percent

    def on_rung(search: "Search", row: "Trial") -> None:
        ended = sum(other.state != "unfinished" for other in search.rows())
        done = ended if counts_trials else int(search.spent() / 60)
        seen = max(row.accuracies, default=0)
        found = row.reason if row.state == "failed" else f"{percent(row.accuracy)} % after {seen} iterations"
        going = "" if row.state == "unfinished" else f", {row.state}"
        bar.advance(min(done, bar.total), f"trial {row.number}: {found}{going}")

    return on_rung
