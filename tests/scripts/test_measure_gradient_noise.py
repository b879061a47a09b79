"""The noise of a gradient is divided rightly between real images and the rest."""

import measure_gradient_noise as script
import pytest
import torch
from click.testing import CliRunner


def test_variances_are_those_that_were_drawn():
    rng, size = torch.Generator().manual_seed(0), 4000
    shape = (40, 4, size)
    network = 2 * torch.randn(shape[0], 1, size, generator=rng, dtype=torch.float64)
    real = torch.randn(shape, generator=rng, dtype=torch.float64)
    by_real, mean = script.noise(0.5 + network + real)
    assert by_real == pytest.approx(1 / 4, rel=0.05) and mean == pytest.approx(0.25 / 4, rel=0.2)


def test_a_draw_changes_real_images_alone():
    def first(network, draw, purpose):
        return torch.rand(1, generator=script.Draw(0, network, draw).rng(purpose)).item()

    assert first(0, 0, "network") == first(0, 1, "network") != first(1, 0, "network")
    assert first(0, 0, "real 3") != first(0, 1, "real 3")


@pytest.mark.parametrize("objective", ["dm", "dc"])
def test_the_command_measures_an_objective(objective):
    few = ["--ipc", "1", "--batch", "4", "--width", "4", "--networks", "2", "--draws", "2"]
    result = CliRunner().invoke(script.main, ["--data", "fashion-mini", "--objective", objective, *few])
    assert result.exit_code == 0, result.output
    assert "noise of the real images" in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--networks", "1"], "networks"),
        (["--objective", "mtt"], "mtt"),
        (["--batch", "4", "--strata"], "4096 images of each class"),
        (["--batch", "100000"], "100000 images of each class"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(options, said):
    result = CliRunner().invoke(script.main, ["--data", "fashion-mini", "--ipc", "1", *options])
    assert result.exit_code != 0 and said in result.output and isinstance(result.exception, SystemExit)
