"""Rows of several images, tensors that do not learn, the projection after a step, and starts fitted to real images."""

import pytest
import torch
from own_priors import Masked, Tiled

from glad.data.coresets import select_kmeans
from glad.data.dataset import ImageData
from glad.distillation import DistillationState, run
from glad.initialization import initial_latents
from glad.optimizers import make_optimizer
from glad.priors.inversion import invert
from glad.rng import rng_for
from glad.synthetic_set import SyntheticSet

CLASSES = torch.tensor([0, 0, 1])


class Brighter:
    """Wants every image brighter, the later ones more."""

    def terms(self, images, labels, step):
        yield -(images * torch.arange(1.0, len(images) + 1).view(-1, 1, 1, 1)).sum()

    def tensors(self):
        return {}


def masked():
    prior = Masked(1, 4)
    return SyntheticSet(prior, prior.init(CLASSES, rng_for("rows")), CLASSES.repeat_interleave(2))


def progress(synset):
    return DistillationState(synset, Brighter(), make_optimizer(synset.tensors(), {"code": 0.3}, 0.0))


def iterate(progress, iterations, path):
    run(progress, iterations, 0, lambda: progress.save(path), 1, lambda iteration, metrics: None)


def test_what_is_no_float_is_saved_and_does_not_learn(tmp_path):
    synset = masked()
    before = {name: tensor.clone() for name, tensor in synset.latents.items()}
    assert [*synset.tensors()] == ["code"] and len(synset) == 6
    iterate(progress(synset), 2, tmp_path / "state")
    assert torch.equal(synset.latents["mask"], before["mask"]) and torch.equal(synset.latents["place"], before["place"])
    free = before["mask"]
    assert bool((synset.latents["code"] != before["code"].clamp(-1, 1))[free].any())
    again = masked()
    again.latents["mask"].logical_not_()
    progress(again).restore(tmp_path / "state")
    for name, tensor in synset.latents.items():
        assert torch.equal(again.latents[name], tensor) and again.latents[name].dtype == tensor.dtype


def test_after_each_step_latents_are_what_the_prior_allows(tmp_path):
    synset = masked()
    assert float(synset.latents["code"].detach().abs().max()) > 1  # until the first step
    iterate(progress(synset), 1, tmp_path / "state")
    assert float(synset.latents["code"].detach().abs().max()) == 1
    free = synset.latents["mask"]
    pull = torch.autograd.grad((synset.images() ** 2).sum(), synset.latents["code"])[0]
    assert bool((pull[~free] == 0).all()) and bool((pull[free] != 0).all())


def test_a_fit_leaves_masks_alone_and_meets_all_images_of_a_row():
    prior = Masked(1, 4)
    wanted = prior.init(CLASSES, rng_for("wanted"))
    targets = prior(**wanted)
    start = {**prior.init(CLASSES, rng_for("start")), "mask": wanted["mask"]}
    found = invert(prior, start, targets, 300, chunk=2)
    assert torch.equal(found["mask"], wanted["mask"]) and found["place"].dtype == torch.int16
    torch.testing.assert_close(prior(**found), targets, rtol=0.05, atol=0.05)


class Pair(Tiled):
    """Rows of two images that have nothing to do with each other; keeps what it drew."""

    def __init__(self):
        super().__init__(1, 4)
        self.drawn = []

    def init(self, classes, rng):
        self.drawn.append(torch.randn(len(classes), 2, 1, 4, 4, generator=rng))
        return {"code": self.drawn[-1]}

    def __call__(self, code):
        return code.flatten(0, 1)


@pytest.fixture(scope="module")
def data():
    labels = torch.arange(60) % 3
    images = torch.randint(256, (60, 1, 4, 4), generator=rng_for("images"), dtype=torch.uint8)
    return ImageData("toy", images, labels, ("a", "b", "c"), (0, 1, 2), (0.5,), (0.2,), 4, 1)


def start(kind, data, prior, **sizes):
    return initial_latents(kind, data, prior, None, [2, 1, 3], rng_for("start"), torch.device("cpu"), **sizes)


def test_a_start_near_real_images_looks_at_all_images_of_a_row(data):
    prior = Pair()
    found = start("nearest", data, prior, candidates=20)["code"]
    assert found.shape == (6, 2, 1, 4, 4)
    targets, labels = select_kmeans(data, [4, 2, 6], int(torch.randint(2**31, (), generator=rng_for("start"))))
    assert labels.bincount().tolist() == [4, 2, 6]
    pair, drawn = targets[4:6], prior.drawn[1]  # of the class with one row: no other row takes what it wants
    distances = (drawn.flatten(1) - pair.flatten()).square().sum(1)
    assert torch.equal(found[2], drawn[distances.argmin()])


def test_a_fit_starts_from_the_priors_own_draw_and_ends_at_real_images(data):
    prior = Pair()
    images = prior(start("fit", data, prior, steps=300)["code"]).flatten(1)
    assert len(prior.drawn) == 1
    for c, part in enumerate(images.split([4, 2, 6])):
        distances = torch.cdist(part, data.batch(data.of_class(c)).flatten(1))
        assert float(distances.min(1).values.max()) < 0.2 < float(distances.median())
        assert len(distances.argmin(1).unique()) == len(part)  # distinct real images
