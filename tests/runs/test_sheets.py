"""A sheet says whole what each of its rows is."""

import torch

from glad.runs.formatting import LONGEST
from glad.runs.image_grid import GAP, LEFT, sheet

IMAGES = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)


def test_a_short_name_leaves_the_images_where_they_are():
    picture = sheet([("dress", IMAGES), ("hat", IMAGES[:1])])
    assert picture.size == (LEFT + 2 * (64 + GAP), GAP + 2 * (64 + GAP))
    assert picture.getpixel((LEFT, GAP)) == (0, 0, 0) and picture.getpixel((LEFT - 1, GAP)) == (255, 255, 255)


def test_a_long_name_is_drawn_to_its_last_letter():
    name = "clothing-mini-64.safetensors, run "
    ended, other = (sheet([(name + last, IMAGES), ("hat", IMAGES)]) for last in "38")
    left = ended.width - 2 * (64 + GAP)
    assert left > LEFT and ended.getpixel((left, GAP)) == (0, 0, 0)
    assert ended.getpixel((left - 1, GAP)) == (255, 255, 255)  # and no image lies on the name
    assert ended.size == other.size and ended.tobytes() != other.tobytes()


def test_a_name_without_end_does_not_make_a_picture_without_end():
    longest, endless = (sheet([("m" * letters, IMAGES)]) for letters in (LONGEST, 10_000))
    assert endless.width <= longest.width + GAP


def test_a_name_of_two_lines_is_drawn_in_one():
    assert sheet([("two\nlines", IMAGES)]).size == sheet([("dress", IMAGES)]).size
