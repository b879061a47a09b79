"""The digests of plain data are those of commit d10c73f, so that runs made before still resume."""

import numpy as np
import pytest
from image_files import load_with_notices
from PIL import Image

from glad.data.splits import load_data


def pattern(count, *shape):
    """Images that are a formula, uint8 [count, *shape]."""
    values = np.arange(count * int(np.prod(shape)), dtype=np.int64)
    return (values * values % 251 % 256).astype(np.uint8).reshape(count, *shape)


def write_folder(root, parts):
    for p, part in enumerate(parts):
        for c, name in enumerate(("cat", "dog", "Emu")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i, pixels in enumerate(pattern(10 + p, 9 + c, 8, 3)):
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return str(root)


def write_arrays(path):
    labels = np.arange(40) % 4
    np.savez(path, x_train=pattern(40, 8, 8), y_train=labels, x_test=pattern(20, 8, 8)[:, ::-1], y_test=labels[:20])
    return str(path)


def all_digests(splits):
    return [getattr(splits, name).digest[:16] for name in ("train", "validation", "test")]


def test_the_embedded_data():
    assert all_digests(load_data("fashion-mini")) == ["e4587bbcdd028954", "18239ca4aabc50e5", "4d4e80e908ec0743"]
    assert all_digests(load_data("fashion-mini", classes=[3, 1], limit=100, seed=1)) == [
        "360e12ef3e7b36a3",
        "2f0f8455126db25c",
        "1d6e5c9f303a77e0",
    ]


def test_the_embedded_photographs_are_decoded_alike_everywhere():
    assert all_digests(load_data("clothing-mini")) == ["3764df6abad6b188", "289976cb24a684cb", "b6330c729f7afae9"]


def test_npz(tmp_path):
    assert all_digests(load_data(write_arrays(tmp_path / "a.npz"))) == [
        "69f64e814b8e41e0",
        "0369190612e4bbe1",
        "d4e5cac6df55061f",
    ]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            [""],
            [
                "7aa7579c4cff03a3",
                "01fd5a87f5d5d73a",
                "96e6019d52f4f75e",
                "fee5427b947f9816",
                "920a92e014837ef9",
                "ad0c6edd1363cbf2",
            ],
        ),
        (
            ["train", "val"],
            [
                "a0322a22f8bf4202",
                "96826c82c28bcdaf",
                "a81d3f038526b7f0",
                "ec4cf070c6d4fec9",
                "6f4ff2a66d9ff093",
                "6a0515f9bc078cdf",
            ],
        ),
        (
            ["train", "test"],
            [
                "a0322a22f8bf4202",
                "96826c82c28bcdaf",
                "a81d3f038526b7f0",
                "ec4cf070c6d4fec9",
                "6f4ff2a66d9ff093",
                "6a0515f9bc078cdf",
            ],
        ),
        (
            ["train", "test", "val"],
            [
                "41a22af54a32c0ec",
                "44e80ce445e321fa",
                "e7984782335776d5",
                "e630d055b653dfa9",
                "1c5eb162a85b89fc",
                "144a20133005d1f3",
            ],
        ),
    ],
    ids=["classes", "val", "test", "both"],
)
def test_folders(tmp_path, monkeypatch, parts, expected):
    source = write_folder(tmp_path / "pets", parts)
    decoded = all_digests(load_with_notices(source, resolution=8)[0])
    monkeypatch.setattr("glad.data.splits.DECODED_LIMIT", 0)
    assert decoded + all_digests(load_with_notices(source, resolution=8)[0]) == expected
