"""What ``glad evaluate`` prints when it is done."""

from typing import Any

import click
from rich.console import Console

from glad.cli.results_tables import differences_table, results_table, scores_table
from glad.evaluation.cost import sentences
from glad.evaluation.rows import SET, rows_of
from glad.evaluation.summary import macro_differs


def say(results: dict[str, Any]) -> None:
    """Print tables, the sentences of costs, what the labels are, and where all of it was written."""
    console = Console(width=None if Console().is_terminal else 160)
    for macro in (False, True) if macro_differs(results["cells"]) else (False,):
        console.print(results_table(results, macro))
        if results["differences"]:
            console.print(differences_table(results, macro))
    if "scores" in results:
        console.print(scores_table(results))
    for row in results.get("cost", {}):
        for sentence in sentences(results, row) if rows_of(results)[row].kind == SET else ():
            click.echo(sentence)
    if absent := results.get("without_before"):
        click.echo(f"No row before optimization for {', '.join(absent)}: only runs of a prior with weights have one.")
    for network, version in results.get("libraries", {}).items():
        click.echo(f"{network} is that of {version}, with random weights.")
    if "teacher" in results:
        teacher = results["teacher"]
        click.echo(
            f"Teacher: {teacher['network']}, {teacher['epochs']} epochs on the full data, "
            f"validation accuracy {100 * teacher['validation_accuracy']:.1f} %."
        )
    if own := results.get("own_labels"):
        click.echo(f"Soft labels that came with the set, not the teacher's: {', '.join(own)}.")
    click.echo(f"Written to {', '.join(results['written'])}")
