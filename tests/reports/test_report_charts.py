"""Charts and numbers of the report against places worked out by hand."""

import numpy as np
import pytest
import torch

from glad.reports import charts
from glad.reports import formatting as numbers


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3.2, 3.9), (-7, 12), (0, 0.83), (5, 5), (0, 0), (1e-7, 2e-7)])
def test_axes_enclose_the_values_with_round_numbers(low, high):
    marks = charts.nice(low, high)
    assert marks[0] <= low and marks[-1] >= high and 2 <= len(marks) <= 8
    steps = np.diff(marks)
    assert np.allclose(steps, steps[0]) and f"{steps[0]:.0e}"[0] in "125"


def test_curves_are_at_their_places():
    made = charts.curves("Loss", {"loss": [(0, 100.0), (5, 50.0), (10, 0.0)]})
    assert made.lines[0].points == "46.0,10.0 199.0,98.0 352.0,186.0"  # the corners of the plot, and its middle
    assert [tick.text for tick in made.x] == ["0", "5", "10"] and made.y[-1].text == "100"
    assert made.alternative == "loss: 100 at iteration 0, 0 at iteration 10, least 0 at iteration 10."
    tenfold = charts.curves("Norm", {"a": [(0, 1.0), (2, 100.0)], "b": [(0, 10.0), (2, 10.0)]}, logarithmic=True)
    assert tenfold.lines[1].points == "46.0,98.0 352.0,98.0"  # half-way between 1 and 100
    assert charts.curves("Loss", {"loss": []}) is None
    assert charts.curves("Loss", {"loss": [(0, 3.0)]}).lines[0].points.count(",") == 1


def test_thinned_lines_keep_means_and_extremes():
    values = torch.randn(1234, generator=torch.Generator().manual_seed(0)).tolist()
    rows = charts.thin_out(list(enumerate(values)))
    assert len(rows) <= charts.POINTS
    assert min(row[1] for row in rows) == min(values) and max(row[3] for row in rows) == max(values)
    assert rows[0][2] == pytest.approx(sum(values[:5]) / 5) and rows[0][0] == 2


def test_bars_are_as_long_as_accuracies():
    entries = [("set", "run", 0, {"mean": 0.4, "std": 0.1, "n": 2}), ("one", "real", 0, {"mean": 0.2, "std": None})]
    made = charts.bars("vit", entries, most=0.5)
    first, second = made.bars
    assert first.end == 2 * second.end == pytest.approx((charts.WIDTH - charts.VALUE) * 0.4 / 0.6)
    assert (first.low, first.high) == pytest.approx((first.end * 0.75, first.end * 1.25)) and second.low is None
    assert made.alternative == "Accuracy of vit: set 40.0 ± 10.0 %; one 20.0 %."


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (numbers.number(0.03), "0.03"),
        (numbers.number(1234.5), "1234"),
        (numbers.number(40.0), "40"),
        (numbers.size(999), "999 B"),
        (numbers.size(7840), "7.8 kB"),
        (numbers.size(3_920_000_000), "3.9 GB"),
        (numbers.duration(0.25), "0.25 s"),
        (numbers.duration(59.6), "60 s"),
        (numbers.duration(192), "3 min 12 s"),
        (numbers.duration(7500), "2 h 5 min"),
        (numbers.points(-0.0001), "0.0"),
        (numbers.points(-0.025), "−2.5"),
        (numbers.times(2.5), "2.5"),
        (numbers.times(450.2), "450"),
        (numbers.join_words(["a", "b", "c"]), "a, b and c"),
        (numbers.percent(None), "–"),
    ],
)
def test_numbers_are_written_one_way(shown, text):
    assert shown == text
