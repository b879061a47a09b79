"""``glad info``."""

import os
import platform
from importlib import metadata

import click

PACKAGES = ("glad-distill", "torch", "torchvision", "numpy", "safetensors", "huggingface_hub")


def devices() -> list[str]:
    """The devices that can be used, and why CUDA cannot."""
    import torch

    lines = [f"cpu: {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"]
    if torch.cuda.is_available():
        names = (torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return lines + [f"cuda:{i}: {name}" for i, name in enumerate(names)]
    built = (
        f"torch is built for CUDA {torch.version.cuda}, but no device answers"
        if torch.version.cuda
        else "torch is a CPU build"
    )
    return [*lines, f"cuda: not available ({built})"]


@click.command()
def info() -> None:
    """Show versions, devices, and how the operators run."""
    from cuda_ops.diagnosis import diagnose

    click.echo(f"python {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        try:
            click.echo(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            click.echo(f"{name}: not installed as a distribution")
    click.echo("\ndevices")
    for line in devices():
        click.echo(f"  {line}")
    click.echo("\noperators (upfirdn2d, bias_act, filtered_lrelu)")
    for line in diagnose():
        click.echo(f"  {line}")
    huge = os.environ.get("THP_MEM_ALLOC_ENABLE") == "1"
    advice = "on" if huge else "off: set THP_MEM_ALLOC_ENABLE=1 before Python starts to make large tensors cheaper"
    click.echo(f"\nhuge pages in torch's CPU allocator: {advice}")
