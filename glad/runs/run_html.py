"""What a notebook shows of a run: how far it is, its newest pictures, and its loss."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from glad.runs.charts import curves
from glad.runs.html import address, note, picture, section
from glad.runs.storage import RunError

FACTS = ("data", "objective", "prior", "ipc", "budget", "iterations", "seed", "network")


def run_html(path: Path, read_config: Callable[[], Mapping[str, Any]]) -> str:
    """A self-contained piece of HTML; a folder that is no run, or is damaged, is a line that says so."""
    try:
        config = read_config()
        losses = _losses(path / "metrics.jsonl")
        grids = sorted(path.glob("grid_[0-9]*.png"))
        parts = [_grid(grids[-1])] if grids else []
    except (RunError, OSError, ValueError, Image.DecompressionBombError) as error:
        return section(path.name, {}, note(f"cannot be shown: {' '.join(str(error).split())}"))
    finished = (path / "synset.safetensors").exists()
    facts = {"state": "finished" if finished else f"{len(losses)} iterations are done"}
    facts |= {name: str(config[name]) for name in FACTS if config.get(name) is not None}
    chart = curves("Loss", {"loss": losses})
    parts += [address(chart.source, chart.alternative)] if chart else []
    return section(path.name, facts, *parts)


def _losses(path: Path) -> list[tuple[float, float]]:
    """The finite losses by iteration; the last line may be incomplete."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    entries = [json.loads(line) for line in lines]
    found = [(float(entry["iteration"]), float(entry["loss"])) for entry in entries if "loss" in entry]
    return [(iteration, loss) for iteration, loss in found if math.isfinite(loss)]


def _grid(path: Path) -> str:
    with Image.open(path) as image:
        return picture(image.convert("RGB"), f"the set after {int(path.stem.removeprefix('grid_'))} iterations")
