"""The page: facts into one HTML file that needs nothing else."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from glad.evaluation.rows import SET
from glad.reports.audits import Audit, audit_of, neighbours
from glad.reports.charts import Curves, curves
from glad.reports.commands import (
    audit_command,
    distill_command,
    evaluate_command,
    protocol_file,
    report_command,
    same_evaluation_command,
)
from glad.reports.conclusions import QUESTIONS, Answer, answers
from glad.reports.formatting import count, counted, duration, number, share
from glad.reports.run_data import Facts
from glad.reports.run_results import understood
from glad.reports.snapshots import Film, Frame, film, neighbours_of
from glad.reports.tables import Table, comparisons, cost, scores

ASSETS = Path(__file__).parent / "assets"
CURVE_NAMES = {"loss": "Loss", "image_grad": "images"}


@dataclass(frozen=True)
class Part:
    """What the page says of one run; ``commands`` make it again, with a word of what each does."""

    facts: Facts
    answers: tuple[Answer, ...]
    film: Film | None
    nearest: dict[int, str]
    nearest_pictures: dict[int, str]
    curves: tuple[Curves, ...]
    audit: Audit | None
    extra: Mapping[str, Table]
    depends: Table
    commands: tuple[tuple[str, str], ...]
    audit_command: str
    evaluate_command: str


def render(runs: Sequence[Facts], version: str = "") -> str:
    """The whole page; with a ``version`` it asks the server that it came from for another one."""
    style, script = ((ASSETS / name).read_text() for name in ("style.css", "script.js"))
    return (
        _environment()
        .get_template("page.html")
        .render(
            questions=QUESTIONS,
            parts=[_part(facts) for facts in runs],
            comparisons=comparisons(runs),
            title=", ".join(facts.label for facts in runs),
            version=version,
            style=style,
            script=script,
            policy=policy(style, script, live=bool(version)),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "asframe": _as_frame,
        "count": count,
        "counted": counted,
        "duration": duration,
        "number": number,
        "share": share,
    }
    return environment


def _as_frame(frame: Frame) -> dict[str, Any]:
    """A frame as the script takes it."""
    loss = None if frame.loss is None else number(frame.loss)
    return {"iteration": frame.iteration, "loss": loss, "pictures": frame.pictures}


def policy(style: str, script: str, live: bool) -> str:
    """The page's Content-Security-Policy: this style, this script, images inside the page, and nothing else."""
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hashed(style),
        "script-src": _hashed(script),
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{key} {value}" for key, value in allowed.items())


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _part(facts: Facts) -> Part:
    results = facts.results
    own = results.row(SET) if results else None
    extra: dict[str, Table | None] = {}
    with understood(facts.run.path / "audit.json"):
        audit, nearest = audit_of(facts), neighbours(facts)
    with understood(facts.run.path / "results.json"):
        answered = answers(facts)
        if results and own:
            extra = {"Cost": cost(results), "Scores": scores(results, own.id)}
    frames = film(facts)
    return Part(
        facts=facts,
        answers=answered,
        film=frames,
        nearest=nearest,
        nearest_pictures=neighbours_of(facts, frames.shown) if frames else {},
        curves=_curves(facts),
        audit=audit,
        extra={title: table for title, table in extra.items() if table is not None},
        depends=_depends(facts),
        commands=tuple(_commands(facts)),
        audit_command=audit_command(facts),
        evaluate_command=evaluate_command(facts),
    )


def _curves(facts: Facts) -> tuple[Curves, ...]:
    """The loss, and the norms of the gradients."""
    series: dict[str, list[tuple[float, float]]] = {}
    for entry in facts.metrics:
        for key, value in entry.items():
            if key != "iteration":
                series.setdefault(key, []).append((entry["iteration"], value))
    loss = {CURVE_NAMES["loss"]: series.pop("loss", [])}
    grads = {CURVE_NAMES.get(key, key.removeprefix("grad/")): values for key, values in series.items()}
    drawn = curves("Loss", loss), curves("Norm of the gradients", grads, logarithmic=True)
    return tuple(chart for chart in drawn if chart is not None)


def _depends(facts: Facts) -> Table:
    """Seeds, hashes and versions."""
    inputs, config = facts.inputs, facts.config
    rows: list[tuple[str, Any]] = [("seed of the distillation", config.get("seed"))]
    if facts.results is not None:
        rows.append(("seeds of the evaluation", ", ".join(map(str, facts.results.seeds))))
    rows += [(f"hash of {name}", digest) for name, digest in inputs["hashes"].items() if digest]
    rows += [(f"version of {name}", version) for name, version in inputs.get("versions", {}).items()]
    return Table("What the result depends on", ("what", "value"), tuple((key, str(value)) for key, value in rows))


def _commands(facts: Facts) -> list[tuple[str, str]]:
    objects = [key for key in ("data", "objective", "prior") if str(facts.config.get(key, "")).startswith("object:")]
    listed = []
    if objects:
        what = ", ".join(f"{key}={facts.config[key].removeprefix('object:')}" for key in objects)
        listed.append(("The run was made from Python with objects of its own", f"glad.distill({what}, ...)"))
    else:
        again = distill_command(facts, str(facts.run.path) + "-again")
        listed.append(("The same set, from the settings below", again))
    if facts.results is not None:
        if fields := protocol_file(facts.results):
            listed.append(("The protocol of the evaluation, to be kept as protocol.yaml", fields))
        listed.append(("The same evaluation", same_evaluation_command(facts, facts.results)))
    listed.append(("This page", report_command(facts)))
    return listed
