"""The benchmark of the objectives: its plain transcriptions compute what ours do, and its command runs."""

import json
from functools import partial

import bench_objectives
import pytest
import torch
from click.testing import CliRunner
from errors import mentions
from plain_objectives import Flops, PlainDC, PlainDM, PlainMTT, RealImages, matmul_rate, train_epoch

from glad.data.augment import ALL, augment
from glad.data.dataset import ImageData
from glad.experts.files import Segment
from glad.experts.training import Recipe, flatten, make_optimizer
from glad.experts.training import train_epoch as train
from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.dc import DC
from glad.objectives.description import all_terms
from glad.objectives.dm import DM
from glad.objectives.mtt import MTT
from glad.rng import rng_for

CLASSES, SIDE, BATCH = 2, 16, 4
PIXELS = torch.randint(256, (32, 3, SIDE, SIDE), dtype=torch.uint8, generator=rng_for("bench test", "real"))
DATA = ImageData(
    "noise", PIXELS, torch.arange(32) % CLASSES, ("a", "b"), (0, 1), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25), SIDE, 3
)
IMAGES = torch.randn(4, 3, SIDE, SIDE, generator=rng_for("bench test", "synthetic"))
LABELS = torch.arange(4) % CLASSES


def network(rng):
    return make_network("convnet", channels=3, classes=CLASSES, resolution=SIDE, rng=rng, width=8)


def matching_trajectories():
    start = flatten(network(rng_for("bench test", "start")))
    end = start + 1e-2 * torch.randn(start.shape, generator=rng_for("bench test", "end"))
    alpha = torch.tensor(0.1, requires_grad=True)
    ours = MTT(
        lambda *_: Segment(lambda i: end if i else start, 0, 1), network, augment, 3, step_size=0.1, unroll="full"
    )
    return PlainMTT(start, end, network, 3, alpha), ours


PAIRS = {
    "dm": lambda: (PlainDM(RealImages(DATA), network, BATCH), DM(DATA.real, network, augment, BATCH)),
    "dc": lambda: (PlainDC(RealImages(DATA), network, BATCH), DC(DATA.real, network, augment, BATCH, outer=1)),
    "mtt": matching_trajectories,
}


def loss_and_gradient(objective, iteration):
    leaf, loss = IMAGES.clone().requires_grad_(), 0.0
    for term in all_terms(objective, leaf, LABELS, Step(0, iteration)):
        term.backward()
        loss += term.item()
    return loss, leaf.grad


@pytest.mark.parametrize("iteration", range(3))
@pytest.mark.parametrize("name", PAIRS)
def test_the_plain_objective_is_ours(name, iteration):
    (expected, gradient), (loss, found) = (loss_and_gradient(objective, iteration) for objective in PAIRS[name]())
    assert loss == pytest.approx(expected, rel=1e-4)
    assert gradient.norm() > 0
    # Relative to the largest: single pixels are differences of large sums.
    torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-4 * float(gradient.abs().max()))


def test_the_plain_epoch_is_ours():
    plain, ours = (network(rng_for("bench test", "expert")) for _ in range(2))
    order = torch.randperm(32, generator=rng_for(0, 0, "order")).split(8)
    sgd = torch.optim.SGD(plain.parameters(), 0.1)
    draws = rng_for(0, 0, "augment")
    expected, snapshot = train_epoch(plain, sgd, DATA.tensor(), DATA.labels, order, draws)
    recipe = Recipe(learning_rate=0.1, batch=8)
    loss = train(ours, make_optimizer(ours, recipe, 0), DATA, recipe, ALL, 0, (0,))
    assert loss == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(flatten(ours), torch.cat([part.flatten() for part in snapshot]), rtol=1e-4, atol=1e-5)


def test_flops_of_a_convnet():
    convolutions = [2 * 9 * 3 * 8 * 256, 2 * 9 * 8 * 8 * 64, 2 * 9 * 8 * 8 * 16]
    classifier = 2 * 8 * 4 * CLASSES
    flops = Flops.of(network(rng_for("bench test", "flops")), SIDE)
    assert flops == Flops(sum(convolutions) + classifier, convolutions[0], classifier)
    assert flops.matching_features(1, 0) == sum(convolutions)
    # The first step of a student is a step of gradient matching without real images.
    assert flops.matching_trajectories(1, 1) == flops.matching_gradients(0, 1)


def run(folder, *options):
    tiny = ["--width", "8", "--rounds", "1", "--threads", str(torch.get_num_threads()), "--out", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_objectives, "matmul_rate", partial(matmul_rate, 64))
        return CliRunner().invoke(bench_objectives.main, [*tiny, *options])


def test_the_command_measures_a_row_and_leaves_nothing_but_numbers(tmp_path):
    result = run(tmp_path, "--only", "read")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "objectives.json").read_text())
    assert found["rows"]["read"]["ratio"] > 1
    assert [path.name for path in tmp_path.iterdir()] == ["objectives.json"]


def test_sides_that_differ_are_not_timed(tmp_path, monkeypatch):
    rows = bench_objectives.Benchmark(
        lambda n: {"loss": torch.ones(())}, lambda n: {"loss": torch.zeros(())}, None, float
    )
    monkeypatch.setitem(bench_objectives.ROWS, "dm", lambda workload: rows)
    result = run(tmp_path, "--only", "dm")
    assert result.exit_code == 1
    assert mentions(result.output, "dm 1.0e+00")
