"""Randomness as a function: a fresh random stream for every key, so that nothing depends on what was drawn before."""

import hashlib

import torch

from generators.draws import normal, truncated_normal, uniform

__all__ = ["normal", "rng_for", "truncated_normal", "uniform"]


def rng_for(*key: int | str) -> torch.Generator:
    """Return a CPU ``torch.Generator`` that is a function of ``key`` alone.

    Keys are for instance ``(run seed, stage, iteration, purpose)``. Draws are made on the CPU and moved, so that a
    GPU and a CPU see the same numbers.
    """
    digest = hashlib.sha256("\0".join(f"{type(part).__name__}:{part}" for part in key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
