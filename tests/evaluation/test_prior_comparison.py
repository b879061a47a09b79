"""Which prior suits the data: measured beside real images."""

import json
import warnings

import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming

from glad.cli import main
from glad.data.splits import load_data
from glad.evaluation import prior_comparison as comparison
from glad.evaluation.prior_comparison import CompareSizes
from glad.priors.pixels import Pixels

SIZES = CompareSizes(images=60, inverted=4, steps=3, epochs=3, width=8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def setup():
    return comparison.prepare_comparison(load_data("fashion-mini"), SIZES, CPU)


def test_real_images_as_a_prior_are_as_good_as_other_real_images(setup):
    train = setup.data.train
    found = comparison.measure_prior(setup, Pixels(train.real, "real"), True, lambda part: None)
    assert found["frechet"] < 3 * setup.real_distances["frechet"]
    assert found["psnr"] == pytest.approx(100) and found["feature_error"] == 0
    assert found["bytes"] == 28 * 28 * 4
    assert found["samples"].shape == found["inverted"].shape == (4, 1, 28, 28)


def test_noise_is_further_than_real_images(setup):
    noise = comparison.measure_prior(setup, Pixels(setup.data.train.real, "noise"), False, lambda part: None)
    assert noise["frechet"] > 5 * setup.real_distances["frechet"]
    assert noise["accuracy"] is None


def test_too_few_images_and_sizes_of_nothing_are_refused():
    splits = load_data("fashion-mini", limit=60)
    with pytest.raises(ValueError, match=naming("60 10 60 63")):
        comparison.prepare_comparison(splits, SIZES, CPU)
    with pytest.raises(ValueError, match=naming("steps 1 0")):
        CompareSizes(steps=0)


def test_the_command_compares_and_orders(tmp_path):
    options = ["--images", "40", "--inverted", "2", "--steps", "2", "--epochs", "1", "--width", "4", "--limit", "200"]
    out = tmp_path / "priors"
    names = ["digits-mini", "fashion-mini"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = CliRunner().invoke(
            main, ["weights", "compare", *names, *options, "--out", str(out), "--device", "cpu"]
        )
    assert result.exit_code == 0, result.output
    record = json.loads((out / "compare.json").read_text())
    found = record["priors"]
    assert found["digits-mini"]["accuracy"] is None  # its classes have other names
    assert 0 <= found["fashion-mini"]["accuracy"] <= 1
    assert found["fashion-mini"]["bytes"] == 9 * 128 * 4
    assert result.output.index("fashion-mini  ") < result.output.rindex("other real images")
    assert mentions(result.output, "Note: digits-mini guess T-shirt/top = 0 (0)")
    assert "Apache-2.0" in result.output
    assert (out / "compare.png").stat().st_size > 1000


def test_a_prior_that_is_not_there_is_one_line(tmp_path):
    result = CliRunner().invoke(main, ["weights", "compare", "nothing", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: unknown prior 'nothing'")
