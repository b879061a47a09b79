"""What an audit says: the numbers that a pipeline may hold to a threshold, and a line in plain words per check."""

from collections.abc import Mapping, Sequence
from typing import Any

from generators.provenance import Weights
from glad.evaluation.summary import SHOWN
from glad.settings.audit import NUMBERS

MAPPED = 10  # classes that are listed
SHORT = 12  # characters of a hash that people read


def number(found: Mapping[str, Any], name: str) -> float | None:
    """The number called ``name`` of the checks' results; None where the set or the run has none."""
    value: Any = found
    for part in NUMBERS[name].where.split("."):
        value = None if value is None else value.get(part)
    return value


def find_broken(numbers: Mapping[str, float | None], limits: Mapping[str, float]) -> list[str]:
    """A line for each of ``limits`` that is not kept; one whose number could not be measured is not."""
    lines = []
    for name, limit in limits.items():
        value, more = numbers[name], NUMBERS[name].more_is_better
        said = f"{name} is to be at {'least' if more else 'most'} {limit:g}"
        if value is None:
            lines.append(f"{said}, and this run has no such number")
        elif value < limit if more else value > limit:
            lines.append(f"{said}, and is {value:.4g}")
    return lines


def macro_differs(losses: Mapping[str, Any]) -> bool:
    """Whether macro accuracy differs from accuracy by what tables show; False for audits of earlier versions."""
    macro = losses.get("macro_accuracy", {})
    return any(abs(entry["mean"] - losses["accuracy"][kind]["mean"]) >= SHOWN for kind, entry in macro.items())


def verdicts(found: Mapping[str, Any]) -> dict[str, str]:
    """A line or two per check for people, by the check's name."""
    split, provenance = found["settings"]["split"], found["provenance"]
    return {
        "losses": _losses(found["losses"], split),
        "coverage": _coverage(found["coverage"], split),
        "memorisation": _memorization(found["memorisation"]),
        "prior": _prior(found["prior"], found["recognised"]),
        "provenance": _provenance(provenance),
    }


def _losses(losses: Mapping[str, Any], split: str) -> str:
    worst, accuracy = losses["classes"][0], losses["accuracy"]
    line = (
        f"{split.capitalize()} accuracy {_percent(accuracy['set']['mean'])} after training on the set, "
        f"{_percent(accuracy['full']['mean'])} after training on real images ({losses['images']:,} images). "
    )
    if macro_differs(losses):
        macro = losses["macro_accuracy"]
        line += f"Macro accuracy {_percent(macro['set']['mean'])} and {_percent(macro['full']['mean'])}. "
    if worst["loss"] <= 0:
        return line + "No class loses."
    line += f"{worst['class']} loses most: from {_percent(worst['full'])} to {_percent(worst['set'])}"
    pairs = [pair for pair in losses["confusions"] if pair["class"] == worst["class"]]
    if not pairs:
        return line + "."
    return line + f", most often misclassified as {pairs[0]['taken_for']} ({100 * pairs[0]['added']:.1f} points more)."


def _coverage(coverage: Mapping[str, Any], split: str) -> str:
    line = (
        f"{_percent(coverage['own_class'])} of {coverage['images']:,} {split} images have a synthetic image of their "
        f"own class as the nearest; with as many random real images {_percent(coverage['own_class_random'])}. "
    )
    if coverage["distance_ratio"] is not None:
        line += f"The nearest is {coverage['distance_ratio']:.2f} times as far as a random real one. "
    diversity = coverage["diversity"]
    if diversity["mean"] is None:
        return line + "One image per class: nothing to say about diversity within a class."
    least = min((v, name) for name, v in diversity["per_class"].items() if v is not None)
    return line + (
        f"Within a class images differ {diversity['mean']:.2f} times as much as real ones do, least in {least[1]} "
        f"({least[0]:.2f})."
    )


def _memorization(memorization: Mapping[str, Any]) -> str:
    count, closest = memorization["images"], memorization["nearest"][0]
    start, began = memorization["start"], ""
    if start["copies"]:
        began = (
            f" {start['copies']} began as real images, which are still the nearest to {start['still_nearest']} of them."
        )
    near = [f"{round(memorization[kind]['share'] * count)} of {count} in {kind}" for kind in ("pixels", "features")]
    return (
        f"{' and '.join(near)} lie as near to a training image as the nearest {_percent(memorization['quantile'])} of "
        f"unseen real images of their class do. The closest, image {closest['image']} ({closest['class']}), is "
        f"{closest['pixels']['ratio']:.2f} times as far away as that.{began}"
    )


def _prior(prior: Mapping[str, Any], recognized: Mapping[str, Any]) -> str:
    if not prior["generator"]:
        return (
            f"{prior['why']} The network trained on real images classifies {_percent(recognized['share'])} of the "
            "synthetic images as labeled."
        )
    before, after, real = (prior["appearance"][kind] for kind in ("before", "after", "real"))
    moved = prior["moved"]["mean"]
    far = "" if moved is None else f" Optimization moved images {moved:.2f} times as far as two real images lie apart."
    return (
        f"The network trained on real images classifies {_percent(prior['recognised_before']['share'])} of the images "
        f"before optimization as labeled, and {_percent(recognized['share'])} after it.{far} Brightness "
        f"{before['brightness']:.2f} became {after['brightness']:.2f} (real {real['brightness']:.2f}), contrast "
        f"{before['contrast']:.2f} became {after['contrast']:.2f} (real {real['contrast']:.2f})."
    )


def _provenance(provenance: Mapping[str, Any]) -> str:
    settings, hashes = provenance["settings"], provenance["hashes"]
    made = f"prior {settings['prior']}, no weights"
    if provenance["weights"]:
        weights = Weights.read(provenance["weights"])
        made = f"weights {weights.name} ({weights.sha256[:SHORT]}), license {weights.license.in_words()}"
    return (
        f"{settings['objective']}, {settings['iterations']} iterations, seed {settings['seed']}, glad "
        f"{provenance['versions'].get('glad', 'of an unknown version')}; data {settings['data']} "
        f"({hashes['data'][:SHORT]}); {made}; the set {provenance['synset_sha256'][:SHORT]}."
        + _data(provenance)
        + _prior_classes(provenance["prior_classes"], provenance["renamed_classes"])
    )


def _data(provenance: Mapping[str, Any]) -> str:
    """Where the splits are from, and what was said when they were loaded."""
    splits = [
        f"{name} {split['images']:,} images" + (f" ({split['from']})" if split["from"] else "")
        for name, split in provenance["splits"].items()
    ]
    return f" Data: {', '.join(splits)}." + "".join(f" {notice}." for notice in provenance["notices"])


def _prior_classes(classes: Mapping[str, str], renamed: Sequence[str]) -> str:
    """The generator's class for each class of the data that has another name there."""
    others = [f"{name} = {classes[name]}" for name in renamed]
    if not others:
        return ""
    more = f" and {len(others) - MAPPED} more" if len(others) > MAPPED else ""
    return f" Classes of the prior: {', '.join(others[:MAPPED])}{more}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share else "0 %"
