"""The option ``--preset``: published settings as defaults, below those of --config and of the command line."""

from pathlib import Path

import click

from generators import catalog
from glad import presets
from glad.cli.options import as_defaults, as_option, over, say_note

PRESET_NAME = "glad.preset"  # of a context: what --preset was
SIZES = ("budget", "ipc")
"""Options that say how large a set is."""
EARLY = (*SIZES, "prior")
"""Options that are read before others, since a preset's settings go by them wherever they stand."""


def load_preset(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    """Take a preset's settings as defaults below those of --config.

    Functions among them are called where nothing else says the value: then the images per class are known, and a file
    that was named instead is not missed.
    """
    if name is None:
        return None
    preset = presets.load(name)

    def prior() -> str:
        file = str(preset.distill["prior"])
        if preset.needs and not Path(file).exists():
            what = f"{preset.needs} as a safetensors file, and there is no {file} here: name one with --prior FILE"
            raise click.UsageError(f"{name} needs {what}", ctx)
        return file

    settings = {**as_defaults(ctx, param, f"preset {name}", preset.settings()), "prior": prior}
    settings["ipc"] = lambda: str(preset.ipc[0]) if _number_of(ctx, "budget") is None else None
    for key in preset.distill.keys() - {"prior", "prior_options"}:
        settings[key] = lambda key=key: as_option(preset.settings(_size_for(ctx, preset))[key])
    if options := preset.distill.get("prior_options"):
        settings["prior_options"] = lambda: as_option(options) if _has_its_prior(ctx, preset) else None
    ctx.default_map = over(ctx.command, settings, ctx.default_map or {})
    ctx.meta[PRESET_NAME] = name
    return name


def _has_its_prior(ctx: click.Context, preset: presets.Preset) -> bool:
    """Whether the options of the preset's prior are those of the prior that was chosen; said once where they are not.

    Generators stand for each other: they have the same options.
    """
    own, chosen = str(preset.distill["prior"]), str(ctx.params["prior"])
    generator = chosen != "taesd" and (catalog.is_known(chosen) or Path(chosen).suffix in (".safetensors", ".pkl"))
    if chosen == own or (preset.needs and generator):
        return True
    options = " ".join(as_option(preset.distill["prior_options"]))
    say_note(ctx, f"{preset.name} has {options} for the prior {own}; {chosen} takes options of its own (-p)")
    return False


def _size_for(ctx: click.Context, preset: presets.Preset) -> float | None:
    """The images per class that choose the numbers of ``preset``; said once where it has none for them."""
    size = next((found for name in SIZES if (found := _number_of(ctx, name)) is not None), None)
    if size is not None and size > 0:
        say_note(ctx, preset.remark(size))
    return size


def _number_of(ctx: click.Context, name: str) -> float | None:
    """What ``name`` is, at a time when options of the command line are processed, and those of files perhaps not."""
    known = ctx.params.get(name)  # click has an object of its own there for what was not given
    param = next(param for param in ctx.command.params if param.name == name)
    found: float | None = known if isinstance(known, int | float) else None
    return param.type_cast_value(ctx, ctx.lookup_default(name)) if found is None else found


PRESET = click.option(
    "--preset",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=load_preset,
    help="Published settings of that name (`glad presets` lists them); the command line and --config win, key by key.",
)
