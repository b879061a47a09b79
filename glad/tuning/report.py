"""What a search leaves: the best settings as a file, every trial as JSON, and a table of the best."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.table import Table

from glad.runs.storage import write_durably, write_json
from glad.settings.distill import DistillSettings
from glad.tuning.knobs import RATE, SearchSpace, Values, layer_name
from glad.tuning.search import FRESH, Trial

SHOWN = 5  # trials in the table, beside the default settings


def percent(accuracy: float | None) -> str:
    """An accuracy as people read it."""
    return "-" if accuracy is None else f"{100 * accuracy:.1f}"


def verdict(rows: Sequence[Trial], best: Trial) -> str:
    """What was found, in one line."""
    if not best.number:
        return "Nothing beat the default settings on the validation images: best.yaml holds them as they are."
    default = next(row for row in rows if not row.number)
    seeds = "the search's own seeds" if best.fresh is None else f"{FRESH} fresh seeds"
    mine, theirs = (row.accuracy if best.fresh is None else row.fresh for row in (best, default))
    if theirs is None:
        return f"Trial {best.number}: validation accuracy {percent(mine)} %; the default settings failed."
    return (
        f"Validation accuracy {percent(mine)} % with the settings of trial {best.number}, {percent(theirs)} % with the "
        f"default settings ({seeds})."
    )


def write_best(settings: DistillSettings, rows: Sequence[Trial], best: Trial, path: Path) -> None:
    """Write ``settings`` as ``glad distill --config`` takes them, with the verdict above."""
    content = {name: value for name, value in settings.plain().items() if name != "out"}
    text = f"# glad tune: {verdict(rows, best)}\n" + yaml.safe_dump(content, sort_keys=False)
    write_durably(path, text.encode())


def write_trials(space: SearchSpace, rows: Sequence[Trial], best: Trial, path: Path) -> None:
    """Write every trial: its values, learning rates, state, accuracy after so many iterations, and time."""
    trials = [
        {
            "number": row.number,
            "state": row.state,
            "values": dict(row.values),
            "learning_rates": space.rates_of(row.values),
            "accuracy": {str(iterations): accuracy for iterations, accuracy in row.accuracies.items()},
            "fresh_seeds": row.fresh,
            "seconds": round(row.seconds, 3),
            "reason": row.reason,
        }
        for row in rows
    ]
    write_json(path, {"default": 0, "best": best.number, "trials": trials})


def best_table(space: SearchSpace, rows: Sequence[Trial], best: Trial) -> Table:
    """The best trials that came to their end, beside the default settings."""
    last = max((iterations for row in rows for iterations in row.accuracies), default=0)
    table = Table(title=f"Validation accuracy in % after {last} iterations")
    table.add_column("trial")
    for knob in space.knobs:
        table.add_column(knob.name, justify="right")
    for heading in ("accuracy", "fresh seeds"):
        table.add_column(heading, justify="right")
    finished = sorted((row for row in rows if row.state == "finished" and row.number), key=lambda r: -(r.accuracy or 0))
    for row in [*rows[:1], *finished[:SHOWN]]:
        name = "default" if not row.number else str(row.number)
        shown = [cell(space, knob.name, row.values) for knob in space.knobs]
        accuracy = "failed" if row.state == "failed" else percent(row.accuracy)
        style = "bold" if row.number == best.number else None
        table.add_row(name + " *" * (row is best), *shown, accuracy, percent(row.fresh), style=style)
    return table


def cell(space: SearchSpace, knob: str, values: Values) -> str:
    """A knob's value: a learning rate as itself, not as a multiple of the default."""
    if knob not in values:
        return "-"
    if knob.startswith(RATE):
        return f"{space.rates_of(values)[knob.removeprefix(RATE)]:g}"
    return layer_name(values[knob]) if knob == "layer" else str(values[knob])
