"""What an evaluation gave, as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from glad.evaluation import label_of

MACRO = "macro accuracy (mean of the classes' accuracies)"
ABSENT: Mapping[str, Any] = {"seen": None, "networks": {}, "cross": None}
"""The macro accuracies of results that have none."""


def results_table(results: Mapping[str, Any], macro: bool = False) -> Table:
    """Return the summary of ``evaluate_sets`` as a table in per cent: a row per set, a column per network.

    The table is of accuracy, or of macro accuracy with ``macro``.

    ``results["split"]`` names the images that accuracy was measured on, if they are not the test images,
    ``results["label_mode"]`` the labels, if they are not hard, and ``results["protocol_name"]`` the protocol, if it is
    not the default one.
    """
    seen, networks = results["seen"], results["networks"]
    ordered = [name for name in networks if name == seen] + [name for name in networks if name != seen]
    split, epochs, seeds = results.get("split", "test"), results["protocol"]["epochs"], len(results["seeds"])
    soft = ", soft labels" * (results.get("label_mode") == "soft")
    name = results.get("protocol_name", "default")
    soft += f", protocol {name}" if name != "default" else ""
    title = f"{split.capitalize()} {MACRO if macro else 'accuracy'} in %, {epochs} epochs, {seeds} seed"
    table = Table(title=f"{title}{'s' * (seeds > 1)}{soft}")
    table.add_column("set")
    stored = results.get("stored") or {}
    if stored:
        table.add_column("bytes per class", justify="right")
        table.caption = _stored_in_words(results)
    for name in ordered:
        table.add_column(f"{name} (seen)" if name == seen else name, justify="right")
    table.add_column("cross-architecture", justify="right")
    for row, measured in results["summary"].items():
        entry = measured.get("macro", ABSENT) if macro else measured
        shown = [*(entry["networks"].get(name) for name in ordered), entry["cross"]]
        size = [f"{stored[row]['per_class']:,.0f}" if row in stored else "-"] if stored else []
        table.add_row(label_of(results, row), *size, *(_percent(value) for value in shown))
    return table


def _stored_in_words(results: Mapping[str, Any]) -> str:
    """What the bytes count, and those of pretrained weights, which they leave out."""
    said = "Bytes: latents, what they share, labels; real images have 8 bits a value."
    for row, entry in results["stored"].items():
        if "real_images" in entry and entry["weights"] != 0:
            known = "of unknown size" if entry["weights"] is None else f"of {entry['weights']:,} bytes"
            said += f" Besides, {label_of(results, row)} needs weights {known}."
    return said


def _percent(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    spread = "" if entry["std"] is None else f" ± {100 * entry['std']:.1f}"
    return f"{100 * entry['mean']:.1f}{spread}"


def differences_table(results: Mapping[str, Any], macro: bool = False) -> Table:
    """Return the paired differences as a table in points: a row per pair, 95 % intervals over seeds in brackets."""
    of = " of macro accuracy" * macro
    table = Table(title=f"Paired differences{of} in points, mean over shared seeds [95 % bootstrap interval]")
    for column in ("set", "less"):
        table.add_column(column)
    for column in (f"{results['seen']} (seen)", "cross-architecture", "seeds"):
        table.add_column(column, justify="right")
    for entry in results["differences"]:
        found = entry.get("macro", ABSENT) if macro else entry
        seen, cross = found["seen"], found["cross"]
        seeds = max((side["n"] for side in (seen, cross) if side is not None), default=0)
        labels = (label_of(results, entry[side]) for side in ("row", "against"))
        table.add_row(*labels, _points(seen), _points(cross), str(seeds))
    return table


def _points(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    limits = "" if entry["low"] is None else f" [{100 * entry['low']:+.1f}, {100 * entry['high']:+.1f}]"
    return f"{100 * entry['mean']:+.1f}{limits}"


def scores_table(results: Mapping[str, Any]) -> Table:
    """Return LRS and ARS with their parts in per cent, each a difference of two accuracies: a row per set."""
    table = Table(title=f"DD-Ranking's scores, {results['seen']}; of each difference the two accuracies, in %")
    table.add_column("set")
    made = {
        "hlr": ("HLR: full less set, hard", "full_hard", "hard"),
        "ior": ("IOR: set less random", "set", "random"),
        "ior_augmented": ("IOR, augmented", "set_augmented", "random_augmented"),
        "ior_plain": ("IOR, not augmented", "set_plain", "random_plain"),
    }
    columns = ("LRS", made["hlr"][0], made["ior"][0], "ARS", made["ior_augmented"][0], made["ior_plain"][0])
    for column in columns:
        table.add_column(column, justify="right")
    for row, entry in results["scores"].items():
        stated = {
            part: f"{100 * entry[part]:+.1f} = {100 * entry['accuracies'][one]:.1f} - "
            f"{100 * entry['accuracies'][other]:.1f}"
            for part, (_, one, other) in made.items()
        }
        table.add_row(
            label_of(results, row),
            f"{entry['lrs']:.1f}",
            stated["hlr"],
            stated["ior"],
            f"{entry['ars']:.1f}",
            stated["ior_augmented"],
            stated["ior_plain"],
        )
    return table
