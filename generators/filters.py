"""Low-pass filters of StyleGAN3's layers: Kaiser-windowed sinc (separable) and jinc (radial)."""

import math

import numpy as np
import torch
from torch import Tensor


def _bessel_j1(x: np.ndarray) -> np.ndarray:
    """Bessel function of the first kind, order 1, by its integral (trapezoid: exponentially accurate here)."""
    theta = np.linspace(0, np.pi, 2049)
    values = np.cos(theta - x[..., None] * np.sin(theta))
    return (values.sum(-1) - 0.5 * (values[..., 0] + values[..., -1])) / 2048


def kaiser_beta(taps: int, width: float, rate: float) -> float:
    """Kaiser window parameter for a filter of ``taps`` taps and transition ``width`` at sampling ``rate`` (Hz)."""
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def lowpass(taps: int, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor | None:
    """Design a low-pass filter of unit sum; ``None`` (identity) when ``taps`` is 1.

    Returns float32 ``[taps]``, or ``[taps, taps]`` when ``radial``. Frequencies are in cycles per image; ``width`` is
    the whole transition band. Raises ``ValueError`` on an odd number of taps, whose center the radial form divides by.
    """
    if taps == 1:
        return None
    if taps % 2:
        raise ValueError(f"a filter has an even number of taps or 1, not {taps}")
    window = np.kaiser(taps, kaiser_beta(taps, width, rate))
    t = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        r = np.hypot(t[:, None], t[None, :])
        h = _bessel_j1(2 * np.pi * cutoff * r) / (np.pi * r) * np.outer(window, window)
    else:
        h = np.sinc(2 * cutoff * t) * window
    return torch.from_numpy(h / h.sum()).float()
