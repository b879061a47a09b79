"""What goes to the Hub: a file of weights and its model card, if its licence lets it be passed on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generators import catalog, official, store, weights

IDENTIFIERS = {"cc0": "cc0-1.0"}  # of the Hub, where they differ from what files say


@dataclass(frozen=True)
class Parcel:
    """One file of weights on its way to ``repo``, with its card."""

    repo: str
    file: Path
    sha256: str
    card: str

    def contents(self) -> dict[str, Path | bytes]:
        """What goes, by its name in the repository."""
        return {self.file.name: self.file, "README.md": self.card.encode()}


def pack(file: Path, repo: str, licence: str | None = None) -> Parcel:
    """Make the parcel of ``file`` for ``repo``; ``licence`` is what the owner of the file puts it under.

    Raises :class:`~generators.weights.WeightsError` when it is not a generator, ``ValueError`` when its licence is not
    known or forbids passing it on.
    """
    generator, metadata = weights.load(file)
    sha256 = official.sha256(file)
    terms = may_pass_on(file, sha256, metadata, licence)
    facts = {
        "file": f"`{file.name}`, {file.stat().st_size:,} bytes",
        "SHA-256": f"`{sha256}`",
        "images": f"{generator.resolution} px, {generator.channels} channel(s)",
        "classes": str(generator.mapping.c_dim or "none (unconditional)"),
        "parameters": f"{sum(p.numel() for p in generator.parameters()):,}",
        "licence": terms.in_words(),
    }
    return Parcel(repo, file, sha256, model_card(repo, file.name, terms, facts, metadata))


def may_pass_on(file: Path, sha256: str, metadata: Mapping[str, str], given: str | None) -> catalog.Licence:
    """The licence under which ``file`` may go to others; ``ValueError`` when none is known that allows it."""
    known = [name for name, path in weights.EMBEDDED.items() if official.sha256(path) == sha256]
    stated = metadata.get("licence") or metadata.get("license")
    if record := next((record for record in store.records() if record.sha256 == sha256), None):
        terms, by = catalog.read_licence(record.licence), f"what {record.name} is published under"
    elif known:
        terms, by = catalog.CATALOG[known[0]].licence, "its card"
    elif stated:
        terms, by = catalog.read_licence(stated), "its metadata"
    elif given:
        return catalog.read_licence(given)  # the owner's word
    else:
        raise ValueError(f"{file} states no licence: if it is your own, say under which one with --licence")
    if not terms.redistribution:
        raise ValueError(f"{file} must not be passed on: {terms.in_words()}, by {by}")
    if given and given.lower() != terms.text.lower():
        raise ValueError(f"{file} is under {terms.text} by {by}, not under {given}")
    return terms


def model_card(
    repo: str, file: str, terms: catalog.Licence, facts: Mapping[str, str], metadata: Mapping[str, str]
) -> str:
    """The README.md of ``repo``: front matter that the Hub reads, then provenance for people."""
    rows = {**facts, **{key: value for key, value in sorted(metadata.items()) if key != weights.KEY}}
    table = "\n".join(f"| {key} | {_cell(value)} |" for key, value in rows.items())
    return f"""---
{_licence_lines(terms)}
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


def _licence_lines(terms: catalog.Licence) -> str:
    """The licence as the Hub wants it: one of its identifiers, or "other" and a name."""
    identifier = terms.text.lower()
    if terms.redistribution is None:
        return f"license: other\nlicense_name: {json.dumps(terms.text)}"
    return f"license: {IDENTIFIERS.get(identifier, identifier)}"


def _cell(value: str) -> str:
    """One line that does not end the table's cell."""
    return ", ".join(value.split("\n")).replace("|", "\\|")
