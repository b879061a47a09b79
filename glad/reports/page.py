"""The page: run_data into one HTML file that needs nothing else."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from glad.evaluation.rows import SET
from glad.reports.audits import Audit, audit_of, neighbors
from glad.reports.commands import (
    audit_command,
    distill_command,
    evaluate_command,
    protocol_file,
    report_command,
    same_evaluation_command,
)
from glad.reports.conclusions import QUESTIONS, Conclusion, draw_conclusions
from glad.reports.run_data import RunData
from glad.reports.run_results import explain_damage
from glad.reports.snapshots import Film, Frame, film, neighbors_of
from glad.reports.tables import TextTable, comparisons, cost, scores, storage
from glad.runs.charts import Chart, curves
from glad.runs.formatting import count, duration, number, plural, share
from glad.settings.objects import objects_in

ASSETS = Path(__file__).parent / "assets"
CURVE_NAMES = {"loss": "Loss", "image_grad": "images"}


@dataclass(frozen=True)
class RunSection:
    """What the page says of one run; ``commands`` make it again, with a word of what each does."""

    run_data: RunData
    conclusions: tuple[Conclusion, ...]
    film: Film | None
    nearest: dict[int, str]
    nearest_pictures: dict[int, str]
    curves: tuple[Chart, ...]
    audit: Audit | None
    extra: Mapping[str, TextTable]
    depends: TextTable
    commands: tuple[tuple[str, str], ...]
    audit_command: str
    evaluate_command: str


def render(runs: Sequence[RunData], version: str = "") -> str:
    """The whole page; with a ``version`` it asks the server that it came from for another one."""
    style, script = ((ASSETS / name).read_text() for name in ("style.css", "script.js"))
    return (
        _environment()
        .get_template("page.html")
        .render(
            questions=QUESTIONS,
            parts=[_part(run_data) for run_data in runs],
            comparisons=comparisons(runs),
            title=", ".join(run_data.label for run_data in runs),
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
        "plural": plural,
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
        "style-src": _hash_of_source(style),
        "script-src": _hash_of_source(script),
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{key} {value}" for key, value in allowed.items())


def _hash_of_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _part(run_data: RunData) -> RunSection:
    results = run_data.results
    own = results.row(SET) if results else None
    extra: dict[str, TextTable | None] = {}
    with explain_damage(run_data.run.path / "audit.json"):
        audit, nearest = audit_of(run_data), neighbors(run_data)
    with explain_damage(run_data.run.path / "results.json"):
        conclusions = draw_conclusions(run_data)
        if results and own:
            extra = {"Storage": storage(results), "Cost": cost(results), "Scores": scores(results, own.id)}
    frames = film(run_data)
    return RunSection(
        run_data=run_data,
        conclusions=conclusions,
        film=frames,
        nearest=nearest,
        nearest_pictures=neighbors_of(run_data, frames.shown) if frames else {},
        curves=_curves(run_data),
        audit=audit,
        extra={title: table for title, table in extra.items() if table is not None},
        depends=_depends(run_data),
        commands=tuple(_commands(run_data)),
        audit_command=audit_command(run_data),
        evaluate_command=evaluate_command(run_data),
    )


def _curves(run_data: RunData) -> tuple[Chart, ...]:
    """The loss, and the norms of the gradients."""
    series: dict[str, list[tuple[float, float]]] = {}
    for entry in run_data.metrics:
        for key, value in entry.items():
            if key != "iteration":
                series.setdefault(key, []).append((entry["iteration"], value))
    loss = {CURVE_NAMES["loss"]: series.pop("loss", [])}
    grads = {CURVE_NAMES.get(key, key.removeprefix("grad/")): values for key, values in series.items()}
    drawn = curves("Loss", loss), curves("Norm of the gradients", grads, logarithmic=True)
    return tuple(chart for chart in drawn if chart is not None)


def _depends(run_data: RunData) -> TextTable:
    """Seeds, hashes and versions."""
    inputs, config = run_data.inputs, run_data.config
    rows: list[tuple[str, Any]] = [("seed of the distillation", config.get("seed"))]
    if run_data.results is not None:
        rows.append(("seeds of the evaluation", ", ".join(map(str, run_data.results.seeds))))
    rows += [(f"hash of {name}", digest) for name, digest in inputs["hashes"].items() if digest]
    rows += [(f"version of {name}", version) for name, version in inputs.get("versions", {}).items()]
    return TextTable("What the result depends on", ("what", "value"), tuple((key, str(value)) for key, value in rows))


def _commands(run_data: RunData) -> list[tuple[str, str]]:
    objects = objects_in(run_data.config)
    listed = []
    if objects:
        what = ", ".join(f"{key}={cls}" for key, cls in objects.items())
        listed.append(("The run was made from Python with objects of its own", f"glad.distill({what}, ...)"))
    else:
        again = distill_command(run_data, str(run_data.run.path) + "-again")
        listed.append(("The same set, from the settings below", again))
    if run_data.results is not None:
        if fields := protocol_file(run_data.results):
            listed.append(("The protocol of the evaluation, to be kept as protocol.yaml", fields))
        listed.append(("The same evaluation", same_evaluation_command(run_data, run_data.results)))
    listed.append(("This page", report_command(run_data)))
    return listed
