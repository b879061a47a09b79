"""``glad compress``."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--bits", type=click.IntRange(1, 16), required=True, help="Bits of each learned number: 2, 4, 8, 16 say.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The file to write.  [default: codes-Nbit.safetensors inside the run]",
)
@click.option(
    "--prior", type=click.Path(path_type=Path), help="The generator's file, where codes name none that is here."
)
@click.option("--device", default="auto", help="Where images are rendered.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
def compress(run: Path, bits: int, out: Path | None, prior: Path | None, device: str, force: bool) -> None:
    """Store a distilled set in fewer bits, as a file of codes.

    RUN is the folder of a finished run, or a file of codes. Learned numbers become a few evenly spaced levels; indices
    and labels are packed exactly, soft labels take at least 8 bits. `glad evaluate` and `glad render` take the file.
    """
    from glad.formats.compression import compress as write

    done = write(run, bits, out, prior=prior, device=device, force=force)
    before, after = done.before, done.after
    click.echo(
        f"Written to {done.path}: {before.per_class:,.0f} bytes per class are now {after.per_class:,.0f} "
        f"(latents {before.latents:,} -> {after.latents:,} bytes in all, shared tensors {before.shared:,} -> "
        f"{after.shared:,}, labels {before.labels:,} -> {after.labels:,})"
    )
    size = done.path.stat().st_size
    click.echo(f"The file has {size:,} bytes: {size - after.total:,} of them describe the set and check its images")
    click.echo(f"Error of the images: {255 * done.rmse:.3g}/255 (root mean square), PSNR {done.psnr:.1f} dB")
    runs = f"{run} {done.path}" if run.is_dir() else f"{done.path} --data {done.card.made.get('data', 'DATA')}"
    click.echo(f"What it costs in accuracy: `glad evaluate {runs}`")
