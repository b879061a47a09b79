"""docs/DATA.md: every layout that it shows is read, and every layout that it calls refused is refused."""

import csv
import itertools
import json
import re
from pathlib import Path

import pytest
from image_files import load_with_notices, write_images

from glad.data.notices import DataError

PAGE = (Path(__file__).parents[2] / "docs" / "DATA.md").read_text(encoding="utf-8")
LAYOUTS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
REFUSED = re.findall(r"```text refused\n(.*?)```", PAGE, re.DOTALL)
SEEDS = itertools.count()


def build(root, layout):
    """Ten images in each folder, and tables that give them the classes cat and dog by turns."""
    paths = [root / line for line in layout.split()]
    for path in paths:
        if path.suffix == ".png":
            write_images(path.parent, 10, seed=next(SEEDS))
    for path in paths:
        if path.suffix != ".png":
            files = sorted(p.relative_to(path.parent).as_posix() for p in path.parent.rglob("*.png"))
            write_table(path, [(file, ("cat", "dog")[i % 2]) for i, file in enumerate(files)])
    return root / "pets"


def write_table(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("file_name", "label"), *rows])
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps({"file_name": file, "label": label}) for file, label in rows))
    else:
        path.write_text(json.dumps({"labels": [(file, ("cat", "dog").index(label)) for file, label in rows]}))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_read(tmp_path, layout):
    splits, _ = load_with_notices(build(tmp_path, layout))
    assert splits.train.classes in (("cat", "dog"), ("0", "1"))
    total = len(splits.train) + len(splits.validation) + len(splits.test)
    assert total == 10 * layout.count(".png")
    for split, name in (("train", "train/"), ("validation", "valid/"), ("test", "test/")):
        if f"pets/{name}" in layout:
            assert splits.origins[split].startswith(name)


@pytest.mark.parametrize("layout", REFUSED)
def test_layouts_are_refused(tmp_path, layout):
    with pytest.raises(DataError):
        load_with_notices(build(tmp_path, layout))


def test_the_page_has_layouts():
    assert len(LAYOUTS) >= 6 and len(REFUSED) >= 4
