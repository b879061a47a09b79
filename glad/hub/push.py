"""A finished run as a data set on the Hugging Face Hub: what goes, and under whose permission."""

import hashlib
import io
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from torch import Tensor

from generators import hub
from generators.license import License, read_license
from generators.provenance import Weights
from glad.data.dataset import Splits
from glad.evaluation.results_store import read_results, row_of_set, shown_results
from glad.formats import FORMATS
from glad.formats.compression import compress_set, name_in_run
from glad.formats.export import export
from glad.formats.load import load_distilled
from glad.hub import card_results, dataset_card
from glad.hub.paths import bare_name, strip_paths
from glad.runs.folder import Run
from glad.runs.soft_labels import hash_of
from glad.runs.storage import RunError, read_json, write_durably
from glad.runs.stored_size import size_of_run
from glad.settings.objects import is_object

FASHION = "FashionMNIST, copyright © 2017 Zalando SE, https://tech.zalando.com"
CLOTHING = "clothing dataset (small), A. Grigorev, https://github.com/alexeygrigorev/clothing-dataset-small"
DATA = {
    **{name: (FASHION, License("mit", "MIT", True, True)) for name in ("fashion-mini", "fashionmnist")},
    "clothing-mini": (CLOTHING, License("cc0-1.0", "CC0-1.0", True, True)),
}
"""Whose the data are, and their license, by the names of ``glad distill --data``; of others nothing is known."""
PICTURES = "pictures"
PICTURED = 1600  # pixels a side of a picture, at most


@dataclass(frozen=True)
class File:
    """One file, by its name in the repository."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DatasetUpload:
    """What goes to ``repo`` as one commit, README.md (the text ``card``) included; ``address`` once it has gone."""

    repo: str
    files: tuple[File, ...]
    card: str
    address: str = ""


Parcel = DatasetUpload  # its former name


def push(
    run: str | Path | Run,
    repo: str,
    *,
    formats: Sequence[str] | None = None,
    license: str | None = None,
    permission: str | None = None,
    bits: int | None = None,
    private: bool = False,
    dry_run: bool = False,
    data: Splits | None = None,
    notice: Callable[[DatasetUpload], None] | None = None,
) -> DatasetUpload:
    """Put the set of a finished ``run`` with its card on the Hugging Face Hub, as one commit.

    Args:
        run: The finished run, by its folder or as an object.
        repo: The data set's name on the Hub, ORG/NAME.
        formats: Names in ``glad.formats.FORMATS``; by default Parquet, exact floats and, if a generator made the set,
            its codes.
        license: What the set is put under, such as ``cc-by-4.0``; needed unless the license of the data is known.
        permission: Who allows passing the set on, where the license of the weights does not. The card shows it.
        bits: Store learned numbers in so many bits first, as ``glad.compress`` does; by default all of them.
        private: Make the repository private, and refuse one that is public.
        dry_run: Send nothing.
        data: The splits, for a run that was distilled from an object instead of a name.
        notice: Is called with the upload before it is sent.

    Returns:
        The files with their SHA-256, the text of the card and, once they have gone, the address of the commit.

    Raises:
        ValueError: Where a license forbids it or is missing.
        RunError: For what is no finished run.
        FetchError: Where the Hub does not take it.

    Examples:
        >>> upload = glad.push("runs/tiny", "me/tiny-clothes", dry_run=True)
        >>> [file.name for file in upload.files if file.name.endswith((".parquet", ".md"))]
        ['README.md', 'set.parquet']
    """
    hub.require_name(repo)
    folder = run if isinstance(run, Run) else Run(Path(run))
    with tempfile.TemporaryDirectory(prefix="glad-push-") as name:
        place = Path(name)
        upload = _pack(folder, repo, formats, license, permission, bits, data, place)
        if notice is not None:
            notice(upload)
        if dry_run:
            return upload
        contents: dict[str, Path | bytes] = {file.name: place / file.name for file in upload.files}
        message = f"Add a distilled set (SHA-256 of its card {_sha256(place / 'README.md')[:12]})"
        return replace(upload, address=hub.put(repo, contents, message, private, "dataset", _names().values()))


def _names() -> dict[str, str]:
    """What each form of the set is called in the repository."""
    return {kind: known.name.replace("export", "set") for kind, known in FORMATS.items()}


def _pack(
    run: Run,
    repo: str,
    formats: Sequence[str] | None,
    license: str | None,
    permission: str | None,
    bits: int | None,
    data: Splits | None,
    place: Path,
) -> DatasetUpload:
    """Write all that goes to the empty folder ``place``."""
    config, source, inputs = run.config, load_distilled(run.path, data=data), run.inputs
    weights, stored, results = _weights(run), size_of_run(run), run.path / "results.json"
    if bits is not None:
        source, results = compress_set(source, bits), run.path / f"{name_in_run(bits)}.results.json"
        stored = stored and replace(source.stored, weights=stored.weights)
    front, licenses = _licenses(run, config, weights, license, permission)
    named = weights is not None and not is_object(config["prior"])  # by which codes can be rendered
    kinds = list(dict.fromkeys(formats or ("parquet", "safetensors", *(("codes",) if named else ()))))
    for kind in kinds:
        FORMATS.require(kind)
    exports = {kind: export(source, kind, place / _names()[kind]).card for kind in kinds}
    pictures = _take_grids(run, int(config["iterations"]), place)
    bare = strip_paths(config)
    write_durably(place / "config.yaml", yaml.safe_dump(bare, sort_keys=False, allow_unicode=True).encode())
    content = dataset_card.CardContent(
        repo=repo,
        card=source.card,
        config={**bare, "experts": config.get("experts") is not None},
        inputs=inputs,
        front=front,
        licenses=licenses,
        exports=exports,
        names={kind: _names()[kind] for kind in kinds},
        files=[(file.name, file.bytes, file.sha256) for file in _files(place)],
        pictures=pictures,
        weights=weights is not None,
        soft=source.soft_labels is not None,
        stored=stored,
        results=_results(run, results, source.images),
        verdicts=_verdicts(run, bits),
    )
    text = dataset_card.write(content)
    write_durably(place / "README.md", text.encode())
    return DatasetUpload(repo, _files(place), text)


def _files(place: Path) -> tuple[File, ...]:
    return tuple(
        File(path.relative_to(place).as_posix(), path.stat().st_size, _sha256(path))
        for path in sorted(place.rglob("*"))
        if path.is_file()
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _weights(run: Run) -> Weights | None:
    """The weights behind a run, without their place on a disk; None where there are none."""
    weights = run.weights
    return None if weights is None else replace(weights, name=bare_name(weights.name), file="")


def _licenses(
    run: Run, config: Mapping[str, Any], weights: Weights | None, license: str | None, permission: str | None
) -> tuple[dict[str, str], dict[str, str]]:
    """The license as the Hub wants it, and all that is known of licenses; ``ValueError`` where one forbids the push."""
    data = bare_name(str(config["data"]))
    license, permission = (" ".join((text or "").split()) for text in (license, permission))
    owner, known = DATA.get(str(config["data"]).lower(), ("", None))
    if license:
        terms = read_license(license)
    elif known is not None:
        terms = known
    else:
        raise ValueError(
            f"the license of the data {data} is not known here: say with --license (such as cc-by-4.0) under which one "
            "you may pass on a set made from them"
        )
    whose = f"{owner}, license {known.text}" if known else "license not known to glad; who published the set answers"
    stated = {"this set": terms.text, "the data": f"{data}: {whose}"}
    if weights is not None:
        _require_permission(run, weights, terms, permission)
        about = ", ".join(filter(None, (weights.name, weights.source, weights.sha256)))
        stated["the weights"] = f"{about}: license {weights.license.in_words()}"
    if permission:
        stated["permission"] = f"{permission} (so says who published the set)"
    if terms.id is not None:
        return {"license": terms.id}, stated
    return {
        "license": "other",
        "license_name": re.sub(r"[^a-z0-9.]+", "-", terms.text.lower()).strip("-") or "own",
    }, stated


def _require_permission(run: Run, weights: Weights, terms: License, permission: str) -> None:
    """Raise ``ValueError`` unless the license of the weights, or somebody's permission, allows ``terms``."""
    out = "ask the holders of the rights, and say with --permission whose consent you have (the card shows it)"
    words = weights.license.in_words()
    if permission:
        return
    if weights.license.redistribution is not True:
        raise ValueError(
            f"{run.path} is not published: no license is known of its weights {weights.name} that allows passing on "
            f"what is made of them ({words}); {out}"
        )
    if terms.commercial is not False and weights.license.commercial is not True:
        raise ValueError(
            f"{run.path} is not published under {terms.text}, which is not known to forbid commercial use: the license "
            f"of its weights {weights.name} does not allow it ({words}); choose one that forbids it with --license, "
            f"such as cc-by-nc-4.0, or {out}"
        )


def _take_grids(run: Run, iterations: int, place: Path) -> dict[str, str]:
    """Take the run's pictures of the set before and after along, no larger than a page; their texts by name."""
    texts = {}
    for name, at, text in (
        ("first", 0, "the set before optimization, a column per class"),
        ("last", iterations, f"the set after {iterations:,} iterations, a column per class"),
    ):
        path = run.path / f"grid_{at:06d}.png"
        if path.exists():
            buffer = io.BytesIO()
            with Image.open(path) as image:
                image.thumbnail((PICTURED, PICTURED))
                image.save(buffer, "PNG")
            write_durably(place / PICTURES / f"{name}.png", buffer.getvalue())
            texts[f"{PICTURES}/{name}.png"] = text
    return texts


def _results(run: Run, path: Path, images: Tensor) -> str | None:
    """What the file of results says of the set; None, with a warning, where it is unfinished or of another."""
    if not path.exists():
        return None
    try:
        content = shown_results(read_results(path, str(run.config.get("network"))))
        own = row_of_set(content, hash_of(images))
        if own is not None and own in content.get("summary", {}):
            return card_results.results(content, own)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is not what `glad evaluate` writes ({error!r}): evaluate anew, or remove it") from error
    why = "of another state of the set" if own is None else "of an unfinished evaluation"
    warnings.warn(f"{path} is {why} and stays out of the card: `glad evaluate {run.path}` completes it", stacklevel=2)
    return None


def _verdicts(run: Run, bits: int | None) -> dict[str, str]:
    """The texts of the run's audit, but for that on provenance, which the card shows itself; empty if there is none.

    An audit is of the set in all its bits.
    """
    path = run.path / "audit.json"
    content = read_json(path) if path.exists() else {}
    found = content.get("verdicts") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        return {}
    audited = content.get("provenance", {}).get("synset_sha256")
    if bits is not None:
        warnings.warn(
            f"{path} is of the set before it was stored in {bits} bits and stays out of the card", stacklevel=2
        )
        return {}
    if audited != _sha256(run.path / "synset.safetensors"):
        warnings.warn(
            f"{path} is of another state of the set and stays out of the card: `glad audit {run.path}` renews it",
            stacklevel=2,
        )
        return {}
    return {name: text for name, text in found.items() if isinstance(text, str) and name != "provenance"}
