"""What the holders of the rights in weights or data allow, as fields; and the forms in which older files state it."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SAYS = {True: "allowed", False: "forbidden", None: "not stated"}
"""What is said of a use, in a word or two."""

_ALLOWED = ("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "unlicense")
_ALIASES = {"cc0": "cc0-1.0"}
_WORDS = re.compile(r"(.*) \(commercial use (\w+(?: \w+)?), passing on (\w+(?: \w+)?)\)", re.DOTALL)


@dataclass(frozen=True)
class License:
    """What the holders of the rights say, as every file of this project stores it.

    Attributes:
        id: The identifier that the Hub knows, in lower case, such as ``cc-by-4.0``; None where there is none.
        text: What they say, for people: a name or a sentence. Nothing is decided by it.
        commercial: Whether commercial use is allowed; None where nobody says.
        redistribution: Whether passing on is allowed; None where nobody says.
    """

    id: str | None
    text: str
    commercial: bool | None = None
    redistribution: bool | None = None

    def in_words(self) -> str:
        """What is allowed, for people."""
        return f"{self.text} (commercial use {SAYS[self.commercial]}, passing on {SAYS[self.redistribution]})"

    def fields(self) -> dict[str, Any]:
        """The fields as JSON takes them."""
        return asdict(self)

    def to_json(self) -> str:
        """The fields as text: the value of ``license`` in the metadata of a file of weights."""
        return json.dumps(self.fields(), sort_keys=True)


NOT_RECORDED = License(None, "not recorded")
"""Of weights whose record has no license."""


def read_license(text: str) -> License:
    """The license with the identifier ``text``; of any other text, a license of which nothing else is known."""
    identifier = text.strip().lower()
    identifier = _ALIASES.get(identifier, identifier)
    if identifier in _ALLOWED:
        return License(identifier, text, commercial=True, redistribution=True)
    if re.fullmatch(r"cc-by-nc(-sa)?-[\d.]+", identifier):
        return License(identifier, text, commercial=False, redistribution=True)
    return License(None, text or "no license stated")


def license_of(record: Mapping[str, Any]) -> License:
    """The license that a record or the metadata of a file state.

    ``license`` holds fields, or their JSON, or in files of others an identifier or free text. Older files have
    ``licence``: an identifier, or the words of ``License.in_words``, which are read here and nowhere else.

    Args:
        record: Such as ``weights`` of ``inputs.json``, the record of a download, or metadata of safetensors.

    Returns:
        The license; ``NOT_RECORDED`` where there is none.

    Raises:
        ValueError: The fields are not those of a license.
    """
    stated = record.get("license", record.get("licence"))
    fields = _as_json(stated) if isinstance(stated, str) else stated
    if isinstance(fields, Mapping):
        return _read_fields(fields)
    return _read_words(str(stated)) if stated else NOT_RECORDED


def _as_json(text: str) -> Any:
    """What ``text`` holds as JSON; None where it is none, as an identifier is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_fields(fields: Mapping[str, Any]) -> License:
    uses = [fields.get(name) for name in ("commercial", "redistribution")]
    identifier, text = fields.get("id"), fields.get("text")
    strings = isinstance(text, str) and (identifier is None or isinstance(identifier, str))
    if not strings or not all(use is None or isinstance(use, bool) for use in uses):
        raise ValueError(
            f"a license has id, text, commercial and redistribution (true, false or null), not {dict(fields)}"
        )
    return License(identifier, str(text), *uses)


def _read_words(words: str) -> License:
    """A license in the form of versions before fields: an identifier, or ``License.in_words`` of one."""
    allowed = {said: use for use, said in SAYS.items()}
    match = _WORDS.fullmatch(words)
    if match is None or not {match[2], match[3]} <= allowed.keys():
        return read_license(words)
    return License(read_license(match[1]).id, match[1], allowed[match[2]], allowed[match[3]])
