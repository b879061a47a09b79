"""What is said of a set of images that another program made."""

from collections.abc import Mapping
from typing import Literal

Values = Literal["unit", "uint8", "normalized"]
VALUES: Mapping[Values, str] = {
    "unit": "0 to 1, or somewhat beyond",
    "uint8": "0 to 255",
    "normalized": "by the mean and deviation of the data",
}
"""What stored values can be, and what that means."""
REST = "*"
"""The key of a class map that stands for the classes without one of their own."""
