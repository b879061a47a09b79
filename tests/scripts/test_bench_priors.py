"""The benchmark of priors compares what it says: as many images on both sides, and its command runs."""

import json

import bench_priors
import pytest
from bench_priors import CLASSES, PRIORS, iteration, make_set, random_data, rendering
from click.testing import CliRunner


@pytest.fixture(scope="module")
def data():
    return random_data(20 * CLASSES)


@pytest.mark.parametrize(("name", "images"), [("idc", 4), ("fred", 16), ("ddif", 37)])
def test_both_sides_have_as_many_images(data, name, images):
    sides = [side.args[0] for side in iteration(data, name, 4, 2)]
    assert [len(synset) for synset in sides] == [CLASSES * images] * 2
    for synset, side in zip(sides, iteration(data, name, 4, 2), strict=True):
        before = synset.images().detach().clone()
        side(0)
        after = side.args[0].images().detach()
        assert before.shape == after.shape and not before.equal(after)


@pytest.mark.parametrize("name", PRIORS)
def test_rendering_takes_the_gradient_of_all_latents(data, name):
    ours, other = rendering(data, name, 4)
    ours(0)
    other(0)
    synset = make_set(PRIORS[name](data), 1)
    bench_priors.render(synset)
    assert all(float(tensor.grad.abs().sum()) > 0 for tensor in synset.tensors().values())


def test_the_command_runs(tmp_path):
    options = ["--rounds", "1", "--width", "4", "--batch", "2", "--only", "fred", "--out", str(tmp_path / "found.json")]
    result = CliRunner().invoke(bench_priors.main, options)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "found.json").read_text())["rows"]["fred"]
    assert len(found["render"]["ratios"]) == len(found["iteration"]["ours"]) == 1
