"""Random numbers whose bits do not depend on the processor.

torch draws uniform numbers and permutations alike everywhere. Its normal numbers, and its uniform ones in a range,
differ between instruction sets, because vectorized kernels round otherwise than scalar ones. Here normal numbers come
from numpy's Philox (Salmon et al., SC 2011), a counter-based stream, through numpy's ziggurat in float64. A range is
reached by products that float64 holds exactly.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

KEY = 2**62  # one word of Philox's key
CUT = 2.0  # deviations at which truncated normal numbers end


def normal(shape: Sequence[int], rng: torch.Generator) -> Tensor:
    """Draw from N(0, 1).

    Args:
        shape: The shape of the result.
        rng: A random stream on the CPU, which moves on by two whole numbers.

    Returns:
        float32 on the CPU: the same bits on every processor.
    """
    key = torch.randint(KEY, (2,), generator=rng).tolist()
    drawn = np.random.Generator(np.random.Philox(key=key)).standard_normal(tuple(shape))
    return torch.from_numpy(np.asarray(drawn, dtype=np.float32))


def truncated_normal(shape: Sequence[int], deviation: float, rng: torch.Generator) -> Tensor:
    """Draw from N(0, ``deviation``²), without what lies beyond two deviations.

    Args:
        shape: The shape of the result.
        deviation: The deviation before the cut.
        rng: A random stream on the CPU.

    Returns:
        float32 on the CPU: the same bits on every processor.
    """
    drawn = normal(shape, rng)
    while bool((beyond := drawn.abs() > CUT).any()):
        drawn[beyond] = normal([int(beyond.sum())], rng)
    return drawn * deviation


def uniform(shape: Sequence[int], low: float, high: float, rng: torch.Generator) -> Tensor:
    """Draw from [``low``, ``high``).

    Args:
        shape: The shape of the result.
        low: The least number, rounded to float32.
        high: The end of the range, rounded to float32.
        rng: A random stream on the CPU.

    Returns:
        float32 on the CPU: the same bits on every processor.
    """
    start, end = torch.tensor([low, high], dtype=torch.float32)
    drawn = torch.rand(tuple(shape), generator=rng)  # 24 bits each: the product with a float32 is exact in float64
    return (drawn.double() * float(end - start) + float(start)).float()
