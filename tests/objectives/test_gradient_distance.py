"""Distances between gradients: known answers."""

import pytest
import torch

from glad.objectives.gradient_distance import DISTANCES

ROWS = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
VECTOR = torch.tensor([1.0, -2.0], dtype=torch.float64)


@pytest.mark.parametrize("name", DISTANCES)
def test_equal_gradients_have_no_distance(name):
    assert DISTANCES[name]([ROWS, VECTOR], [ROWS, VECTOR]).item() == pytest.approx(0, abs=2e-6)


def test_opposite_gradients_are_two_apart_in_every_row():
    assert DISTANCES["layers"]([ROWS], [-ROWS]).item() == pytest.approx(4, abs=2e-6)
    assert DISTANCES["layers"]([ROWS.view(2, 2, 1, 1), ROWS], [-ROWS.view(2, 2, 1, 1), ROWS]).item() == pytest.approx(
        4, abs=2e-6
    )
    assert DISTANCES["cos"]([ROWS], [-ROWS]).item() == pytest.approx(2, abs=2e-6)


def test_rows_are_compared_one_by_one_and_the_norms_have_their_epsilon():
    turned = torch.stack([ROWS[0].flip(0) * torch.tensor([1.0, -1.0]), 5 * ROWS[1]])  # at a right angle, parallel
    assert DISTANCES["layers"]([ROWS], [turned]).item() == pytest.approx(1, abs=2e-6)
    assert DISTANCES["layers"]([torch.zeros(3, 2)], [torch.zeros(3, 2)]).item() == 3  # 0 / epsilon, and no NaN


@pytest.mark.parametrize("shape", [[2], [1, 2, 1]])
def test_biases_and_norms_do_not_count_by_layers_but_in_the_others(shape):
    a, b = [ROWS, VECTOR.view(shape)], [ROWS, -VECTOR.view(shape)]
    assert DISTANCES["layers"](a, b).item() == pytest.approx(0, abs=2e-6)
    assert DISTANCES["mse"](a, b).item() == pytest.approx(4 * 5)
    assert DISTANCES["cos"](a, b).item() == pytest.approx(1 - (15 - 5) / 20, abs=1e-6)
