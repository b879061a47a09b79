"""The rows of the tables of reproduce_color.py: objectives, priors, and the learning rates of their latents."""

from itertools import product
from typing import Any

OBJECTIVES: dict[str, dict[str, Any]] = {
    "DC": {"objective": "dc", "iterations": 200},
    "DM": {"objective": "dm", "iterations": 200},
    "MTT": {"objective": "mtt", "iterations": 100},
    "AST": {"objective": "ast", "iterations": 100},
    "By turns": {"objective": "by_turns:DMByTurns", "iterations": 200},
}
FASTER = ("MTT", "AST")
"""Half as many iterations are enough for these at 10 images per class, where one takes ten times as long."""
PRIORS: dict[str, dict[str, Any]] = {
    "pixels from noise": {"prior": "pixels", "prior_options": {"init": "noise"}},
    "pixels from real images": {"prior": "pixels", "prior_options": {"init": "real"}},
    "codes W+": {},
    "codes F_2": {"prior_options": {"layer": 2}},
    "codes W, equal numbers": {"prior_options": {"space": "w"}},
    "IDC, equal numbers": {"prior": "idc"},
    "FreD, equal numbers": {"prior": "fred"},
}
"""Those without a ``prior`` have the generator's."""
RATES: dict[str, dict[str, float]] = {
    "DC": {"pixels": 0.1, "w": 0.03},
    "DM": {"pixels": 1.0, "w": 0.03, "f": 1.0, "coefficients": 10.0},
    "MTT": {"pixels": 1e3, "w": 3.0, "f": 100.0, "coefficients": 2.4e4},
    "AST": {"pixels": 333.0, "w": 1.0, "f": 33.0, "coefficients": 8e3},
}
"""Of each kind of latent at 1 image per class; ``Source.times`` them are taken, and ten times as much at 10 per class,
where ten times the images share a mean. AST's are a third of MTT's, as its sum of losses moves as far."""
RATES["By turns"] = RATES["DM"]
LATENTS = {
    "codes": ("w",),
    "codes F_2": ("w", "f"),
    "FreD": ("coefficients",),
    "pixels": ("pixels",),
    "IDC": ("pixels",),
}


def latents(what: str) -> tuple[str, ...]:
    """The latents of a prior in words, ``RATES`` of which it learns at."""
    return LATENTS[max((of for of in LATENTS if what.startswith(of)), key=len)]


ROWS = {
    f"{how}, {what}": OBJECTIVES[how] | PRIORS[what]
    for how, what in product(OBJECTIVES, PRIORS)
    if set(latents(what)) <= set(RATES[how])
}
"""What each row is, in words, and its settings."""
