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
        raise ValueError(f"device {name!r} is not available: {str(error).splitlines()[0]}") from error
    return device
