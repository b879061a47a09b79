"""Charts and numbers of the report against values and texts known beforehand."""

import base64
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from glad.runs import charts
from glad.runs import formatting as numbers

HOSTILE = "<script>alert('x')</script> $\\frac$ & \x00\n数\ud800"


def texts_of(chart):
    """What is written in the SVG, which is read as XML."""
    head, _, content = chart.source.partition(",")
    assert head == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(content))
    assert {element.tag.rpartition("}")[2] for element in root.iter()}.isdisjoint({"script", "image", "a"})
    return [text for element in root.iter("{http://www.w3.org/2000/svg}text") if (text := "".join(element.itertext()))]


def test_curves_have_their_points_and_round_ticks():
    made = charts.curves("Loss", {"loss": [(0, 100.0), (5, 50.0), (10, 0.0)]})
    (axes,) = made.figure.axes
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[0, 100], [5, 50], [10, 0]] and not made.averaged
    assert {"0", "100", "10", "iteration"} <= set(texts_of(made)) and axes.get_legend() is None
    assert made.alternative == "loss: 100 at iteration 0, 0 at iteration 10, least 0 at iteration 10."
    assert made.source == charts.curves("Loss", {"loss": [(0, 100.0), (5, 50.0), (10, 0.0)]}).source
    assert charts.curves("Loss", {"loss": []}) is None
    (dot,) = charts.curves("Loss", {"loss": [(0, 3.0)]}).figure.axes[0].lines
    assert dot.get_marker() == "o" and dot.get_xydata().tolist() == [[0, 3]]


@pytest.mark.parametrize(
    ("values", "ends", "ticks"),
    [((2.0, 300.0), (1, 1000), {"1", "10", "100", "1,000"}), ((1e-30, 1e-10), (1e-30, 1e-10), {"1e-30", "1e-12"})],
)
def test_logarithmic_axes_lie_between_powers_of_ten(values, ends, ticks):
    made = charts.curves("Norm", {"a": [(0, values[0]), (2, values[1])], "_b": [(0, values[1])]}, logarithmic=True)
    (axes,) = made.figure.axes
    assert axes.get_yscale() == "log" and axes.get_ylim() == pytest.approx(ends)
    assert {*ticks, "a", "_b"} <= set(texts_of(made))
    assert charts.curves("Norm", {"a": [(0, 0.0)]}, logarithmic=True).figure.axes[0].get_yscale() == "linear"


def test_thinned_lines_keep_means_and_extremes():
    values = torch.randn(1234, generator=torch.Generator().manual_seed(0)).tolist()
    rows = charts.thin_out(list(enumerate(values)))
    assert len(rows) <= charts.POINTS
    assert min(row[1] for row in rows) == min(values) and max(row[3] for row in rows) == max(values)
    assert rows[0][2] == pytest.approx(sum(values[:5]) / 5) and rows[0][0] == 2
    made = charts.curves("Loss", {"loss": list(enumerate(values))})
    (band,) = made.figure.axes[0].collections
    corners = np.concatenate([path.vertices for path in band.get_paths()])[:, 1]
    assert made.averaged and (corners.min(), corners.max()) == (min(values), max(values))


def test_bars_are_as_long_as_accuracies():
    entries = [
        ("set", "run", 1, {"mean": 0.4, "std": 0.1}),
        ("sure", "before", 0, {"mean": 0.05, "std": 0.2}),
        ("one", "real", 0, {"mean": 0.2, "std": None}),
        ("all", "full", 0, {"mean": 0.45, "std": None}),
    ]
    made = charts.bars("vit", entries, most=0.5)
    (axes,) = made.figure.axes
    patches = axes.patches
    assert [bar.get_width() for bar in patches] == pytest.approx([40, 5, 20, 45])
    assert [to_hex(bar.get_facecolor()) for bar in patches[:3]] == [charts.COLORS[1], charts.COLORS[0], charts.PLAIN]
    assert patches[1].get_alpha() < 1 and patches[3].get_facecolor()[3] == 0  # hollow
    spreads = [segment[:, 0].tolist() for found in axes.collections for segment in found.get_segments()]
    assert spreads == [pytest.approx([30, 50]), pytest.approx([0, 25])]
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] >= 50
    assert {"set", "40.0 ± 10.0", "one", "20.0", "all", "0", "20 %", "40 %"} <= set(texts_of(made))
    assert made.alternative == "Accuracy of vit: set 40.0 ± 10.0 %; sure 5.0 ± 20.0 %; one 20.0 %; all 45.0 %."


def test_names_are_only_text():
    shown = HOSTILE.replace("\x00\n", "��").replace("\ud800", "�")
    lines = charts.curves("Loss", {HOSTILE: [(0, 1.0)], "b" * 200: [(0, 2.0)]})
    rows = charts.bars("vit", [(HOSTILE, "run", 0, {"mean": 0.4, "std": None})], most=1.0)
    assert {shown, "b" * (numbers.LONGEST - 1) + "…"} <= set(texts_of(lines)) and shown in texts_of(rows)


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
