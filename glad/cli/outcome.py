"""What ``glad evaluate`` prints when it is done."""

from typing import Any

import click
from rich.console import Console

from glad.cli.results_tables import differences_table, results_table, scores_table


def say(results: dict[str, Any]) -> None:
    """Print tables, the sentences of costs, what the labels are, and where all of it was written."""
    console = Console(width=None if Console().is_terminal else 160)
    console.print(results_table(results))
    if results["differences"]:
        console.print(differences_table(results))
    if "scores" in results:
        console.print(scores_table(results))
    for entry in results.get("cost", {}).values():
        for sentence in entry.get("sentences", []):
            click.echo(sentence)
    if "teacher" in results:
        teacher = results["teacher"]
        click.echo(
            f"Teacher: {teacher['network']}, {teacher['epochs']} epochs on the full data, "
            f"{100 * teacher['validation_accuracy']:.1f} % of the validation images."
        )
    if own := results.get("own_labels"):
        click.echo(f"Soft labels that came with the set, not the teacher's: {', '.join(own)}.")
    click.echo(f"Written to {', '.join(results['written'])}")
