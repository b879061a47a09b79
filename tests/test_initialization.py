"""The representative start: real images, or codes, nearest to the centers of each class in an expert's eyes."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from distilled_sets import rows_of
from errors import naming
from torch import nn

from glad import initialization as initialize
from glad.data.dataset import DataError, ImageData
from glad.data.splits import load_data
from glad.experts import Experts
from glad.experts.files import ExpertFile
from glad.experts.training import flatten
from glad.initialization import class_centers, expert_network, nearest_distinct, representative
from glad.networks import make_network
from glad.priors.pixels import Pixels
from glad.rng import rng_for


class Linear(nn.Module):
    """Logits that are a fixed matrix times the image: near enough to a network to be computed by hand."""

    def __init__(self, classes, pixels):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(pixels, classes, generator=rng_for("matrix")))

    def forward(self, x):
        return x.flatten(1) @ self.matrix


class TwoCodes:
    """A prior with two latents; remembers how many rows it drew and rendered at a time."""

    def __init__(self):
        self.drawn, self.rendered = [], []

    def init(self, classes, rng):
        self.drawn.append(classes)
        w = torch.randn(len(classes), 4, generator=rng) + classes[:, None]
        return {"w": w, "f": torch.randn(len(classes), 3, 4, 4, generator=rng)}

    def __call__(self, w, f):
        assert not torch.is_grad_enabled()
        self.rendered.append(len(w))
        return (f + w.sin()[:, None, :, None]).tanh()

    def tensors(self):
        return {}


@pytest.fixture(scope="module")
def data():
    """Classes in no order: 130 images of the first (several chunks), 5 of the last."""
    labels = torch.tensor([0] * 130 + [1] * 60 + [2] * 5)
    labels = labels[torch.randperm(len(labels), generator=rng_for("order"))]
    images = torch.randint(256, (len(labels), 3, 4, 4), generator=rng_for("images"), dtype=torch.uint8)
    names = ("ant", "bee", "cat")
    return ImageData("toy", images, labels, names, (0, 1, 2), (0.5,) * 3, (0.2,) * 3, 4, 3)


@pytest.fixture
def network():
    return Linear(3, 48).requires_grad_(False)


@pytest.fixture
def centers(monkeypatch):
    """The centers that were found, class by class."""
    found = []

    def remember(*arguments):
        found.append(class_centers(*arguments))
        return found[-1]

    monkeypatch.setattr(initialize, "class_centers", remember)
    return found


def start(data, network, ipc, prior=None, candidates=100, seed=0):
    prior = Pixels(data.real) if prior is None else prior
    return representative(data, prior, network, ipc, candidates, rng_for(seed))


def is_stable(distances, pairs):
    """No center and no candidate would both rather have each other: true of one choice, if no two distances tie."""
    owner = {n: k for k, n in enumerate(pairs)}
    rivals = [distances[owner[n]][n] if n in owner else torch.inf for n in range(len(distances[0]))]
    return not any(
        distances[k][n] < distances[k][own] and distances[k][n] < rivals[n]
        for k, own in enumerate(pairs)
        for n in range(len(rivals))
    )


def test_at_one_image_per_class_it_is_the_one_nearest_to_the_mean(data, network):
    rows = rows_of(start(data, network, 1)["pixels"], data)
    for c, row in enumerate(rows):
        logits = network(data.batch(data.of_class(c)))
        distances = (logits - logits.mean(0)).square().sum(1)
        assert row == data.of_class(c)[distances.argmin()]


def test_three_per_class_are_distinct_in_class_order_and_nearest_to_a_center(data, network, centers):
    rows = rows_of(start(data, network, 3)["pixels"], data)
    assert len(set(rows)) == 9
    assert data.labels[rows].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for c in range(3):
        of_class = data.of_class(c).tolist()
        logits = network(data.batch(data.of_class(c))).double()
        distances = torch.cdist(centers[c], logits)
        member = distances.argmin(0)
        for i, center in enumerate(centers[c]):  # where k-means ends, a center is the mean of those nearest to it
            torch.testing.assert_close(center, logits[member == i].mean(0))
        assert is_stable(distances.tolist(), [of_class.index(row) for row in rows[3 * c : 3 * c + 3]])


def test_all_images_of_a_class_are_each_their_own_center(data, network):
    few = data.select(torch.cat([data.of_class(c)[:4] for c in range(3)]))
    rows = rows_of(start(few, network, 4)["pixels"], few)
    assert sorted(rows) == list(range(12))


def test_a_center_misses_its_nearest_only_to_a_closer_center():
    few, many = (torch.randn(n, 2, generator=rng_for("points", n)) for n in (4, 6))
    few[1] = few[0] + 0.01  # two that want the same
    chosen = nearest_distinct(few, many).tolist()
    distances = [[float((center - point).norm()) for point in many] for center in few]
    assert min(range(6), key=distances[0].__getitem__) == min(range(6), key=distances[1].__getitem__)
    assert [pairs for pairs in permutations(range(6), 4) if is_stable(distances, pairs)] == [tuple(chosen)]


def test_centers_of_one_cluster_are_the_mean_and_a_function_of_the_generator():
    logits = torch.randn(300, 5, generator=rng_for("logits"), dtype=torch.float64)
    torch.testing.assert_close(class_centers(logits, 1, rng_for(0)), logits.mean(0, keepdim=True))
    first, again = (class_centers(logits, 4, rng_for(1)) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ipc", [1, 3])
def test_codes_are_the_nearest_of_all_that_were_drawn(data, network, ipc, centers, monkeypatch):
    """With both latents of a code, whatever the size of the chunks."""
    prior, kept = TwoCodes(), []
    draw = prior.init
    monkeypatch.setattr(prior, "init", lambda classes, rng: kept.append(draw(classes, rng)) or kept[-1])
    found = start(data, network, ipc, prior, candidates=120)
    assert [found["w"].shape, found["f"].shape] == [(3 * ipc, 4), (3 * ipc, 3, 4, 4)]
    assert torch.cat(prior.drawn).tolist() == [0] * 120 + [1] * 120 + [2] * 120
    assert max(len(classes) for classes in prior.drawn) == initialize.CHUNK < 120 and max(prior.rendered) == 10
    codes = {name: torch.cat([part[name] for part in kept]) for name in ("w", "f")}
    with torch.no_grad():
        logits = network(prior(**codes)).double()
    for c in range(3):
        mine = slice(120 * c, 120 * (c + 1))
        rows = nearest_distinct(centers[c], logits[mine])
        if ipc == 1:
            assert rows.item() == (logits[mine] - centers[c]).norm(dim=1).argmin()
        for name in codes:
            assert torch.equal(found[name][c * ipc : (c + 1) * ipc], codes[name][mine][rows])


def test_the_start_is_a_function_of_the_generator(data, network):
    first, again, other = (start(data, network, 2, TwoCodes(), seed=seed)["w"] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(start(data, network, 3)["pixels"], start(data, network, 3)["pixels"])


@pytest.mark.parametrize("coded", [False, True])
def test_each_class_may_have_a_number_of_its_own(data, network, coded):
    found = start(data, network, [3, 1, 2], TwoCodes() if coded else None)
    assert all(len(rows) == 6 for rows in found.values())
    if not coded:
        assert data.labels[rows_of(found["pixels"], data)].tolist() == [0, 0, 0, 1, 2, 2]


def test_too_few_images_or_candidates_are_said(data, network):
    with pytest.raises(DataError, match=naming("'cat' toy 5 6")):
        start(data, network, 6)
    with pytest.raises(ValueError, match=naming("3 2 --candidates")):
        start(data, network, 3, TwoCodes(), candidates=2)


def test_the_network_is_the_first_expert_at_its_end(tmp_path):
    data = load_data("fashion-mini", limit=60).train

    def make(rng, **options):
        return make_network("convnet", channels=1, classes=10, resolution=28, rng=rng, width=4, **options)

    vectors = [[flatten(make(rng_for(number, epoch))) for epoch in range(3)] for number in range(2)]
    for number, rows in enumerate(vectors):
        file = ExpertFile(tmp_path / f"expert_{number:03d}.safetensors", 3, len(rows[0]), "float32", {})
        file.begin()
        for epoch, row in enumerate(rows):
            file.write(epoch, row, 0.0, {})
    network = expert_network(Experts(tmp_path), make, data, rng_for(0))
    assert torch.equal(flatten(network), vectors[0][2])
    assert not network.training and not any(p.requires_grad for p in network.parameters())

    images = data.tensor()  # fewer than batch norm is given: all of them
    norms = expert_network(Experts(tmp_path), lambda rng: make(rng, norm="batch"), data, rng_for(0))
    torch.testing.assert_close(norms(images), norms.train()(images), rtol=1e-2, atol=1e-2)


def test_paths_are_read_like_tensors(data, network, monkeypatch):
    """A data set on the disk is decoded a chunk at a time."""
    asked = []
    stored = replace(data, name="stored")
    monkeypatch.setattr(ImageData, "raw", lambda self, indices: asked.append(len(indices)) or self.images[indices])
    start(stored, network, 1)
    assert max(asked) == initialize.CHUNK


@pytest.mark.parametrize("ipc", [1, 2])
def test_nearest_is_the_code_whose_image_is_nearest_in_the_features(ipc, monkeypatch):
    prior, kept = TwoCodes(), []
    draw = prior.init
    monkeypatch.setattr(prior, "init", lambda classes, rng: kept.append(draw(classes, rng)) or kept[-1])
    targets = torch.randn(2 * ipc, 3, 4, 4, generator=rng_for("targets"))
    embed = torch.nn.Flatten()
    found = initialize.nearest(
        prior, targets, [len(targets) // 2] * 2, embed, 60, rng_for(0), torch.device("cpu"), chunk=7
    )
    codes = {name: torch.cat([part[name] for part in kept]) for name in ("w", "f")}
    with torch.no_grad():
        points = prior(**codes).double().flatten(1)
    for c in range(2):
        mine, aims = slice(60 * c, 60 * (c + 1)), targets[c * ipc : (c + 1) * ipc].double().flatten(1)
        rows = nearest_distinct(aims, points[mine])
        assert torch.equal(found["f"][c * ipc : (c + 1) * ipc], codes["f"][mine][rows])
