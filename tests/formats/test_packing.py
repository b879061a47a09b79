"""Few bits: the layout against whole numbers of Python, the levels against published and brute-force optima."""

import itertools

import pytest
import torch
from errors import naming

from glad.formats.packing import Packed, pack_bits, pack_whole, quantize, unpack_bits
from glad.rng import normal, rng_for


@pytest.mark.parametrize("bits", range(1, 17))
def test_levels_lie_one_after_another_without_gaps(bits):
    levels = torch.randint(0, 2**bits, [13], generator=rng_for("levels", bits))
    packed = pack_bits(levels, bits)
    as_one = sum(level << (bits * i) for i, level in enumerate(levels.tolist()))
    assert bytes(packed.tolist()) == as_one.to_bytes(-(-13 * bits // 8), "little")
    assert torch.equal(unpack_bits(packed, bits, 13), levels)


@pytest.mark.parametrize(
    ("tensor", "bits"),
    [
        (torch.tensor([[0, 783], [5, 6]], dtype=torch.int32), 10),
        (torch.tensor([-3, 4], dtype=torch.int16), 3),
        (torch.tensor([True, False, True]), 1),
        (torch.tensor([7, 7, 7]), 1),
        (torch.tensor([0, 2**40]), 41),
        (torch.tensor([0, 255], dtype=torch.uint8), 8),
    ],
)
def test_whole_numbers_are_packed_exactly_in_the_bits_they_need(tensor, bits):
    packed = pack_whole(tensor)
    again = Packed.read(packed.levels, packed.affine, packed.about()).unpack()
    assert packed.bits == bits and again.dtype == tensor.dtype and torch.equal(again, tensor)


@pytest.mark.parametrize(("bits", "published"), [(1, 0.3634), (2, 0.1188), (3, 0.03744), (4, 0.01154), (5, 0.003495)])
def test_levels_of_normal_numbers_have_the_published_error(bits, published):
    """Max, IRE Trans. on Information Theory 6 (1960), table II: even spacing."""
    values = normal([40_000], rng_for("normal"))
    error = float((quantize(values, bits).unpack() - values).square().mean() / values.square().mean())
    assert error == pytest.approx(published, rel=0.03)


def test_no_ends_on_a_fine_grid_are_better():
    values = torch.cat([normal([20], rng_for("few")), torch.tensor([6.0, -2.0])])
    error = float((quantize(values, 2).unpack() - values).square().sum())
    grid = torch.linspace(float(values.min()), float(values.max()), 60)
    for low, high in itertools.combinations(grid.tolist(), 2):
        levels = ((values - low) / (high - low) * 3).round().clamp(0, 3)
        assert float((low + (high - low) / 3 * levels - values).square().sum()) > 0.98 * error


@pytest.mark.parametrize("bits", [2, 8, 16])
def test_values_between_the_ends_are_at_most_half_a_step_off(bits):
    values = normal([3, 5, 7], rng_for("steps"))
    packed = quantize(values, bits, own=(1,))
    offset, scale = packed.affine
    inside = (values >= offset) & (values <= offset + (2**bits - 1) * scale)
    off = (packed.unpack() - values).abs() / scale
    assert float(off[inside].max()) <= 0.5 + 1e-2 and float(inside.float().mean()) > 0.5
    assert packed.nbytes == -(-105 * bits // 8) + 2 * 5 * 4
    for i in range(5):
        alone = quantize(values[:, i], bits)
        assert torch.equal(alone.unpack(), packed.unpack()[:, i])


def test_equal_values_are_exact():
    values = torch.tensor([[2.5, 2.5], [0.0, 0.0]])
    assert torch.equal(quantize(values, 2, own=(0,)).unpack(), values)
    with pytest.raises(ValueError, match=naming("not finite")):
        quantize(torch.tensor([1.0, float("nan")]), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 0}, "'bits': 0"),
        ({"bits": 3}, "[3] bytes [2, 2, 1] [2, 6] 3 bits"),
        ({"shape": [2, 7]}, "[2, 7]"),
        ({"shape": [2, -6]}, "-6"),
        ({"shape": [3, 4]}, "[2, 2, 1] [3, 4]"),
        ({"dtype": "complex64"}, "complex64"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    packed = quantize(torch.arange(12.0).view(2, 6), 2, own=(0,))
    with pytest.raises(ValueError, match=naming(message)):
        Packed.read(packed.levels, packed.affine, {**packed.about(), **change})
