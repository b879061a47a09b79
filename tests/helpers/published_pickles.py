"""Published pickles of small networks, and what must agree when they are read."""

from dataclasses import replace

import torch
from fixtures import codes, tiny_generator
from official_pickles import chain

from generators import geometry

Z, LABELS = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0])
LAYER = "synthesis.L4_36_5"


def clamped(specs, *clamps):
    """``specs`` with other clamps, from the first on."""
    stated = [*clamps, *(spec.clamp for spec in specs[len(clamps) :])]
    return [replace(spec, clamp=clamp) for spec, clamp in zip(specs, stated, strict=True)]


NETWORKS = {
    "stem": lambda: tiny_generator(specs=geometry.stem(16, 6, 48, 6)),
    "radial stem": lambda: tiny_generator(specs=geometry.stem(16, 6, 48, 6, kernel=1, radial=True)),
    "chain": lambda: tiny_generator(specs=chain()),
    "chain of three": lambda: tiny_generator(specs=geometry.superres(chain(), 5, 2, 48, 6)),
    "unconditional": lambda: tiny_generator(specs=chain(), c_dim=0),
    "one average of all classes": lambda: tiny_generator(class_average=False),
    "no clamp in the stem": lambda: tiny_generator(specs=clamped(chain(), None, None)),
    "clamps that act": lambda: tiny_generator(specs=clamped(chain(), 0.5, None, 0.2)),
    "output scale": lambda: tiny_generator(specs=chain(), output_scale=0.5),
}


WRITERS = {
    "numpy by name": {},
    "numpy 2": {"package": "numpy._core.multiarray"},
    "numpy by dill 0.3.4": {"numpy": "indirect", "package": "numpy.core._multiarray_umath"},
    "arrays by a newer dill": {"numpy": "create_array", "package": "numpy._core._multiarray_umath"},
    "plain dictionaries": {"ordered": False},
    "plain numbers": {"scalars": False},
    "tensors of a processor": {"device": "cpu"},
}


def equal(found, generator):
    """Whether two generators have the same tensors and geometry, and render the same pixels of the same codes."""
    theirs, ours = found.state_dict(), generator.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    assert [layer.spec for layer in found.synthesis.layers] == [layer.spec for layer in generator.synthesis.layers]
    assert torch.equal(found.synthesis.synthesize(codes(generator)), generator.synthesis.synthesize(codes(generator)))
    assert torch.equal(found(Z, LABELS, 0.7), generator(Z, LABELS, 0.7))
    return True
