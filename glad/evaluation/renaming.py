"""Results of a set under another name: a folder that was renamed, or one of two sets that are called alike."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from glad.evaluation.rows import rows_of


def rename_owner(results: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """``results`` as if the set ``old`` had been called ``new``.

    Args:
        results: One evaluation, as ``read_results`` gives it.
        old: The name of the set there.
        new: Its name here.

    Returns:
        The same, with new ids wherever rows of the set are named.
    """
    rows = rows_of(results)
    ids = {name: replace(row, owner=new).id if row.owner == old else name for name, row in rows.items()}
    named = {
        name: replace(row, owner=new if row.owner == old else row.owner, against=tuple(ids[a] for a in row.against))
        for name, row in rows.items()
    }
    found = {**results, "rows": [row.to_dict() for row in named.values()]}
    for part in ("cells", "kept"):
        if part in results:
            found[part] = [{**cell, "row": ids[cell["row"]]} for cell in results[part]]
    for part in ("summary", "scores", "cost"):
        if part in results:
            found[part] = {ids[name]: entry for name, entry in results[part].items()}
    if "differences" in results:
        found["differences"] = [
            {**entry, "row": ids[entry["row"]], "against": ids[entry["against"]]} for entry in results["differences"]
        ]
    if "own_labels" in results:
        found["own_labels"] = [new if name == old else name for name in results["own_labels"]]
    settings = results["settings"]
    sets = {new if name == old else name: about for name, about in settings["sets"].items()}
    return {**found, "settings": {**settings, "sets": sets}}
