"""``glad evaluate``."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from glad.cli.old_names import OldNames
from glad.cli.options import CONFIG, Bar, SetPath, progress_bar, say_note
from glad.cli.settings import from_options, old_flags, settings_options
from glad.settings.evaluate import EvaluateSettings


@click.command(cls=OldNames, old_names=old_flags(EvaluateSettings))
@click.argument("runs", nargs=-1, required=True, type=SetPath())
@CONFIG
@settings_options(EvaluateSettings)
@click.pass_context
def evaluate(ctx: click.Context, runs: tuple[Path, ...], **options: Any) -> None:
    """Train networks from scratch on distilled sets and test them.

    RUNS are folders of `glad distill`, of one data set. Instead, or beside them: what `glad export` wrote, or a set of
    another program: a folder CLASS/image, a file .npz, .safetensors, .pt, .parquet or .tar, or hf://ORG/NAME. Every
    accuracy is of the last epoch. The seen architecture is the network that the set was distilled with; the others are
    averaged apart, as cross-architecture. What is finished is kept in each run's results.json (NAME.results.json beside
    other sets): an interrupted evaluation continues.
    """
    from_options(EvaluateSettings, options)  # what is wrong is said before torch is imported
    from glad.api import evaluate_runs
    from glad.cli.outcome import say
    from glad.evaluation.config import EvaluationConfig

    config = from_options(EvaluationConfig, options)
    for line in config.unused():
        say_note(ctx, line)
    with ExitStack() as stack:
        bars: list[Bar] = []

        def on_cell(cell: dict[str, Any], left: int) -> None:
            if not bars:  # how many cells are missing is known with the first
                bars.append(stack.enter_context(progress_bar(left + 1, "training")))
            note = f"{cell['label']}, {cell['network']}, seed {cell['seed']}: {100 * cell['accuracy']:.1f} %"
            bars[0].advance(bars[0].total - left, note)

        results = evaluate_runs(list(runs), config, on_cell)
    say(results)
