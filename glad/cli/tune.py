"""``glad tune``."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from glad.cli.distill import distill, read_settings
from glad.cli.options import Pairs, load_settings, progress_bar, whole_numbers
from glad.networks import NETWORKS

PLAIN_WIDTH = 140  # of a table that goes to a file


def _load(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Settings of a file as defaults; a run's own folder is not where to tune."""
    load_settings(ctx, param, path)
    (ctx.default_map or {}).pop("out", None)
    return path


@click.command()
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_load,
    help="YAML file with the options by name (a run's config.yaml is one, without its folder); the command line wins.",
)
@click.option("--minutes", type=float, help="Budget: minutes of distilling and judging, earlier calls included.")
@click.option("--trials", type=int, help="Budget: this many trials, earlier calls included.")
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder of the search; continued there.")
@click.option("--trial-iterations", default=100, help="Iterations of a trial, if --iterations are not fewer.")
@click.option(
    "--networks",
    multiple=True,
    type=click.Choice(list(NETWORKS)),
    help="A network that judges; several times for several.  [default: the one distilled with and an unseen one]",
)
@click.option("--epochs", default=100, help="Epochs of their training on the synthetic set.")
@click.option("--seeds", default=1, help="Seeds that judge each rung.")
@click.option(
    "--judge-option",
    "judge_options",
    type=Pairs(),
    multiple=True,
    callback=whole_numbers,
    help="NETWORK.OPTION=NUMBER of those that judge, such as resnet18.width=16.",
)
@click.option("--knob", "knobs", multiple=True, help="Search this knob; several times for several.  [default: all]")
def tune(
    minutes: float | None, trials: int | None, out: str, trial_iterations: int, networks: tuple[str, ...],
    epochs: int, seeds: int, judge_options: dict[str, dict[str, int]], knobs: tuple[str, ...], **settings: Any,
) -> None:  # fmt: skip
    """Search the knobs that decide, on the validation images, with short runs.

    Takes the options of `glad distill`, which are trial 0, and searches the generator's layer, learning rates, and
    with experts the student's steps and the experts' window. Bad trials are stopped early. The best settings are
    written to best.yaml for `glad distill --config`. The same command continues a search that was interrupted.
    """
    from glad.tuning import tune as run
    from glad.tuning.report import best_table, percent, verdict
    from glad.tuning.search import Row, Search

    total = trials if trials is not None else round(minutes or 0)
    with progress_bar(max(1, total), "trial" if trials is not None else "minute") as bar:

        def on_rung(search: Search, row: Row) -> None:
            rows = search.rows()
            ended = sum(other.state != "unfinished" for other in rows)
            done = ended if trials is not None else int(search.spent() / 60)
            seen = max(row.accuracies, default=0)
            found = row.reason if row.state == "failed" else f"{percent(row.accuracy)} % after {seen} iterations"
            going = "" if row.state == "unfinished" else f", {row.state}"
            bar.advance(min(done, bar.total), f"trial {row.number}: {found}{going}")

        tuned = run(
            read_settings(settings),
            out=out,
            minutes=minutes,
            trials=trials,
            trial_iterations=trial_iterations,
            networks=networks or None,
            epochs=epochs,
            seeds=seeds,
            network_options=judge_options,
            knobs=knobs or None,
            say=click.echo,
            on_rung=on_rung,
        )
    table = best_table(tuned.space, tuned.rows, tuned.best)
    Console(width=None if Console().is_terminal else PLAIN_WIDTH).print(table)
    click.echo(verdict(tuned.rows, tuned.best))
    click.echo(f"Run it with `glad distill --config {out}/best.yaml`; {out}/tune.png shows what mattered.")


OWN = {param.name for param in tune.params}
tune.params += [param for param in distill.params if param.name not in OWN]
