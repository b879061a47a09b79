"""Trajectories in numbers, worked out by hand, and their picture."""

import pytest
import torch

from glad.experts.files import Expert, ExpertFile
from glad.experts.trajectory_shape import Shape, draw, shape_of
from glad.runs.image_grid import save_figure


def test_a_straight_trajectory_has_no_turns_and_a_square_has_right_ones(tmp_path):
    corners = {"line": [(0, 0), (1, 0), (3, 0)], "square": [(0, 0), (1, 0), (1, 1), (0, 1)]}
    shapes = {}
    for name, points in corners.items():
        file = ExpertFile(tmp_path / name / "expert_000.safetensors", len(points), 2, "float32", {})
        file.begin()
        for epoch, point in enumerate(points):
            file.write(epoch, torch.tensor(point, dtype=torch.float32), 0.5, {})
        shapes[name] = shape_of(Expert(file.path))
    assert shapes["line"].steps == [1, 2] and shapes["line"].turns == [0] and shapes["line"].straightness == 1
    assert shapes["square"].turns == pytest.approx([90, 90])
    assert shapes["square"].straightness == pytest.approx(1 / 3)


def test_the_picture_has_every_experts_line_and_the_means_of_the_folders(tmp_path):
    groups = {
        "a/$\\frac$": [
            Shape([0.1, 0.5, 0.7], [3.0, 1.0], [40.0], 3.0),
            Shape([0.3, 0.7, 0.9], [1.0, 2.0], [20.0], 2.0),
        ],
        "_b": [Shape([0.2, 0.4, 0.6], [2.0, 2.0], [10.0], 2.0)],
    }
    figure = draw(groups)
    accuracy, steps, turns = figure.axes
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [
        *([0.1, 0.5, 0.7], [0.3, 0.7, 0.9], pytest.approx([0.2, 0.6, 0.8])),
        *([0.2, 0.4, 0.6], [0.2, 0.4, 0.6]),
    ]
    assert steps.lines[2].get_xydata().tolist() == [[1, 2], [2, 1.5]]
    assert turns.lines[2].get_xydata().tolist() == [[2, 30]]
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == list(groups)
    save_figure(figure, tmp_path / "paths.png")
    assert (tmp_path / "paths.png").read_bytes().startswith(b"\x89PNG")
