"""What a notebook shows of runs and sets: pictures and a curve that need nothing else, and text that is only text."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
import torch
from distilled_sets import make_set
from PIL import Image
from report_runs import make_run

import glad
from glad.priors.pixels import Pixels
from glad.runs.html import SHOWN, WIDEST, evenly
from glad.runs.image_grid import grid, save_png
from glad.synthetic_set import SyntheticSet

ALLOWED = {"div", "p", "b", "img"}
PNG, SVG = "data:image/png;base64", "data:image/svg+xml;base64"
HOSTILE = "<script>alert('x')</script>\" onload=\"alert(1)"


class Shown(HTMLParser):
    """The elements, text and pictures of a piece of HTML, which may refer to nothing outside it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)
        assert {tag for tag, _ in self.elements} <= ALLOWED
        assert not [name for _, found in self.elements for name in found if name.startswith("on") or "href" in name]
        assert "url(" not in text and "http" not in re.sub(r"data:[^\"]*", "", text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    @property
    def pictures(self):
        found = []
        for tag, attributes in self.elements:
            if tag == "img":
                head, _, content = attributes["src"].partition(",")
                assert head in (PNG, SVG)
                if head == PNG:
                    found.append(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
        return found

    @property
    def chart(self):
        """What the chart shows, in words; None without one."""
        found = [attributes for tag, attributes in self.elements if attributes.get("src", "").startswith(SVG)]
        assert len(found) <= 1 and all("background: white" in attributes["style"] for attributes in found)
        return found[0]["alt"] if found else None


@pytest.fixture
def run(tmp_path):
    made = make_run(tmp_path / "toy", data=HOSTILE)
    save_png(Image.new("RGB", (30, 20), "red"), made.path / "grid_000000.png")
    save_png(Image.new("RGB", (3000, 20), "blue"), made.path / "grid_000040.png")
    return made


def test_a_run_shows_its_newest_picture_and_its_loss(run):
    shown = Shown(run._repr_html_())
    (picture,) = shown.pictures
    assert picture.width == WIDEST and picture.getpixel((5, 0)) == (0, 0, 255)
    assert "state finished, data <script>alert('x')</script>" in shown.text and "iterations 40" in shown.text
    assert shown.chart == "loss: 30 at iteration 0, 29 at iteration 39, least 10 at iteration 20."


def test_an_unfinished_run_and_what_is_none_say_so(tmp_path):
    begun = make_run(tmp_path / "begun", done=0, snapshots=())
    shown = Shown(begun._repr_html_())
    assert "state 0 iterations are done" in shown.text and not shown.pictures and shown.chart is None
    (tmp_path / HOSTILE.replace("/", "")).mkdir()
    shown = Shown(glad.Run(tmp_path / HOSTILE.replace("/", ""))._repr_html_())
    assert "cannot be shown: " in shown.text and "is not the folder of a run" in shown.text
    (begun.path / "grid_000000.png").write_bytes(b"x")
    assert "cannot be shown: cannot identify image file" in Shown(begun._repr_html_()).text
    (begun.path / "metrics.jsonl").write_text("nothing\n")
    assert "cannot be shown: Expecting value" in Shown(begun._repr_html_()).text


@pytest.mark.parametrize("soft", [True, False])
def test_a_distilled_set_shows_its_images(soft):
    source = make_set(soft=soft)
    shown = Shown(source._repr_html_())
    (picture,) = shown.pictures
    assert picture.tobytes() == grid(source.pixels, source.targets, source.classes).tobytes()
    assert "images 7, of 3 x 8 x 8, classes 3, format run, step size 0.0123, run toy" in shown.text


class Two(Pixels):
    """Two images a row: the latents, and their negative."""

    images_per_row = 2

    def __call__(self, pixels):
        return torch.stack([pixels, -pixels], 1).flatten(0, 1)


@pytest.mark.parametrize("labels", [torch.arange(8) % 3, torch.eye(8)])
def test_a_synthetic_set_shows_its_images_between_its_extremes(labels):
    pixels = torch.linspace(-2, 2, 4 * 9).view(4, 1, 3, 3)
    synset = SyntheticSet(Two(None), {"pixels": pixels}, labels, chunk=3)
    shown = Shown(synset._repr_html_())
    (picture,) = shown.pictures
    names = [f"class {c}" for c in range(3 if labels.ndim == 1 else 8)]
    assert picture.tobytes() == grid((synset.images() + 2) / 4, labels, names).tobytes()
    assert "images 8, latents pixels [4, 1, 3, 3]" in shown.text
    assert synset.latents["pixels"].grad is None


def test_of_many_images_some_are_shown():
    assert evenly(7, 3) == [0, 2, 4] and evenly(3, 7) == [0, 1, 2]
    synset = SyntheticSet(Pixels(None), {"pixels": torch.zeros(500, 1, 2, 2)}, torch.arange(500) // 50)
    assert f'alt="{SHOWN} of 500 images' in synset._repr_html_()
    (picture,) = Shown(synset._repr_html_()).pictures
    assert picture.width <= WIDEST
