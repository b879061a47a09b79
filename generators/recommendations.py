"""What a file of weights recommends in its metadata, held to its form when the file is read."""

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass

GREATEST_FRAME = 4096  # pixels: no generator renders twice as many


@dataclass(frozen=True)
class Recommendations:
    """What a file of weights says beside its geometry."""

    learning_rates: Mapping[str, Mapping[str, float]]
    """By objective and latent."""
    frame: int
    """Pixels to cut off each side of the generator's images."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of their numbers; none where the file names none."""


def read_recommendations(metadata: Mapping[str, str]) -> Recommendations:
    """Read what the metadata of a file of weights recommends.

    Args:
        metadata: The metadata of a safetensors file; ``learning_rates`` is JSON, ``frame`` a whole number, ``classes``
            a name a line. Entries that are missing recommend nothing.

    Returns:
        The recommendations.

    Raises:
        ValueError: An entry is not of its form; the message has its name and value.
    """
    frame = metadata.get("frame", "0")
    if not frame.isdecimal() or int(frame[:9]) > GREATEST_FRAME:
        raise ValueError(f"its metadata tell a frame of {reprlib.repr(frame)}, not a whole number of pixels")
    try:
        rates = json.loads(metadata.get("learning_rates", "{}"))
    except ValueError as error:
        raise ValueError(f"its learning_rates are not JSON: {error}") from error
    return Recommendations(_rates(rates), int(frame), tuple(metadata.get("classes", "").splitlines()))


def _rates(rates: object) -> dict[str, dict[str, float]]:
    """``rates`` if they are of the form {objective: {latent: rate}}."""
    if not isinstance(rates, dict) or not all(isinstance(entry, dict) for entry in rates.values()):
        form = '{"OBJECTIVE": {"LATENT": RATE}}'
        raise ValueError(f"its learning_rates {reprlib.repr(rates)} are not of the form {form}")
    for objective, entry in rates.items():
        for latent, rate in entry.items():
            number = isinstance(rate, int | float) and not isinstance(rate, bool)
            if not (number and math.isfinite(rate) and rate >= 0):
                stated = f"{reprlib.repr(rate)} for {objective}, {latent}"
                raise ValueError(f"its learning_rates have {stated}, not a number of 0 or more")
    return rates
