"""The measures of a generator: known answers of the mathematics, and the command on the embedded one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from generators import geometry, weights
from generators.stylegan_xl import Generator, Mapping, Synthesis
from generators.training import measures as generator_measures
from generators.training import pictures
from glad import metrics as measures
from glad.cli import main
from glad.rng import rng_for
from glad.runs.image_grid import GAP, LEFT

TINY = ["--images", "200", "--epochs", "1", "--feature-epochs", "1", "--seeds", "1", "--width", "8"]


def normal(name: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng_for("measures", name), dtype=torch.float64)


def covariance(name: str) -> Tensor:
    factor = normal(name, 6, 6)
    return factor @ factor.t()


def test_frechet_distance_of_diagonal_gaussians_has_a_closed_form() -> None:
    mean, other_mean = normal("mean", 6), normal("other mean", 6)
    deviation, other_deviation = normal("deviation", 6).abs(), normal("other deviation", 6).abs()
    found = measures.gaussian_frechet((mean, deviation.square().diag()), (other_mean, other_deviation.square().diag()))
    expected = (mean - other_mean).square().sum() + (deviation - other_deviation).square().sum()
    assert found == pytest.approx(expected.item(), rel=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute_agrees_with_the_general_eigenvalues() -> None:
    one, other = covariance("one"), covariance("other")
    assert not torch.allclose(one @ other, other @ one)
    shared = torch.linalg.eigvals(one @ other).real.sqrt().sum()
    zero = torch.zeros(6, dtype=torch.float64)
    expected = (one.trace() + other.trace() - 2 * shared).item()
    assert measures.gaussian_frechet((zero, one), (zero, other)) == pytest.approx(expected, rel=1e-9)
    assert measures.gaussian_frechet((zero, other), (zero, one)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rows", [200, 5])  # of 8 numbers: with 5 the covariance is singular
def test_frechet_distance_is_zero_on_itself_and_grows_by_the_square_of_a_translation(rows: int) -> None:
    features, step = normal("features", rows, 8), normal("step", 8)
    assert measures.frechet(features, features) == pytest.approx(0, abs=1e-6)
    assert measures.frechet(features, features + step) == pytest.approx(step.square().sum().item(), rel=1e-6)


def test_moments_are_those_of_torch() -> None:
    features = normal("features", 50, 4)
    mean, covariance = measures.moments(features)
    torch.testing.assert_close(mean, features.mean(0))
    torch.testing.assert_close(covariance, features.t().cov())


def test_radius_is_the_distance_to_the_third_other_row() -> None:
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0], [15.0]])
    assert measures.radii(line).tolist() == [7, 6, 4, 7, 14]
    with pytest.raises(ValueError, match="more images"):
        measures.radii(line[:3])


def test_precision_and_recall_of_identical_and_of_distant_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    features = normal("features", 50, 8)
    monkeypatch.setattr(measures, "ROWS", 7)  # a last chunk that is not full
    assert measures.precision_recall(features, features) == (1, 1)
    assert measures.precision_recall(features, features + 100) == (0, 0)


def test_a_generator_that_drops_a_mode_keeps_precision_and_loses_recall() -> None:
    real = torch.cat([normal("mode", 60, 4), normal("other mode", 20, 4) + 100])
    assert measures.precision_recall(real[:60], real) == (1, 0.75)
    assert measures.precision_recall(real, real[:60]) == (0.75, 1)


def test_diversity() -> None:
    real = normal("features", 30, 8)
    assert measures.spread(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)
    assert measures.diversity(real, real) == 1
    assert measures.diversity(0.5 * real, real) == pytest.approx(0.5)
    assert measures.diversity(real[:1].expand(30, -1), real) == 0
    assert measures.diversity(real, real[:1]) is None
    assert measures.diversity(real, real[:1].expand(30, -1)) is None


def test_nearest_finds_a_planted_copy_and_measures_in_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "ROWS", 16)
    pool = torch.randint(256, (50, 1, 9, 9), generator=rng_for("pool"), dtype=torch.uint8)
    queries = pool[[3, 16, 49]].clone()
    queries[2, 0, 0, :2] ^= 3
    distances, index = measures.nearest(queries, pool)
    assert index.tolist() == [3, 16, 49]
    assert distances[:2].tolist() == [0, 0]
    step = (queries[2].double() - pool[49].double()).norm().item() / 255
    assert step > 0 and distances[2].item() == pytest.approx(step, rel=1e-12)


def test_slerp_keeps_to_the_circle() -> None:
    points = pictures.slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 3)
    torch.testing.assert_close(points, torch.tensor([[2.0, 0.0], [2**0.5, 2**0.5], [0.0, 2.0]]))


def run(out: Path, *options: str, name: str = "fashion-mini") -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_measures, "TIMED", 10)
        command = ["weights", "measure", name, "--data", "fashion-mini", "--out", str(out)]
        return CliRunner().invoke(main, [*command, *TINY, *options])


def numbers(content: Any) -> Any:
    """``content`` without what a clock measured."""
    if isinstance(content, dict):
        return {key: numbers(value) for key, value in content.items() if key != "seconds"}
    return [numbers(value) for value in content] if isinstance(content, list) else content


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("measured") / "new" / "folder"
    result = run(out)
    assert result.exit_code == 0, (result.output, result.exception)
    for title in ("Validation accuracy", "Fréchet distance", "nearest training image", "measure.json"):
        assert title in result.output
    return out


def test_the_command_measures_the_embedded_generator(measured: Path) -> None:
    found = json.loads((measured / "measure.json").read_text())
    assert found["weights"]["metadata"]["frame"] == "2" and len(found["weights"]["sha256"]) == 64
    assert found["weights"]["bytes"] == weights.EMBEDDED["fashion-mini"].stat().st_size
    assert found["images_compared"] == 200 and found["data"]["training_images"] == 5000
    assert found["speed"]["seconds"] > 0 and found["speed"]["threads"] == torch.get_num_threads()
    for kind in ("generated", "real"):
        score = found["classification"][kind]
        assert 0 < score["mean"] < 1 and score["n"] == 1 and len(score["per_class"]) == 10
    assert found["feature_accuracy"] > 0.5
    generated, floor = found["features"]["generated"], found["features"]["floor"]
    assert 0 < floor["frechet"] < generated["frechet"]
    assert 0.6 < floor["precision"] <= 1 and 0.6 < floor["recall"] <= 1
    assert 0.2 < found["diversity"]["mean"] < 2 and found["diversity"]["images"] == [20] * 10
    assert 0 < found["copies"]["generated"]["minimum"] <= found["copies"]["generated"]["median"]
    assert found["copies"]["first_percentile"] >= found["copies"]["validation"]["minimum"]


def test_the_pictures_have_a_tile_for_every_image(measured: Path) -> None:
    side = 56 + GAP
    for name, columns, rows in (("samples", 10, 10), ("interpolations", 8, 15), ("nearest", 10, 20)):
        with Image.open(measured / f"{name}.png") as image:
            assert image.size == (LEFT + columns * side, GAP + rows * side)
            assert len(image.getcolors(2**20)) > 50


@pytest.mark.slow
def test_a_second_run_gives_the_same_numbers_and_pictures(measured: Path, tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 0
    first, second = (json.loads((out / "measure.json").read_text()) for out in (measured, tmp_path))
    assert numbers(first) == numbers(second)
    for picture in measured.glob("*.png"):
        assert picture.read_bytes() == (tmp_path / picture.name).read_bytes()


@pytest.mark.slow
def test_an_unconditional_generator_has_no_accuracy_score(tmp_path: Path) -> None:
    specs = geometry.stem(16, 4, 64, 8)
    network = Generator(Mapping(len(specs) + 1, 8, 0, 16, embedding=(10, 8)), Synthesis(specs, 16))
    weights.save(tmp_path / "plain.safetensors", network.initialize(rng_for("plain")))
    result = run(tmp_path / "out", name=str(tmp_path / "plain.safetensors"))
    assert result.exit_code == 0, (result.output, result.exception)
    assert "no labels" in result.output
    found = json.loads((tmp_path / "out" / "measure.json").read_text())
    assert "classification" not in found and len(found["diversity"]["per_class"]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "fashion-maxi"], "fashion-maxi"),
        (["--images", "9"], "--images"),
        (["--resolution", "8"], "16 to 512"),
    ],
)
def test_bad_input_gives_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    result = run(tmp_path, *options)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert len(result.output.splitlines()) == 1 and message in result.output


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    result = run(tmp_path, name="missing.safetensors")
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert len(result.output.splitlines()) == 1 and "missing.safetensors" in result.output
