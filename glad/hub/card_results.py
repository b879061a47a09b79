"""What the card of a published set says of its evaluation."""

from collections.abc import Mapping
from typing import Any

from glad.evaluation import rows_of
from glad.evaluation.summary import macro_differs
from glad.hub.dataset_card import plain, shown_value


def results(content: Mapping[str, Any], own: str) -> str:
    """What an evaluation found, the row with the id ``own`` first; the seen architecture and the others apart.

    ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError`` where ``content`` is not of its form.
    """
    seen, seeds, rows = content["seen"], content["seeds"], rows_of(content)
    tables = [_accuracies(content, own, content["summary"])]
    if macro_differs(content["cells"]):
        tables.append("Macro accuracy in %, the mean of the classes' accuracies:")
        macro = {row: entry["macro"] for row, entry in content["summary"].items()}
        tables.append(_accuracies(content, own, macro))
    spread = f"mean ± standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else "one seed, so without spread"
    caption = (
        f"Accuracy in % on {content['split']} images after the last epoch, {spread} ({shown_value(seeds)}) of networks "
        f"trained from scratch. {plain(seen)} is the seen architecture, which the set was distilled with; "
        "`cross-architecture` is the mean over the others."
    )
    settings = {"protocol": content["protocol"], "networks": content.get("network_options") or "as published"}
    settings |= {"labels": content["label_mode"], **({"teacher": content["teacher"]} if "teacher" in content else {})}
    notes = [
        f"- {plain(rows[cell['row']].label)}, {plain(cell['network'])}, seed {cell['seed']}: {plain(cell['note'])}"
        for cell in content["cells"]
        if cell.get("note")
    ]
    lines_of_settings = [f"{name.capitalize()}: {plain(shown_value(value))}." for name, value in settings.items()]
    return "\n\n".join([caption, *tables, *lines_of_settings, *(["\n".join(notes)] if notes else [])])


def _accuracies(content: Mapping[str, Any], own: str, summary: Mapping[str, Any]) -> str:
    """A table of accuracies, or of macro accuracies: the row with the id ``own`` first."""
    seen, rows = content["seen"], rows_of(content)
    others = [name for name in content["networks"] if name != seen]
    stored = content.get("stored") or {}
    heads = ["trained on", *(["bytes per class"] if stored else []), f"{seen} (seen)", *others, "cross-architecture"]
    lines = ["| " + " | ".join(map(plain, heads)) + " |", "| --- " * len(heads) + "|"]
    for row in [own, *(row for row in summary if row != own)]:
        entry = summary[row]
        shown = [entry["seen"], *(entry["networks"].get(other) for other in others), entry["cross"]]
        title = "**this set**" if row == own else plain(rows[row].label)
        size = [f"{stored[row]['per_class']:,.0f}" if row in stored else "-"] if stored else []
        lines.append(" | ".join([f"| {title}", *size, *map(_percent, shown)]) + " |")
    return "\n".join(lines)


def _percent(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    spread = "" if entry["std"] is None else f" ± {100 * entry['std']:.1f}"
    return f"{100 * entry['mean']:.1f}{spread}"
