"""The dataset card of a published set: front matter that the Hub reads, then for people what is known, and no more."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from glad.formats.distilled import Card
from glad.runs.folder import bare_hashes
from glad.runs.stored_size import StoredSize
from glad.settings.objects import objects_in

SIZES = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6))
LOADED = {"parquet": "{}", "folder": "{}/*/*.png"}
"""What Hugging Face ``datasets`` loads as images with labels, and the pattern of its files; the first that is there."""
SETTINGS = {
    "data": "data",
    "classes": "classes",
    "limit": "training images, at most",
    "resolution": "resized to",
    "zca": "whitened (zca)",
    "objective": "objective",
    "objective_options": "its options",
    "prior": "prior",
    "prior_options": "its options",
    "class_map": "classes of the prior",
    "ipc": "images per class (rows of latents)",
    "budget": "numbers per class, in images",
    "iterations": "iterations",
    "seed": "seed",
    "labels": "labels",
    "initialization": "initialization",
    "network": "network",
    "network_options": "its options",
    "augmentation": "augmentation",
}
"""Settings of a run that the card shows, by what people call them."""
ZCA = {
    "kept": "`images` are whitened (ZCA), as the test images of whoever trains on them must be; `pixels` are not.",
    "inverted": "The set was distilled whitened (ZCA); here that is undone, so networks see other images than then.",
}


@dataclass(frozen=True)
class CardContent:
    """All that the card of the set in ``repo`` shows.

    ``front`` holds the license as the Hub wants it, ``licenses`` what is known of licenses in words. ``exports`` are
    the cards of the written files by format, ``names`` these files' names; ``files`` are name, bytes and SHA-256 of all
    but the card. ``weights`` says whether there are some behind the prior, ``soft`` whether there are soft labels.
    ``config`` names no place on anybody's disk; its ``experts`` only says whether there were some. ``results`` and
    ``verdicts`` come from an evaluation and an audit of this very set; None and empty without. ``stored`` is its size.
    """

    repo: str
    card: Card
    config: Mapping[str, Any]
    inputs: Mapping[str, Any]
    front: Mapping[str, str]
    licenses: Mapping[str, str]
    exports: Mapping[str, Card]
    names: Mapping[str, str]
    files: Sequence[tuple[str, int, str]]
    pictures: Mapping[str, str]
    weights: bool = False
    soft: bool = False
    stored: StoredSize | None = None
    results: str | None = None
    verdicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The repository's name without its owner."""
        return self.repo.partition("/")[2]


def plain(text: object) -> str:
    r"""``text`` on one line, with a \ before all that Markdown, HTML and tables would read."""
    return re.sub(r"([\\`*_\[\]<>|~&#$])", r"\\\1", " ".join(str(text).split()))


def table(rows: Mapping[str, str]) -> str:
    """A table of two columns, of Markdown."""
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())])


def write(content: CardContent) -> str:
    """The text of README.md, with front matter that the Hub's own library writes and reads."""
    count, classes = content.card.images, len(content.card.classes)
    first = (
        f"{count:,} synthetic images of {classes} classes, distilled from {plain(content.config['data'])} with `glad` "
        "to train image classifiers on in place of the real images."
    )
    parts = [
        f"# {plain(content.short)}",
        first,
        *(f"![{plain(text)}]({name})" for name, text in content.pictures.items()),
        _usage(content),
        "## How it was made",
        _made(content),
        "## Results",
        content.results or _not_evaluated(content),
        *_checks(content.verdicts),
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(content)),
        "## Licenses",
        table({name: plain(text) for name, text in content.licenses.items()}),
        "## Files",
        "| file | bytes | SHA-256 |\n| --- | --- | --- |\n"
        + "\n".join(f"| {plain(name)} | {size:,} | `{digest}` |" for name, size, digest in content.files),
    ]
    front = front_matter(content)
    text = f"---\n{front.to_yaml(original_order=['license', 'license_name', 'pretty_name'])}\n---\n"
    text += "\n\n".join(parts) + "\n"
    _require_readable(text, front)
    return text


def front_matter(content: CardContent) -> DatasetCardData:
    """What the Hub, its viewer and Croissant, and ``datasets`` read; a set in no form that they load has no viewer."""
    count = content.card.images
    loaded = next((kind for kind in LOADED if kind in content.names), None)
    more: dict[str, Any] = {**content.front, "viewer": False}
    if loaded is not None:
        path = LOADED[loaded].format(content.names[loaded])
        more = {
            **content.front,
            "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": path}]}],
        }
    return DatasetCardData(
        pretty_name=content.short,
        task_categories=["image-classification"],
        size_categories=[next((name for name, limit in SIZES if count < limit), "1M<n<10M")],
        tags=["dataset-distillation", "synthetic", "glad"],
        **more,
    )


def _require_readable(text: str, front: DatasetCardData) -> None:
    """Raise ``ValueError`` unless the Hub's own reader finds ``front`` in ``text``; its server looks at the values."""
    found = DatasetCard(text).data.to_dict()
    if found != front.to_dict():
        raise ValueError(f"the card's front matter comes back as {found}, not as {front.to_dict()}")


def _usage(content: CardContent) -> str:
    card, parts = content.card, []
    if any(kind in content.names for kind in LOADED):
        lines = ("from datasets import load_dataset", "", f'train = load_dataset("{content.repo}", split="train")')
        parts.append(_fence("python", *lines))
    parts.append(_fence("sh", f"hf download {content.repo} --repo-type dataset --local-dir {content.short}"))
    readable = [name for kind, name in content.names.items() if kind != "codes"]
    if readable:
        loading = f'loaded = glad.load_distilled("{content.short}/{readable[-1]}")  # loaded.images, loaded.labels'
        parts.append(_fence("python", "import glad", "", loading))
    if "codes" in content.names:
        parts.append("The codes become the images again with")
        parts.append(_fence("sh", f"glad render {content.short}/{content.names['codes']} --out images"))
    said = [
        f"Pixels in [0, 1], of test images too, are normalized by the mean {_numbers(card.mean)} and the deviation "
        f"{_numbers(card.std)}. Classes, in the order of the labels: {', '.join(map(plain, card.classes))}."
    ]
    if content.soft:
        said.append(
            "Soft labels come along (`soft_labels`, in Parquet `soft_label`): train on them in place of the labels."
        )
    if card.step_size is not None:
        said.append(f"The step size that was learned along with the set is {card.step_size:.4g}.")
    return "\n\n".join([*parts, " ".join(said)])


def _fence(language: str, *lines: str) -> str:
    return "\n".join((f"```{language}", *lines, "```"))


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _made(content: CardContent) -> str:
    config, inputs = content.config, content.inputs
    rows = {
        f"{named} ({key})" if named == "its options" else named: plain(shown_value(config[key]))
        for key, named in SETTINGS.items()
        if config.get(key) not in (None, {}, [], "") and config[key] is not False
    }
    if inputs.get("learning_rates"):
        rows["learning rates"] = plain(shown_value(inputs["learning_rates"]))
    rows |= {
        f"SHA-256 of the {name}": f"`{digest}`" for name, digest in bare_hashes(inputs["hashes"]).items() if digest
    }
    rows["versions"] = plain(shown_value(inputs["versions"]))
    if bits := _bits(content.card):
        rows["bits of each learned number"] = f"{bits}; the pictures show the set before"
    rows |= _stored(content.stored)
    again = _fence("sh", f"glad distill --config {content.short}/config.yaml --out again")
    needs = "All settings are in `config.yaml`, less the places on the disk of who made it. With the same data at hand"
    if config.get("experts"):
        needs += ", and experts named by `--experts`,"
    if objects := objects_in(config):
        return (
            f"{table(rows)}\n\nIts {' and '.join(objects)} came as objects of Python, which no file of settings names."
        )
    return f"{table(rows)}\n\n{needs} this distills it again:\n\n{again}"


def _bits(card: Card) -> int | None:
    """Bits of each learned number of a compressed set."""
    return card.made.get("bits")


def _stored(size: StoredSize | None) -> dict[str, str]:
    """Bytes per class, and apart those of the weights that images are rendered with."""
    if size is None:
        return {}
    parts = {"latents": size.latents, "shared tensors": size.shared, "labels": size.labels}
    said = ", ".join(f"{name} {number / size.classes:,.0f}" for name, number in parts.items())
    weights = "not known" if size.weights is None else f"{size.weights:,}" if size.weights else "none"
    return {
        "bytes per class, as codes": f"{size.per_class:,.0f} ({said})",
        "bytes of pretrained weights, apart": weights,
    }


def shown_value(value: Any) -> str:
    """A setting for people: mappings as ``key value``, lists with commas."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown_value(entry)}" for key, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _not_evaluated(content: CardContent) -> str:
    said = "The set has not been evaluated: nothing is known of how well networks do that are trained on it."
    if objects_in(content.config):
        return f"{said} On the run it came from, this measures it:\n\n{_fence('sh', 'glad evaluate RUN')}"
    return f"{said} Once it is distilled again, this measures it:\n\n{_fence('sh', 'glad evaluate again')}"


def _checks(verdicts: Mapping[str, str]) -> list[str]:
    if not verdicts:
        return []
    return ["## Checks", "\n".join(f"- {plain(name)}: {plain(text)}" for name, text in verdicts.items())]


def _limits(content: CardContent) -> list[str]:
    card, config = content.card, content.config
    side = f"{card.resolution} × {card.resolution} pixels, {card.channels} channel{'s' * (card.channels > 1)}"
    lines = [
        f"For training classifiers of these {len(card.classes)} classes at {side}. Not for testing them, not for other "
        "tasks, not for statistics about the real data, and not as pictures of what the classes look like.",
        f"Optimized with the network {plain(config.get('network'))}: others may learn less from it.",
        "What the data" + (" and the weights" if content.weights else "") + " are biased by, the set is biased by.",
    ]
    if "memorisation" not in content.verdicts:
        lines.append("How near the images come to single training images was not measured (`glad audit` does).")
    for kind, export in content.exports.items():
        lines.append(f"{plain(content.names[kind])}: {_cost(export)}" + _rendered(kind))
    zca = dict.fromkeys(ZCA[export.zca] for export in content.exports.values() if export.zca in ZCA)
    return [*lines, *zca]


def _cost(export: Card) -> str:
    """What storing cost, in words."""
    cost = export.cost
    if export.levels is None and export.format == "codes" and (bits := _bits(export)):
        return f"{bits} bits for each learned number, as evenly spaced levels."
    if export.levels is None:
        return "floats, nothing is rounded or clipped."
    clipped = f"{100 * cost.clipped:.3g} % of the values were clipped, the furthest by {cost.outside:.3g}/255"
    return (
        f"{export.levels.bits} bits, which cost {cost.mean:.3g}/255 on average and {cost.max:.3g}/255 at most; "
        + (clipped if cost.clipped else "no value was clipped")
        + "."
    )


def _rendered(kind: str) -> str:
    return " Rendered on another processor or version, the images differ by rounding." if kind == "codes" else ""
