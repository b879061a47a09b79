"""Numbers and names as people read them, the same way everywhere on the page and in pictures."""

import math
from collections.abc import Mapping
from typing import Any

Statistic = Mapping[str, Any]
"""``{"mean", "std", "n"}`` of accuracies in [0, 1], as ``glad.evaluation.summarize`` gives them; std may be None."""
ABSENT = "–"
LONGEST = 58  # letters of a name


def printable(name: str) -> str:
    """A name without what XML cannot hold, cut to ``LONGEST`` letters."""
    name = "".join(letter if letter.isprintable() else "�" for letter in name)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def percent(entry: Statistic | None) -> str:
    """A mean with its deviation in per cent, without the sign: ``67.9 ± 0.6``."""
    if entry is None:
        return ABSENT
    spread = "" if entry["std"] is None else f" ± {100 * entry['std']:.1f}"
    return f"{100 * entry['mean']:.1f}{spread}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points: ``+1.9``, with a true minus; zero has no sign."""
    text = f"{100 * difference:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def share(value: float | None) -> str:
    """A share in [0, 1] as ``61.0 %``."""
    return ABSENT if value is None else f"{100 * value:.1f} %"


def count(value: int) -> str:
    """A whole number with its thousands apart: ``5,000``."""
    return f"{value:,}"


def times(ratio: float) -> str:
    """How many times as much: ``2.5``, and ``450`` where tenths say nothing."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"


def number(value: float) -> str:
    """Three digits: ``0.03``, ``12.5``, ``1.2e-05``; whole numbers below a million in full."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def size(bytes_: int) -> str:
    """Bytes in powers of 1000: ``7.8 kB``."""
    value, unit = float(bytes_), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Seconds as ``0.25 s``, ``3 min 12 s`` or ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def plural(value: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count(value)} {noun}{'s' * (value != 1)}"


def join_words(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
