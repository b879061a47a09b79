"""Labels that are learned along with the images: restored, drawn, handed on, and refused where they cannot be used."""

import signal

import forked
import pytest
import torch
from distilled_sets import PICTURES, fails, invoke
from errors import mentions, naming
from fixtures import GOLDEN
from PIL import Image
from torch.nn import functional as F

import glad
from glad.distillation import DistillationState, iterate, select_learned
from glad.formats.load import load_distilled
from glad.objectives import OBJECTIVES
from glad.objectives.base import Step
from glad.optimizers import make_optimizer
from glad.priors.pixels import Pixels
from glad.rng import rng_for
from glad.runs.image_grid import CAPTION, GAP, HEAD, SIDE, grid
from glad.runs.storage import read_tensors
from glad.synthetic_set import SyntheticSet

DATA = ("--classes", "0", "--classes", "1", "--classes", "2", "--limit", "60", "--network-option", "width=4")
EXPERTS = str(GOLDEN / "run-d10c73f" / "experts")
TRAJECTORY = ("-o", "syn_steps=2", "-o", "expert_epochs=1", "-o", "max_start_epoch=2")
LEARNED = (*DATA, "--labels", "learned", "--lr", "labels=0.05", "--lr", "pixels=100")


def command(out, *options):
    """MTT on pixels along the committed expert of two epochs."""
    settings = (*LEARNED, *TRAJECTORY, "--prior", "pixels", "--objective", "mtt", "--experts", EXPERTS)
    return [
        "distill",
        *settings,
        "--iterations",
        "8",
        "--save-every",
        "3",
        "--out",
        str(out),
        "--device",
        "cpu",
        *options,
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "labels"
    invoke(*command(out, "-o", "unroll=full"))
    return glad.Run(out)


def test_labels_are_learned_and_saved(run):
    (_, before), (_, after) = run.read_set("initial"), run.read_set()
    assert torch.equal(before, torch.eye(3)) and after.shape == (3, 3) and not after.requires_grad
    assert ((after - before).abs() > 1e-3).all()
    assert torch.equal(read_tensors(run.state)[0]["labels"], after)
    assert run.inputs["learning_rates"]["labels"] == 0.05


KILLED = """
import os, signal, sys
from glad.cli import main
from glad.api.monitor import Monitor

record = Monitor.record
def killed(self, iteration, metrics):
    record(self, iteration, metrics)
    if iteration == 4: os.kill(os.getpid(), signal.SIGKILL)

Monitor.record = killed
main(sys.argv[1:])
"""


def test_a_killed_run_ends_with_the_same_bytes(run, tmp_path):
    arguments = command(tmp_path / "cut", "-o", "unroll=full")
    killed = forked.start(KILLED, *arguments)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    labels = read_tensors(tmp_path / "cut" / "state.safetensors")[0]["labels"]
    assert not torch.equal(labels, torch.eye(3)) and not (tmp_path / "cut" / "synset.safetensors").exists()
    invoke(*arguments)
    for name in ("synset.safetensors", "initial.safetensors", "metrics.jsonl", "snapshot_000008.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (run.path / name).read_bytes(), name


class Classify:
    """Cross-entropy of a fixed linear map of the images."""

    soft_labels = True
    weight = torch.randn(3, 4, generator=rng_for("weight"))

    def terms(self, images, labels, step):
        yield F.cross_entropy(images.flatten(1) @ self.weight.t(), labels)

    def tensors(self):
        return {}


def made(labels, objective=None):
    images = torch.randn(3, 1, 2, 2, generator=rng_for("images"))
    synset, objective = SyntheticSet(Pixels(None), {"pixels": images}, labels), objective or Classify()
    optimizer = make_optimizer(select_learned(synset, objective), {"pixels": 0.1, "labels": 0.5}, 0.9)
    return DistillationState(synset, objective, optimizer)


def test_an_update_of_labels_is_gradient_descent():
    given = torch.eye(3).requires_grad_()
    progress, images = made(given), made(given).synset.images().detach()
    metrics = iterate(progress.synset, progress.objective, progress.optimizer, Step(0, 0))
    gradient = -(images.flatten(1) @ Classify.weight.t()).log_softmax(1) / 3  # of the mean of -sum(y log p)
    torch.testing.assert_close(progress.synset.labels, torch.eye(3) - 0.5 * gradient)
    assert metrics["grad/labels"] == pytest.approx(float(gradient.norm()))
    assert torch.equal(given, torch.eye(3))  # the caller's are not changed


def test_soft_labels_that_require_no_grad_stay():
    progress = made(torch.eye(3))
    assert set(select_learned(progress.synset, progress.objective)) == {"pixels"}
    iterate(progress.synset, progress.objective, progress.optimizer, Step(0, 0))
    assert torch.equal(progress.synset.labels, torch.eye(3))


def test_labels_are_restored_in_place(tmp_path):
    first, second = made(torch.eye(3).requires_grad_()), made(torch.eye(3).requires_grad_())
    for i in range(2):
        iterate(first.synset, first.objective, first.optimizer, Step(0, i))
    first.save(tmp_path / "state")
    kept = second.synset.labels
    second.restore(tmp_path / "state")
    assert second.synset.labels is kept and torch.equal(kept, first.synset.labels)
    for progress in (first, second):
        iterate(progress.synset, progress.objective, progress.optimizer, Step(0, 2))
    assert torch.equal(second.synset.labels, first.synset.labels)
    with pytest.raises(RuntimeError, match=naming("labels [3 3] [3]")):
        made(torch.arange(3)).restore(tmp_path / "state")


class Deaf(Classify):
    """Does not let its gradient reach the labels."""

    def terms(self, images, labels, step):
        return super().terms(images, labels.detach(), step)


def test_an_objective_that_gives_labels_no_gradient_is_an_error():
    progress = made(torch.eye(3).requires_grad_(), Deaf())
    with pytest.raises(RuntimeError, match=naming("iteration 0 labels")):
        iterate(progress.synset, progress.objective, progress.optimizer, Step(0, 0))


@pytest.mark.parametrize("name", sorted(OBJECTIVES.keys() - {"mtt", "ast", "datm"}))
def test_objectives_that_need_whole_numbers_refuse_soft_labels(name, tmp_path):
    asked = ("--prior", "pixels", "--objective", name, "--experts", EXPERTS)
    message = fails("distill", *LEARNED, *asked, "--out", tmp_path / "run")
    assert mentions(message, f"Error: {name} int64 [N] soft")
    assert mentions(message, "soft_labels = True mtt") and not (tmp_path / "run").exists()


def test_the_adjoint_learns_the_labels_that_the_full_graph_learns(run, tmp_path):
    invoke(*command(tmp_path / "run"))
    _, expected = run.read_set()
    _, found = glad.Run(tmp_path / "run").read_set()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_labels_without_a_learning_rate_say_so(tmp_path):
    given = command(tmp_path / "run", "-o", "unroll=full")
    place = given.index("labels=0.05")
    assert "no learning rate for labels" in fails(*given[: place - 1], *given[place + 1 :])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.zeros(3, dtype=torch.int32), "torch.int32 [3]"),
        (torch.zeros(3, 3, dtype=torch.int64), "torch.int64 [3 3]"),
        (torch.zeros(3), "torch.float32 [3]"),
        (torch.full((3, 3), float("nan")), "finite"),
    ],
)
def test_labels_of_another_form_are_an_error(labels, said):
    with pytest.raises(ValueError, match=naming(said)):
        SyntheticSet(Pixels(None), {"pixels": torch.zeros(3, 1, 2, 2)}, labels)
    with pytest.raises(ValueError, match=naming("labels")):
        SyntheticSet(Pixels(None), {"labels": torch.zeros(3, 1, 2, 2)}, torch.arange(3))


def test_a_grid_puts_an_image_under_its_likeliest_class_with_that_weight():
    pixels = torch.linspace(0.1, 0.9, 4)[:, None, None, None].expand(4, 1, SIDE, SIDE)
    soft = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [-1.0, 1.25]])
    one, other = grid(pixels, soft, ("a", "b")), grid(pixels, torch.tensor([0, 1, 0, 1]), ("a", "b"))
    assert (one.width, one.height) == (other.width, other.height + 2 * CAPTION)
    for row in range(2):
        for column in range(2):
            x, y = GAP + column * (SIDE + GAP), HEAD + GAP
            below = one.crop((x, y + row * (SIDE + CAPTION + GAP), x + SIDE, y + row * (SIDE + CAPTION + GAP) + SIDE))
            hard = other.crop((x, y + row * (SIDE + GAP), x + SIDE, y + row * (SIDE + GAP) + SIDE))
            assert below.tobytes() == hard.tobytes()
            caption = one.crop((x, y + row * (SIDE + CAPTION + GAP) + SIDE, x + SIDE, y + (row + 1) * (SIDE + CAPTION)))
            assert min(caption.convert("L").tobytes()) < 100  # something is written


def test_a_run_draws_its_set(run):
    with Image.open(run.path / "grid_000008.png") as image:
        drawn = image.convert("RGB")
    images, labels = run.read_set()
    pixels = images * run.inputs["std"][0] + run.inputs["mean"][0]
    assert drawn.tobytes() == grid(pixels, labels, run.inputs["classes"]).tobytes()


def test_every_export_has_them(run, tmp_path):
    labels = run.read_set()[1]
    for kind in PICTURES:
        target = tmp_path / f"set-{kind}{'' if 'folder' in kind else '.' + kind}"
        invoke("export", run.path, "--format", kind, "--out", target)
        loaded = load_distilled(target)
        torch.testing.assert_close(loaded.soft_labels, labels, rtol=0, atol=1e-7)
        assert torch.equal(loaded.labels, labels.argmax(1)) and torch.equal(loaded[1][1], loaded.soft_labels[1])
    assert "Soft labels come along" in glad.push(run, "me/x", dry_run=True).card


def test_they_are_evaluated_audited_and_reported(run, tmp_path):
    small = {"networks": ["convnet"], "network_options": {"convnet": {"width": 4}}, "seeds": 1, "device": "cpu"}
    for label_mode in ("hard", "soft"):
        found = glad.evaluate(run, **small, epochs=2, baselines=[], split="validation", label_mode=label_mode)
        assert 0 <= found["summary"]["set:labels"]["seen"]["mean"] <= 1
    audit = glad.audit(run, width=4, epochs=1, set_epochs=1, seeds=1, images=60, device="cpu")
    assert audit["coverage"]["images"] > 0
    assert "T-shirt/top, image 0, first" in glad.report(run, tmp_path / "page.html").read_text()
