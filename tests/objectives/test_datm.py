"""DATM: a window that grows, iterations that are skipped, labels that are the softmax of learned logits; ATT's step."""

import json

import pytest
import torch
from distilled_sets import fails, invoke
from fixtures import GOLDEN
from torch.nn import functional as F

import glad
from glad.distillation import iterate, select_learned
from glad.experts import Experts
from glad.objectives.base import SkipIteration, Step
from glad.objectives.datm import DATM
from glad.objectives.unroll import Student, adjoint, full, stop_where_nearest
from glad.optimizers import make_optimizer
from glad.priors.pixels import Pixels
from glad.rng import rng_for
from glad.runs.storage import read_tensors
from glad.synthetic_set import SyntheticSet

EXPERTS = str(GOLDEN / "run-d10c73f" / "experts")
DATA = ("--classes", "0", "--classes", "1", "--classes", "2", "--limit", "60", "--network-option", "width=4")
TRAJECTORY = ("-o", "syn_steps=2", "-o", "expert_epochs=1", "-o", "max_start_epoch=2", "-o", "skip_above=0")


def command(out, *options):
    """DATM on pixels along the committed expert of two epochs."""
    settings = (*DATA, *TRAJECTORY, "--prior", "pixels", "--objective", "datm", "--experts", EXPERTS)
    settings += ("--labels", "logits", "--initialization", "correct", "--iterations", "6", "--save-every", "2")
    return ["distill", *settings, "--out", str(out), "--device", "cpu", *options]


def objective(segment=None, **options):
    return DATM(segment, lambda rng: None, lambda images, rng, shared: images, **options)


def test_the_window_grows_from_easy_to_hard():
    grows = objective(first_max_start_epoch=10, max_start_epoch=20, expansion=1000)
    assert [grows.window(i) for i in (0, 99, 100, 500, 999, 1000, 5000)] == [10, 10, 11, 15, 19, 20, 20]
    assert {objective(max_start_epoch=4).window(i) for i in (0, 7, 9999)} == {4}


def test_segments_start_inside_the_window():
    experts = Experts(GOLDEN / "run-d10c73f" / "experts")
    epochs = {experts.segment(rng_for("window", i), 2, 1, 1).epoch for i in range(20)}
    assert epochs == {1}
    assert {experts.segment(rng_for("window", i), 2, 1).epoch for i in range(20)} == {0, 1}


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"min_start_epoch": 5, "max_start_epoch": 5}, "5 on, at first before 5"),
        ({"first_max_start_epoch": 9, "max_start_epoch": 5}, "before 9, in the end before max_start_epoch=5"),
        ({"min_start_epoch": 5}, "min_start_epoch must be below first_max_start_epoch, which is max_start_epoch"),
        ({"expansion": 0}, "expansion .* 0"),
        ({"skip_above": -1.0}, "skip_above .* -1"),
        ({"skip_above": float("nan")}, "skip_above .* nan"),
        ({"syn_steps": 0}, "datm: syn_steps .* 0"),
    ],
)
def test_options_are_checked(options, values):
    with pytest.raises(ValueError, match=values):
        objective(**options)


def test_an_iteration_that_is_skipped_changes_nothing_not_even_moments():
    class Sometimes:
        soft_labels = True

        def terms(self, images, labels, step):
            if step.iteration == 1:
                raise SkipIteration(7.5)
            yield images.square().sum() + F.cross_entropy(images.flatten(1)[:, :3], labels)

        def tensors(self):
            return {}

    images = torch.randn(3, 1, 4, 4, generator=rng_for("images"))
    prior = Pixels(lambda c, n, rng: images[:n])
    logits = torch.zeros(3, 3, requires_grad=True)
    synset = SyntheticSet(prior, {"pixels": images}, logits, logits=True)
    rates = {"pixels": 0.1, "labels": 1.0}
    optimizer = make_optimizer(select_learned(synset, Sometimes()), rates, 0.9)
    after = []
    for number in range(3):
        metrics = iterate(synset, Sometimes(), optimizer, Step(0, number))
        after.append([tensor.detach().clone() for tensor in synset.tensors().values()])
        assert (metrics.get("skipped"), metrics["loss"] == 7.5) == ((1.0, True) if number == 1 else (None, False))
    assert all(torch.equal(one, other) for one, other in zip(after[0], after[1], strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(after[1], after[2], strict=True))
    torch.testing.assert_close(synset.labels.sum(1), torch.ones(3))


def test_a_loss_above_the_limit_is_skipped(tmp_path):
    said = ("-o", "skip_above=0.01")
    invoke(*command(tmp_path / "run", *said))
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["skipped"] for entry in metrics] == [1.0] * 6 and all(entry["loss"] > 0.01 for entry in metrics)
    run = glad.Run(tmp_path / "run")
    for before, after in zip(run.read_set("initial"), run.read_set(), strict=True):
        assert torch.equal(before, after)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("datm") / "run"
    invoke(*command(out))
    return glad.Run(out)


def test_labels_begin_with_the_experts_logits_and_are_learned_as_logits(run):
    (images, before), (_, after) = run.read_set("initial"), run.read_set()
    data = glad.load_data("fashion-mini", classes=[0, 1, 2], limit=60).train
    experts = Experts(GOLDEN / "run-d10c73f" / "experts")
    network = glad.networks.make_network("convnet", channels=1, classes=3, resolution=28, rng=rng_for(0), width=4)
    expected = []
    for expert in experts.experts:
        torch.nn.utils.vector_to_parameters(expert.checkpoint(expert.epochs), network.parameters())
        expected.append(network.eval()(images).detach())
    torch.testing.assert_close(before, torch.stack(expected).mean(0).softmax(1))
    assert (before - after).abs().max() > 1e-3 and not after.requires_grad
    torch.testing.assert_close(read_tensors(run.state)[0]["labels"].softmax(1), after)
    pool = {image.numpy().tobytes() for image in data.tensor()}
    assert all(image.numpy().tobytes() in pool for image in images)


def test_a_run_that_goes_on_ends_with_the_same_bytes(run, tmp_path):
    invoke(*command(tmp_path / "cut", "--iterations", "4"))
    invoke(*command(tmp_path / "cut"))
    for name in ("synset.safetensors", "metrics.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (run.path / name).read_bytes(), name


@pytest.mark.parametrize("option", [("--labels", "logits"), ("--initialization", "correct")])
def test_experts_are_asked_for(option, tmp_path):
    message = fails("distill", "--prior", "pixels", "--objective", "dm", *option, "--out", tmp_path / "run")
    assert "--experts" in message or "soft labels" in message


def test_the_step_that_is_nearest_the_expert_is_compared_with_the_gradient_of_that_many_steps():
    slope, start = torch.randn(5, generator=rng_for("s")).double(), torch.zeros(5).double()
    weight = torch.randn(5, 4, generator=rng_for("w")).double()

    def student(steps):
        return Student(
            start,
            lambda images, labels, step: (images, labels),
            lambda p, x, y: (p * (slope + weight @ x.mean(0))).sum() + 0.1 * p.square().sum(),
            {steps: lambda p: (p + 0.3 * slope).square().sum()},
        )

    labels, rate = torch.zeros(3, dtype=torch.int64), torch.tensor(0.1).double()
    images = torch.randn(3, 4, generator=rng_for("x")).double() * 0.01
    values = [full(student(steps), images, labels, rate) for steps in range(1, 9)]
    best = int(torch.stack(values).argmin()) + 1
    chosen = stop_where_nearest(student(8), images, labels, rate)
    assert chosen.steps == best and 1 < best < 8
    found, expected = (images.clone().requires_grad_() for _ in range(2))
    adjoint(chosen, found, labels, rate).backward()
    full(student(best), expected, labels, rate).backward()
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-10, atol=1e-14)


def test_labels_of_another_kind_are_another_run(run):
    given = command(run.path, "--labels", "learned", "--iterations", "7", "--lr", "labels=1")
    assert "labels 'logits' there, 'learned' now" in fails(*given)
