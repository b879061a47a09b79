"""What goes to the Hub: a file of weights and its model card, if its license lets it be passed on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generators import catalog, official, store, weights
from generators.license import License, license_of, read_license

INSIDE = (weights.KEY, "license", "licence")
"""Metadata that are not for people, or that the card shows in words."""


@dataclass(frozen=True)
class WeightsUpload:
    """One file of weights on its way to ``repo``, with its card."""

    repo: str
    file: Path
    sha256: str
    card: str

    def contents(self) -> dict[str, Path | bytes]:
        """What goes, by its name in the repository."""
        return {self.file.name: self.file, "README.md": self.card.encode()}


def pack(file: Path, repo: str, license: str | None = None) -> WeightsUpload:
    """Make the upload of ``file`` for ``repo``; ``license`` is what the owner of the file puts it under.

    Raises ``generators.weights.WeightsError`` when it is not a generator, ``ValueError`` when its license is not
    known or forbids passing it on.
    """
    generator, metadata = weights.load(file)
    sha256 = official.sha256(file)
    terms = may_pass_on(file, sha256, metadata, license)
    facts = {
        "file": f"`{file.name}`, {file.stat().st_size:,} bytes",
        "SHA-256": f"`{sha256}`",
        "images": f"{generator.resolution} px, {generator.channels} channel(s)",
        "classes": str(generator.mapping.c_dim or "none (unconditional)"),
        "parameters": f"{sum(p.numel() for p in generator.parameters()):,}",
        "license": terms.in_words(),
    }
    return WeightsUpload(repo, file, sha256, model_card(repo, file.name, terms, facts, metadata))


def may_pass_on(file: Path, sha256: str, metadata: Mapping[str, str], given: str | None) -> License:
    """The license under which ``file`` may go to others; ``ValueError`` when none is known that allows it."""
    known = [name for name, path in weights.EMBEDDED.items() if official.sha256(path) == sha256]
    if record := next((record for record in store.records() if record.sha256 == sha256), None):
        terms, by = record.license, f"what {record.name} is published under"
    elif known:
        terms, by = catalog.CATALOG[known[0]].license, "its card"
    elif metadata.get("license") or metadata.get("licence"):
        terms, by = license_of(metadata), "its metadata"
    elif given:
        return read_license(given)  # the owner's word
    else:
        raise ValueError(f"{file} states no license: if it is your own, say under which one with --license")
    if not terms.redistribution:
        raise ValueError(f"{file} must not be passed on: {terms.in_words()}, by {by}")
    if given and given.lower() not in (terms.text.lower(), terms.id):
        raise ValueError(f"{file} is under {terms.text} by {by}, not under {given}")
    return terms


def model_card(repo: str, file: str, terms: License, facts: Mapping[str, str], metadata: Mapping[str, str]) -> str:
    """The README.md of ``repo``: front matter that the Hub reads, then provenance for people."""
    rows = {**facts, **{key: value for key, value in sorted(metadata.items()) if key not in INSIDE}}
    table = "\n".join(f"| {key} | {_cell(value)} |" for key, value in rows.items())
    return f"""---
{_license_lines(terms)}
library_name: glad
tags:
- stylegan-xl
- dataset-distillation
---
# {repo.partition("/")[2]}

A StyleGAN-XL generator for dataset distillation with `glad`.

```bash
glad weights pull {repo}:{file}
glad distill --prior {repo}:{file}
```

| | |
| --- | --- |
{table}
"""


def _license_lines(terms: License) -> str:
    """The license as the Hub wants it: one of its identifiers, or "other" and a name."""
    if terms.id is None:
        return f"license: other\nlicense_name: {json.dumps(terms.text)}"
    return f"license: {terms.id}"


def _cell(value: str) -> str:
    """One line that does not end the table's cell."""
    return ", ".join(value.split("\n")).replace("|", "\\|")
