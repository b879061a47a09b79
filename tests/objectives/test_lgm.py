"""LGM: the closed form against autograd, what images are seen as, and a backbone that is trained here."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from distilled_sets import fails
from errors import naming
from fixtures import GOLDEN
from torch.nn import functional as F

import glad
from glad.experts import Experts
from glad.initialization import expert_network
from glad.networks import make_network
from glad.objectives.base import Step
from glad.objectives.lgm import LGM, classifier_gradient, random_views
from glad.objectives.resolve import resolve_objective
from glad.priors import PriorDescription
from glad.rng import normal, rng_for
from glad.settings.distill import DistillSettings

PLAIN = {"views": 1, "flip": 0.0, "smallest_crop": 1.0, "noise": 0.0}
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def network(rng, norm="instance"):
    shape = {"channels": 1, "classes": 3, "resolution": 16, "norm": norm}
    return make_network("convnet", **shape, rng=rng, width=3, depth=1).double()


def batch_network(rng):
    return network(rng, "batch")


def real(c, n, rng):
    return torch.randn(n, 1, 16, 16, generator=rng, dtype=torch.float64) + c


def segment(rng, max_start_epoch, length):
    assert (max_start_epoch, length) == (1, 0)
    last = torch.nn.utils.parameters_to_vector(network(rng_for("last")).parameters()).detach()
    return SimpleNamespace(checkpoint=lambda i: {4: last}[i], remaining=4)


def images():
    return torch.randn(6, 1, 16, 16, generator=rng_for("images"), dtype=torch.float64).requires_grad_()


def by_autograd(features, labels, weight, **options):
    """The gradient of cross-entropy in a linear classifier's weights and bias, beside each other."""
    classifier = torch.nn.Linear(weight.shape[1], len(weight)).double()
    classifier.weight.data.copy_(weight)
    classifier.bias.data.zero_()
    losses = F.cross_entropy(classifier(features), labels, reduction="none")
    per_class = torch.stack([losses[labels == c].mean() for c in labels.unique()])
    found = torch.autograd.grad(per_class.mean(), [classifier.weight, classifier.bias], **options)
    return torch.cat([found[0], found[1][:, None]], 1)


@pytest.mark.parametrize("labels", [LABELS, torch.tensor([0, 2, 2, 2, 1, 1]), torch.tensor([0, 0, 0, 2, 2, 0])])
def test_the_closed_form_is_the_gradient_that_autograd_takes(labels):
    features, weight = (torch.randn(n, 5, generator=rng_for("x", n), dtype=torch.float64) for n in (6, 3))
    found, expected = classifier_gradient(features, labels, weight), by_autograd(features, labels, weight)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_loss_and_gradient_are_those_of_a_double_backward_pass():
    step, leaf, other = Step(1, 2), images(), images()
    (term,) = LGM(real, network, segment, batch=4, **PLAIN).terms(leaf, LABELS, step)
    (gradient,) = torch.autograd.grad(term, leaf)
    backbone = network(rng_for("last")).requires_grad_(False)
    weight = normal([3, backbone.classifier.in_features], step.rng("classifier")).double()
    seen = torch.cat([real(c, 4, step.rng(f"real {c}")) for c in range(3)])
    target = by_autograd(backbone.embed(seen), torch.arange(3).repeat_interleave(4), weight).flatten()
    ours = by_autograd(backbone.embed(other), LABELS, weight, create_graph=True).flatten()
    expected = 1 - (ours @ target) / (ours.norm() * target.norm())
    torch.testing.assert_close(term, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, other)[0], rtol=0, atol=1e-12)


def test_batch_norm_has_the_statistics_of_real_images_whatever_images_it_sees():
    def last(rng, max_start_epoch, length):
        vector = torch.nn.utils.parameters_to_vector(batch_network(rng_for("last")).parameters()).detach()
        return SimpleNamespace(checkpoint=lambda i: vector, remaining=0)

    step = Step(1, 2)
    (term,) = LGM(real, batch_network, last, batch=4, **PLAIN).terms(images(), LABELS, step)
    seen = torch.cat([real(c, 4, step.rng(f"real {c}")) for c in range(3)])
    backbone = batch_network(rng_for("last"))
    (norm,) = (module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d))
    norm.momentum = None
    backbone(seen)
    backbone.eval()
    weight = normal([3, backbone.classifier.in_features], step.rng("classifier")).double()
    pair = ((seen, torch.arange(3).repeat_interleave(4)), (images(), LABELS))
    ours, target = (classifier_gradient(backbone.embed(x), y, weight).flatten() for x, y in pair)
    torch.testing.assert_close(term, 1 - F.cosine_similarity(ours, target, dim=0), rtol=0, atol=1e-12)


def test_views_are_mirrored_crops_of_all_sizes_with_noise():
    across, down = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="xy")
    ramps = torch.stack([across, down]).expand(400, -1, -1, -1)
    assert torch.equal(random_views(ramps, rng_for("views"), 0.0, 1.0, 0.0), ramps)
    seen = random_views(ramps, rng_for("views"), 0.5, 0.08, 0.0)[:, :, 8:24, 8:24]  # away from the border
    width, height = seen[:, 0, 0].diff().mean(1), seen[:, 1, :, 0].diff(dim=1).mean(1)
    steady = seen[:, 0].diff(dim=2) - width[:, None, None]
    torch.testing.assert_close(steady, torch.zeros_like(steady), rtol=0, atol=1e-4)
    assert 0.4 < (width < 0).float().mean() < 0.6 and height.min() > 0
    area = width.abs() * height
    assert 0.05 < area.min() < 0.12 and 0.9 < area.max() <= 1.0001
    assert (width.abs() / height).min() < 0.85 and (width.abs() / height).max() > 1.15
    assert seen.min() >= 0 and seen.max() <= 31
    noisy = random_views(ramps, rng_for("views"), 0.0, 1.0, 0.2) - ramps
    assert noisy.std() == pytest.approx(0.2, rel=0.02) and abs(noisy.mean()) < 0.01


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"views": 0}, {"noise": -1.0}, {"flip": 2.0}, {"smallest_crop": 0.0}, {"noise": float("inf")}],
)
def test_options_are_checked(wrong):
    with pytest.raises(ValueError, match=naming(str(next(iter(wrong.values()))))):
        LGM(real, network, segment, **wrong)


DATA = {"classes": [0, 1, 2], "limit": 120, "network_options": {"width": 8}, "device": "cpu"}


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    return glad.train_experts(
        "fashion-mini", folder, count=1, recipe_options={"epochs": 10, "batch": 10}, **DATA
    ), folder


def distill(out, folder, iterations):
    small = {
        "objective_options": {"batch": 10, "views": 3, "smallest_crop": 0.6},
        "learning_rate": 0.1,
        "save_every": 5,
    }
    return glad.distill(
        "fashion-mini", "lgm", "pyramid", experts=folder, iterations=iterations, out=out, **small, **DATA
    )


def probe(backbone, train, test):
    """Test accuracy of a linear classifier that is trained on the features of ``train``."""
    (x, labels), (y, wanted) = ((backbone.embed(seen).detach(), labels) for seen, labels in (train, test))
    weight = torch.zeros(3, x.shape[1], requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(F.cross_entropy(x @ weight.t(), labels), weight)
        weight = (weight - 0.1 * gradient).detach().requires_grad_()
    return (y @ weight.t()).argmax(1).eq(wanted).float().mean().item()


def test_a_set_trains_a_linear_classifier_on_the_backbone_that_its_start_does_not(experts, tmp_path):
    found, folder = experts
    run = distill(tmp_path / "run", folder, 40)
    data = glad.load_data("fashion-mini", classes=[0, 1, 2], limit=120)
    make = lambda rng: make_network("convnet", channels=1, classes=3, resolution=28, rng=rng, width=8)  # noqa: E731
    backbone = expert_network(found, make, data.train, rng_for("any"))
    test = data.validation.tensor(), data.validation.labels
    before, after = (probe(backbone, run.read_set(kind), test) for kind in ("initial", "synset"))
    assert before < 0.4 < 0.8 < after, (before, after)
    distill(tmp_path / "cut", folder, 17)
    cut = distill(tmp_path / "cut", folder, 40)
    assert torch.equal(cut.read_set()[0], run.read_set()[0])


def test_without_experts_the_command_that_trains_them_is_named(tmp_path):
    said = fails("distill", "--objective", "lgm", "--prior", "pixels", "--limit", "60", "--out", tmp_path / "run")
    assert "glad experts train --count 1 --out" in said and "FrozenBackbone" in said


@pytest.mark.parametrize(
    ("flips", "asked", "expected"), [(True, {}, None), (False, {}, 0.0), (False, {"flip": 0.3}, 0.3)]
)
def test_images_are_not_mirrored_where_that_changes_their_class(flips, asked, expected):
    data = replace(glad.load_data("fashion-mini", classes=[0, 1, 2], limit=60).train, flip=flips)
    settings = DistillSettings(objective="lgm", objective_options={"batch": 5, **asked}, network_options={"width": 4})
    segments = Experts(GOLDEN / "run-d10c73f" / "experts").segment
    prior = PriorDescription(glad.priors.Pixels(data.real))
    made, used = resolve_objective("lgm", data, prior, segments, settings, torch.device("cpu"))
    assert used.objective_options.get("flip") == expected and made.flip == (0.5 if expected is None else expected)
