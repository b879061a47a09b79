"""The digits that the second embedded generator was trained on."""

import make_digits
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits

from glad.data.splits import load_data


def test_digits_are_enlarged_and_framed():
    images = torch.zeros(2, 8, 8)
    images[1] = 16
    larger = make_digits.enlarged(images)
    assert larger.shape == (2, 1, 28, 28) and larger.dtype == torch.uint8
    assert not larger[0].any()
    assert (larger[1, 0, 2:-2, 2:-2] == 255).all() and int(larger[1].float().sum()) == 24 * 24 * 255


def test_an_image_keeps_its_place_and_its_shades():
    images = torch.from_numpy(load_digits().images[:20]).float()
    larger = make_digits.enlarged(images)[:, 0, 2:-2, 2:-2].float() / 255
    # The middle one of each 3 x 3 pixels lies where the old pixel was.
    assert (larger[:, 1::3, 1::3] * 16 - images).abs().max() <= 8.001 / 255


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "new" / "digits.npz"
    result = CliRunner().invoke(make_digits.main, ["--out", str(path)])
    assert result.exit_code == 0 and "1,797 images of 28 x 28" in result.output
    return path


def test_what_is_written_is_a_data_set(written):
    with np.load(written) as file:
        assert file["y_train"].tolist() == load_digits().target.tolist()
    splits = load_data(str(written))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1284, 149, 364]
    assert splits.train.classes == tuple("0123456789") and splits.train.resolution == 28
