"""``audit.json`` as far as the page shows it; docs/AUDIT.md says what its keys mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glad.reports.run_data import AUDIT_PICTURES, RunData
from glad.reports.snapshots import data_uri
from glad.reports.tables import TextTable
from glad.runs.formatting import count, number, points, share

SCHEMA = 1
TITLES = {
    "losses": "Who loses",
    "coverage": "What it covers",
    "memorisation": "What it copied",
    "prior": "What the prior did",
    "provenance": "Where it is from",
}


@dataclass(frozen=True)
class Audit:
    """Lines by title, what to beware of, the classes' accuracies, and pictures with their alternative."""

    verdicts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    classes: TextTable | None
    pictures: tuple[tuple[str, str], ...]


def audit_of(run_data: RunData) -> Audit | None:
    """The audit of a run, or None."""
    if run_data.audit is None:
        return None
    verdicts, known = run_data.audit.get("verdicts", {}), _is_known(run_data.audit)
    warnings = [f"Threshold not kept: {line}." for line in run_data.audit.get("broken", [])]
    if not known:
        what = f"schema {run_data.audit.get('schema')}, and this version of glad knows {SCHEMA}"
        warnings.append(f"audit.json is of {what}: its lines are shown, its numbers are not.")
    pictures = []
    for name, alternative in AUDIT_PICTURES.items():
        path = run_data.run.path / name
        if path.exists():
            pictures.append((data_uri(path.read_bytes(), "png"), alternative))
    return Audit(
        verdicts=tuple((TITLES.get(name, str(name)), str(line)) for name, line in verdicts.items()),
        warnings=tuple(warnings),
        classes=_classes(run_data.audit) if known else None,
        pictures=tuple(pictures),
    )


def _classes(audit: Mapping[str, Any]) -> TextTable | None:
    """A row per class, the greatest loss first."""
    losses = audit.get("losses", {})
    listed = losses.get("classes") or []
    if not listed:
        return None
    split = audit.get("settings", {}).get("split", "held-out")
    rows = tuple(
        (
            str(entry["class"]),
            share(entry["full"]),
            share(entry["set"]),
            points(-entry["loss"]),
            count(entry["images"]),
        )
        for entry in listed
    )
    caption = (
        f"Accuracy by class on {split} images, after training on real images and on the set; the greatest loss first"
    )
    return TextTable(caption, ("class", "real images", "the set", "difference", "images"), rows)


def neighbors(run_data: RunData) -> dict[int, str]:
    """The nearest training image of each image, in words, by the image's number; empty where nobody looked."""
    if run_data.audit is None or not _is_known(run_data.audit):
        return {}
    listed = run_data.audit.get("memorisation", {}).get("nearest", [])
    return {int(entry["image"]): _neighbor(entry["pixels"]) for entry in listed}


def _neighbor(found: Mapping[str, Any]) -> str:
    return (
        f"nearest training image, in pixels: number {found['training_image']}, {found['class']}, "
        f"{number(found['ratio'])} times as far as the nearest 1 % of unseen real images"
    )


def _is_known(audit: Mapping[str, Any]) -> bool:
    return audit.get("schema") == SCHEMA
