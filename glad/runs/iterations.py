"""How many iterations a run has gone through."""

from pathlib import Path

from glad.runs.storage import RunError


def require_no_fewer(iterations: int, folder: Path) -> None:
    """Raise ``RunError`` where the run in ``folder`` went further than ``iterations``: its set is not one of so few."""
    path = folder / "metrics.jsonl"  # a line per iteration
    done = path.read_bytes().count(b"\n") if path.exists() else 0
    if done > iterations:
        remedy = f"ask for {done} or more, or choose another --out"
        raise RunError(f"{folder} has gone through {done} iterations, {iterations} are asked for: {remedy}")
