"""``glad check``: the page, its exit code, its JSON and its picture."""

import json
import shutil

import pytest
from click.testing import CliRunner
from distilled_sets import invoke
from errors import mentions
from image_files import write_images
from PIL import Image

from glad.cli import main


@pytest.fixture
def pets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for s, (split, count) in enumerate({"Train": 10, "dev": 3, "test": 4}.items()):
        for c, name in enumerate(("cat", "dog")):
            write_images(tmp_path / "pets" / split / name, count, size=(12, 8), seed=2 * s + c)
    return tmp_path / "pets"


def check(*arguments):
    result = CliRunner().invoke(main, ["check", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, " ".join(result.output.split()), result


def test_the_page_says_what_is_there_and_what_is_done(pets):
    status, said, _ = check("pets", "--resolution", 8)
    assert status == 0 and said.startswith("pets: can be used")
    assert "cat │ 10 │ 3 │ 4" in said and "all │ 20 │ 6 │ 8" in said
    assert "train: 20 images, Train/ validation: 6 images, dev/ test: 8 images, test/" in said
    assert "34: 12x8 (34); RGB 34" in said and "Duplicates none" in said
    assert mentions(said, "middle 33%")
    assert "Images of each class: runs/check-pets.png" in said
    with Image.open("runs/check-pets.png") as picture:
        assert picture.size[0] > 300 and len(picture.convert("L").getcolors()) > 50


def test_what_would_stop_a_run_exits_with_one(pets):
    status, said, _ = check("pets")
    assert status == 1 and mentions(said, "pets")
    assert "Problems" in said and "--resolution" in said
    (pets / "Train" / "cat" / "000.png").write_bytes(b"text")
    status, said, _ = check("pets", "--resolution", 8)
    assert status == 1 and "Unreadable" in said and "000.png" in said
    assert check("nothing")[0] == 1


def test_something_to_note_exits_with_one_where_that_is_asked_for(pets):
    shutil.copy(pets / "Train" / "cat" / "004.png", pets / "test" / "cat" / "again.png")
    status, said, _ = check("pets", "--resolution", 8)
    assert status == 0 and mentions(said, "1 of 9 training")
    assert "004.png = " in said
    assert check("pets", "--resolution", 8, "--strict")[0] == 1


def test_json_is_all_that_is_printed_and_no_picture_is_drawn(pets):
    status, _, result = check("pets", "--resolution", 8, "--json", "--limit", 6)
    found = json.loads(result.stdout)
    assert status == 0 and found["usable"] and found["counts"]["train"] == {"cat": 3, "dog": 3}
    assert found["origins"]["train"] == "Train/, limited to 6 of 20 images"
    assert not (pets.parent / "runs").exists()
    assert check("pets", "--json", "--picture", "sheet.png", "--resolution", 8)[0] == 0
    assert (pets.parent / "sheet.png").exists()


def test_many_classes_are_cut_and_the_embedded_data_are_fine(pets):
    for c in range(30):
        write_images(pets.parent / "many" / f"c{c:02}", 10 + c, seed=c)
    status, said, _ = check("many")
    assert status == 0 and mentions(said, "20 30 c00 7")
    assert "c29 │ 27" in said and "c05 │" not in said
    status, said, _ = check("fashion-mini")
    assert status == 0 and "T-shirt/top │ 500 │ 100 │ 100" in said and "kept at 28x28" in said


def test_a_distillation_says_its_data_in_short(pets):
    small = ("--iterations", 1, "--out", "run", "--set", "batch=4", "--network-option", "width=4", "--device", "cpu")
    said = invoke("distill", "--data", "pets", "--resolution", 16, "--prior", "pixels", *small)
    assert "Data: pets: 2 classes, RGB 16x16; train 20 (Train/), validation 6 (dev/), test 8 (test/)" in said
