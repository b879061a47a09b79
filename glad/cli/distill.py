"""``glad distill``."""

import warnings
from typing import Any

import click

from glad import presets
from glad.cli.old_names import OldNames
from glad.cli.options import config_option, progress_bar
from glad.cli.preset_option import EARLY, PRESET, PRESET_NAME
from glad.cli.settings import from_options, old_flags, settings_options
from glad.cli.source import FILLED, OBJECTIVES, read_class
from glad.settings.distill import DistillSettings
from glad.settings.experts import MissingExpertsError


def _objective_help() -> str:
    """One line per objective: its options and their defaults."""
    lines = []
    for name, place in OBJECTIVES.items():
        found = read_class(place, FILLED)
        codes = " ".join(f"{key}={value}" for key, value in found.tables.get("options_for_codes", {}).items())
        options = " ".join(f"{key}={value}" for key, value in found.options.items()) or "none"
        lines.append(f"  {name}: {options}" + (f" (for codes of a generator: {codes})" if codes else ""))
    return "\b\n" + "\n".join(["Options of the objectives (-o) and their defaults:", *lines])


PRIOR_HELP = """\b
Options of the priors (-p) and their defaults:
  pixels: init=noise (or real)
  idc: factor=(2, above 128 pixels 3) tiles along a side
  fred: frequencies=(64, above 32 pixels an eighth of all)
  ddif: width=(6, above 32 pixels 20) layers=(2 or 3) of the sine network
  taesd: weights=taesd (downloaded once; or a file, or org/repo:file[@revision])
  generator: layer=None (F_n space) space=w+ (or w, one code for all layers) rand_f=0 avg_w=0 learn_g=0
             (1 switches them on) truncation=1.0 conv=float32 (or bfloat16)
  random: configuration=(by the data's size) classes=0 seed=0, and those of a generator
"""


class Distill(OldNames):
    """The command, whose epilog reads the objectives' sources when help is asked for.

    The size of the set and the prior are read before other options, since a preset's settings go by them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            param.is_eager |= param.name in EARLY

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of objectives and priors."""
        self.epilog = _objective_help() + "\n\n" + PRIOR_HELP
        super().format_epilog(ctx, formatter)


@click.command(cls=Distill, old_names={**old_flags(DistillSettings), "--recipe": "--preset"})
@config_option(" (a run's config.yaml is one)")
@PRESET
@click.option(
    "--ranks",
    type=click.IntRange(1),
    metavar="N",
    help="Share the classes out to N processes of this machine, by torchrun (docs/SCALE.md); the bytes are the same on "
    "any N.",
)
@settings_options(DistillSettings)
@click.pass_context
def distill(ctx: click.Context, ranks: int | None, **options: Any) -> None:
    """Distill a data set into a few synthetic images per class.

    Without options: the embedded FashionMNIST sample through the embedded generator, matched by DM. A run that was
    interrupted continues when the same command is given again, and ends with the same result.
    """
    try:
        _run(from_options(DistillSettings, options), ranks)
    except MissingExpertsError as error:
        name = ctx.meta.get(PRESET_NAME)
        if name is None or not presets.load(name).experts:
            raise
        size = f" --ipc {options['ipc']}" if options["ipc"] else ""
        raise ValueError(
            f"{error.what}: `glad presets show {name}{size}` has the command that trains those of the preset and the "
            "one that names them (--experts FOLDER); what you change of data and network belongs into both"
        ) from error


def _run(settings: DistillSettings, ranks: int | None) -> None:
    """Run the settings, on so many ranks if they are not None."""
    from glad.api import run_distillation
    from glad.data.inspection import describe
    from glad.ranks.group import place

    here = place()
    if ranks is not None and here is None:
        from glad.experts.folder import require_experts_of
        from glad.ranks.launch import launch

        require_experts_of(settings)
        if not launch(settings, ranks):
            raise SystemExit(1)
        return
    if here is not None and here.rank > 0:  # the first one says everything
        warnings.showwarning = lambda *_, **__: None
        run_distillation(settings)
        return
    total = settings.iterations
    with progress_bar(total, "iteration") as bar:
        run = run_distillation(
            settings,
            on_step=lambda i, metrics: bar.advance(i + 1, f"loss {metrics['loss']:.4g}"),
            on_data=lambda splits: click.echo(f"Data: {describe(splits)}", err=True),
        )
    click.echo(f"{run.path}: finished after {total} iterations. Look at {run.path}/grid_{total:06d}.png,")
    click.echo(f"test it with `glad evaluate {run.path}`, take it out with `glad export {run.path}`.")
