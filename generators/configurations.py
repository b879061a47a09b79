"""Generators of the official models' shapes with random weights.

They are needed where there is no file: for GLaD's random generators, for measuring, for tests. ``generators.models``
has the models.
"""

import torch

from generators.mapping import Mapping
from generators.models import Configuration, find
from generators.stylegan_xl import Generator, Synthesis

Z_DIM, W_DIM, EMBEDDING = 64, 512, (1000, 320)


def blank(configuration: str | Configuration, classes: int = 0, class_average: bool = True) -> Generator:
    """A generator of that shape whose weights are not set yet; 0 ``classes`` make it unconditional.

    Under ``torch.device("meta")`` it costs no memory: enough to count and to name. Raises ``ValueError`` on an unknown
    name and on classes beyond the embedding's rows.
    """
    if not 0 <= classes <= EMBEDDING[0]:
        raise ValueError(f"a generator has 0 (unconditional) to {EMBEDDING[0]} classes, not {classes}")
    specs = (find(configuration) if isinstance(configuration, str) else configuration).specs()
    mapping = Mapping(len(specs) + 1, Z_DIM, classes, W_DIM, embedding=EMBEDDING, class_average=class_average)
    return Generator(mapping, Synthesis(specs, W_DIM))


def random_generator(configuration: str | Configuration, classes: int = 0, seed: int = 0) -> Generator:
    """One of GLaD's random generators: a published shape, every weight drawn from ``seed``; frozen.

    Equal arguments give equal weights. It has one average code, not one per class, as GLaD's have. Raises
    ``ValueError`` as ``blank`` does, and on a seed that torch does not take.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1, not {seed}")
    generator = blank(configuration, classes, class_average=False)
    return generator.initialize(torch.Generator().manual_seed(seed)).requires_grad_(False).eval()
