"""Devices by name."""

import torch


def pick_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is CUDA where there is one. ``ValueError`` when it is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} is not available ({reason}): choose auto, cpu, cuda or cuda:N") from error
    return device
