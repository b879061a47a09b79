"""``glad check``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from glad.cli.options import CONFIG
from glad.cli.settings import from_options, settings_options
from glad.settings.data import DataSettings

if TYPE_CHECKING:
    from PIL import Image

    from glad.data.inspection import Inspection

SHOWN = 20  # classes in the table, files and pairs in a list
PICTURED, ROWS, SIDE = 12, 40, 64  # images of a class, classes, and pixels of an image in the picture


@click.command()
@click.argument("data")
@CONFIG
@settings_options(DataSettings, skip=("data", "zca", "drop_duplicates"))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, and nothing else.")
@click.option("--strict", is_flag=True, help="Exit with 1 also where there is only something to note.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG with images of each class.  [default: runs/check-NAME.png; none with --json]",
)
@click.pass_context
def check(ctx: click.Context, data: str, as_json: bool, strict: bool, picture: Path | None, **options: Any) -> None:
    """Look at a data set before anything is made of it.

    DATA is what `glad distill --data` takes. Says where splits and classes are from, counts, sizes, duplicates, files
    that cannot be read, and what is done with the images. Every file is decoded; nothing is changed. Exits with 1 where
    the data cannot be used as they are.
    """
    settings = from_options(DataSettings, {**options, "data": data})
    from glad.data.inspection import inspect_data
    from glad.runs.image_grid import save_png

    found = inspect_data(
        data, root=settings.root, classes=settings.classes, limit=settings.limit, resolution=settings.resolution
    )
    if picture is None and not as_json:
        picture = Path("runs") / f"check-{found.name}.png"
    drawn = None if picture is None else draw(found)
    if picture is not None and drawn is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        save_png(drawn, picture)
    if as_json:
        click.echo(json.dumps(found.fields(), indent=2, allow_nan=False))
    else:
        _show(found)
        if drawn is not None:
            click.echo(f"Images of each class: {picture}")
    ctx.exit(1 if found.problems or (strict and found.notices) else 0)


def draw(found: "Inspection") -> "Image.Image | None":
    """Some training images of each class, as they are used; None where there are none."""
    from torch import Tensor

    from glad.data.pixels import decode, fit
    from glad.data.raw import take
    from glad.runs.image_grid import sheet

    part = None if found.raw is None else found.raw.parts["train"]
    if part is None or not len(part.labels):
        return None
    rows, side, channels = [], found.resolution or SIDE, found.channels or 3
    for c, name in enumerate(found.classes[:ROWS]):
        chosen = take(part.images, (part.labels == c).nonzero().flatten()[:PICTURED])
        if len(chosen):
            rows.append((name, fit(chosen, side) if isinstance(chosen, Tensor) else decode(chosen, channels, side)))
    return sheet(rows)


def _show(found: "Inspection") -> None:
    """Print the page."""
    console = Console(width=None if Console().is_terminal else 160)
    state = "cannot be used as it is" if found.problems else "can be used"
    console.print(f"[bold]{escape(found.name or found.source)}[/bold]: {state}", highlight=False)
    if found.counts:
        console.print(_class_table(found))
    lines = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for title, texts in _lines(found).items():
        for i, text in enumerate(texts):
            lines.add_row(f"[bold]{title}[/bold]" if i == 0 else "", escape(text))
    console.print(lines)


def _class_table(found: "Inspection") -> Table:
    """Images of each class and split, the largest classes first."""
    table = Table()
    for column in ("class", *found.counts):
        table.add_column(column, justify="left" if column == "class" else "right")
    for c in _by_size(found)[:SHOWN]:
        table.add_row(escape(found.classes[c]), *(f"{counts[c]:,}" for counts in found.counts.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(counts):,}" for counts in found.counts.values()))
    return table


def _by_size(found: "Inspection") -> list[int]:
    """The classes, those with most training images first."""
    return sorted(range(len(found.classes)), key=lambda c: -found.counts["train"][c])


def _classes(found: "Inspection") -> list[str]:
    """What the table leaves out."""
    if len(found.classes) <= SHOWN:
        return []
    last = min(range(len(found.classes)), key=lambda c: found.counts["train"][c])
    smallest = f"the smallest is {found.classes[last]} with {found.counts['train'][last]:,} training images"
    return [f"the table has the {SHOWN} largest of {len(found.classes)}; {smallest}"]


def _lines(found: "Inspection") -> dict[str, list[str]]:
    """What the page says below the table."""
    total = sum(n for _, n in found.sizes)
    sizes = [f"{w}x{h} ({n:,})" for (w, h), n in found.sizes[:3]]
    more = f" and {len(found.sizes) - 3} other sizes" if len(found.sizes) > 3 else ""
    kinds = ", ".join(f"{mode} {n:,}" for mode, n in found.modes.items())
    return {
        "Classes": _classes(found),
        "Splits": [f"{name}: {sum(n):,} images, {found.origins[name]}" for name, n in found.counts.items()],
        "Images": [f"{total:,}: {', '.join(sizes)}{more}" + (f"; {kinds}" if kinds else "")] * bool(total),
        "Duplicates": _duplicates(found),
        "Steps": found.steps,
        "Notes": found.notices,
        "Unreadable": [*found.unreadable[:SHOWN], *_rest(found.unreadable)],
        "Problems": found.problems,
    }


def _duplicates(found: "Inspection") -> list[str]:
    if found.duplicates is None:
        return []
    examples = found.duplicates.examples
    return [*(f"{first} = {again}" for first, again in examples[:3]), *_rest(examples, 3)] or ["none"]


def _rest(listed: list[Any], shown: int = SHOWN) -> list[str]:
    return [f"and {len(listed) - shown} more"] if len(listed) > shown else []
