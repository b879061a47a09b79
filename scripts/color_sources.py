"""Real images in color, their generators, and what is particular to runs on them: what reproduce_color.py runs on."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Source:
    """Real images, their generator, and what is particular to runs on them."""

    data: dict[str, Any]
    """What ``load_data`` takes; its ``source`` is ``data``."""
    prior: str
    experts: dict[str, int]
    matched: dict[str, Any]
    """Which part of the experts MTT and AST match."""
    step_rate: float
    """Learning rate of the step size of a student of MTT and AST."""
    score: str
    """``accuracy``, or the mean of the classes' own, ``macro_accuracy``, where classes are unequal."""
    times: dict[str, float]
    """By row, chosen on validation images: so many times ``RATES``; 1 of the others."""


STARTS = ("noise", "real images")
SOURCES = {
    "photographs": Source(
        data={"data": "clothing-mini", "resolution": 32},
        prior="clothing-mini",
        experts={"count": 3, "epochs": 30},
        # An epoch has six steps, and at the usual 1e-2 a student of noise goes five times too far.
        matched={"syn_steps": 20, "expert_epochs": 5, "max_start_epoch": 10, "step_size": 2e-3},
        step_rate=1e-6,
        score="macro_accuracy",
        times={
            **dict.fromkeys(("DM, pixels from real images", "DM, codes W+"), 0.3),
            **dict.fromkeys(("MTT, codes W+", "AST, codes W+"), 3.0),
            **dict.fromkeys(("DC, codes W+", *(f"DC, pixels from {start}" for start in STARTS)), 3.0),
        },
    ),
    "cifar10": Source(
        data={"data": "cifar10"},
        prior="runs/cifar10-generator/generator.safetensors",
        experts={"count": 3, "epochs": 4},
        matched={"syn_steps": 20, "expert_epochs": 2, "max_start_epoch": 2, "step_size": 1e-2},
        step_rate=1e-5,
        score="accuracy",
        times={
            **dict.fromkeys((f"{how}, pixels from {start}" for how, start in product(("MTT", "AST"), STARTS)), 3.0),
            **dict.fromkeys(("MTT, codes W+", "AST, codes W+"), 10.0),
            "DM, pixels from real images": 0.3,
            "DM, codes W+": 0.1,
        },
    ),
}
SOURCES["photographs-64"] = replace(SOURCES["photographs"], data={"data": "clothing-mini", "resolution": 64})
"""The same at 64 pixels, to which the generator's images of 32 are enlarged; nothing else was chosen for them."""
