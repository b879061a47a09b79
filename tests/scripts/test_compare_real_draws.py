"""Ways of drawing real images: strata are equal, each gives an image; a network kept for one update is that of DM."""

import compare_real_draws as script
import pytest
import torch
from click.testing import CliRunner

from glad.data.augment import augment
from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.description import all_terms
from glad.objectives.dm import DM


def real(c, n, rng):
    return torch.randn(n, 1, 28, 28, generator=rng) + c


def network(rng):
    return make_network("convnet", channels=1, classes=2, resolution=28, rng=rng, width=4)


def loss(objective, iteration):
    images, labels = torch.ones(4, 1, 28, 28), torch.tensor([0, 0, 1, 1])
    return sum(term.item() for term in all_terms(objective, images, labels, Step(0, iteration)))


def test_strata_are_a_partition_in_equal_cells_along_the_main_directions():
    points = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 3, 1, 1, 1])
    cells = script.halved(points, 4)
    assert cells.shape == (4, 16) and sorted(cells.flatten().tolist()) == list(range(64))
    assert points[cells[:2].flatten(), 0].max() < points[cells[2:].flatten(), 0].min() or (
        points[cells[2:].flatten(), 0].max() < points[cells[:2].flatten(), 0].min()
    )


def test_each_stratum_gives_one_image(monkeypatch):
    monkeypatch.setattr(script, "POOL", 64)
    strata = script.Strata(real)
    drawn = strata(1, 8, torch.Generator().manual_seed(0))
    pool, cells = strata._images[1], strata._cells[1, 8]
    for image, cell in zip(drawn, cells, strict=True):
        assert any(torch.equal(image, pool[i]) for i in cell)


def test_a_network_kept_for_one_update_gives_the_loss_of_dm():
    assert loss(script.KeptDM(real, network, augment, 4, updates=1), 3) == pytest.approx(
        loss(DM(real, network, augment, 4), 3), rel=1e-5
    )


def test_a_kept_network_is_the_same_until_its_updates_are_over():
    made = []

    def recorded(rng):
        made.append(rng.initial_seed())
        return network(rng)

    kept = script.KeptDM(real, recorded, augment, 4, updates=2)
    for iteration in range(4):
        loss(kept, iteration)
    assert made[0] == made[1] != made[2] == made[3]
    assert [len(features) for features in kept._seen.values()] == [2, 2]


def test_without_costs_the_command_says_how_to_measure_them(tmp_path):
    result = CliRunner().invoke(script.main, ["--out", str(tmp_path)])
    assert result.exit_code == 1 and "--time" in result.output


def test_results_are_not_lost_when_costs_are_measured_again(tmp_path):
    path = tmp_path / "found.json"
    path.write_text('{"objective": "dm", "seconds": 60, "costs": {}, "accuracy": {"64": {}}}')
    before = path.read_text()
    result = CliRunner().invoke(script.main, ["--out", str(path), "--time"])
    assert result.exit_code == 1 and "another --out" in result.output and path.read_text() == before
