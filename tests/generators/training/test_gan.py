"""What the training of a generator sees, and one step of it."""

import pytest
import torch
from errors import naming
from flat_images import folder
from PIL import Image

from generators.training import discriminator, gan, held_out
from glad.data.dataset import DataError
from glad.data.notices import DataNotice
from glad.data.splits import load_data
from glad.rng import rng_for

SETTINGS = gan.TrainingSettings(batch=8, channels=8, channel_base=64, layers=4, w_dim=16, augment="none")


def reals(path, conditional=True):
    return gan.Reals(held_out.training_images(load_data(str(path), single_class=True)), conditional)


def test_twins_of_held_out_images_are_left_out(tmp_path):
    source = folder(tmp_path / "train")
    folder(tmp_path / "test")  # drawn alike: every training image has its twin there
    (source / "dark" / "0.png").unlink()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(source / "dark" / "own.png")
    with pytest.warns(DataNotice, match=naming("test training")):
        splits = load_data(str(tmp_path))
    kept = held_out.unseen_elsewhere(splits.train, [splits.test])
    names = [splits.train.images[i].name for i in kept.tolist()] if isinstance(splits.train.images, tuple) else None
    pixels = splits.train.raw(kept)
    assert len(kept) <= 1, names
    assert all(torch.equal(image[:, 0, 0], torch.tensor([1, 2, 3], dtype=torch.uint8)) for image in pixels)
    assert len(held_out.training_images(splits)) == len(kept)


def test_images_of_the_embedded_held_out_sets_are_left_out(tmp_path):
    embedded = load_data("fashion-mini")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for i in range(8):
        Image.fromarray(embedded.train.images[i, 0].numpy()).save(tmp_path / "a" / f"{i}.png")
        Image.fromarray(embedded.test.images[i, 0].numpy()).save(tmp_path / "b" / f"{i}.png")
    kept = held_out.training_images(load_data(str(tmp_path)))
    assert set(kept.labels.tolist()) == {0}


def test_batches_are_framed_in_black_and_balanced(tmp_path):
    real = reals(folder(tmp_path, ("a", "b", "c"), side=20, mode="L"))
    images, labels = real.batch(12, rng_for(0))
    assert images.shape == (12, 1, 32, 32)
    assert real.frame == 6
    assert labels.bincount().tolist() == [4, 4, 4]
    assert all(len(group.unique()) == 1 for group in labels.split(discriminator.GROUP))
    inside = images[:, :, 6:-6, 6:-6]
    assert inside.abs().max() <= 1
    outside = images.clone()
    outside[:, :, 6:-6, 6:-6] = -1
    assert (outside == -1).all()
    means = [inside[labels == c].mean().item() for c in range(3)]
    assert means == sorted(means)


def test_an_odd_size_has_no_frame(tmp_path):
    with pytest.raises(DataError, match="even"):
        reals(folder(tmp_path, side=27))


def test_rotations_are_what_unlabelled_features_learn(tmp_path):
    real = reals(folder(tmp_path, ("all",)), conditional=False)
    assert gan.pretext_classes(real) == 4
    corner = torch.full((40, 1, 16, 16), -1.0)
    corner[:, :, :4, :4] = 1
    images, turned = gan.pretext(real, corner, torch.zeros(40, dtype=torch.int64), rng_for(1))
    assert set(turned.tolist()) == {0, 1, 2, 3}
    center = [
        (slice(0, 8), slice(0, 8)),
        (slice(8, 16), slice(0, 8)),
        (slice(8, 16), slice(8, 16)),
        (slice(0, 8), slice(8, 16)),
    ]
    for image, quarters in zip(images, turned.tolist(), strict=True):
        brightness = [image[0, y, x].mean() for y, x in center]
        assert max(range(4), key=brightness.__getitem__) == quarters


def test_maps_and_logits_have_one_entry_per_resolution():
    features = discriminator.Features(3, 32, 5)
    heads = discriminator.Discriminator(features.widths, 5)
    discriminator.initialize(features, rng_for(0))
    discriminator.initialize(heads, rng_for(1))
    maps = features(torch.zeros(8, 3, 32, 32))
    assert [m.shape[2] for m in maps] == [32, 16, 8, 4]
    assert features.classify(maps).shape == (8, 5)
    assert [part.shape for part in heads(maps, torch.tensor([0, 4]).repeat_interleave(4))] == [
        (8, n) for n in (256, 256, 64, 16, 1)
    ]


def test_a_class_changes_a_score_only_through_its_embedding():
    score = discriminator.Score(6, 3)
    discriminator.initialize(score, rng_for(0))
    x = torch.randn(2, 6, 4, 4, generator=rng_for(2))
    first, second = (score(x, torch.full([2], c)) for c in (0, 1))
    assert torch.equal(first, second)
    score.classes.weight.data[1] = torch.arange(6.0)
    moved = score(x, torch.ones(2, dtype=torch.int64)) - second
    expected = torch.einsum("ncp,c->np", x.flatten(2), torch.arange(6.0)) / 6**0.5
    torch.testing.assert_close(moved, expected)


def test_each_step_lowers_the_loss_of_its_own_network(tmp_path):
    real = reals(folder(tmp_path))
    networks = gan.start(real, SETTINGS)
    images, labels = real.batch(8, rng_for(0))
    z = torch.randn(8, gan.Z_DIM, generator=rng_for(1))
    maps = [m.detach() for m in networks.features(networks.generator(z, labels))]
    losses = [gan.discriminator_step(networks, images, maps, labels, SETTINGS)["loss/discriminator"] for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]
    before = {name: t.clone() for name, t in networks.discriminator.state_dict().items()}
    losses = []
    for _ in range(12):
        fake = networks.features(networks.generator(z, labels))
        losses.append(gan.generator_step(networks, fake, labels, SETTINGS)["loss/generator"])
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(t, before[name]) for name, t in networks.discriminator.state_dict().items())
    slow, fast = networks.average.synthesis.input.weight, networks.generator.synthesis.input.weight
    assert not torch.equal(slow, fast)
    assert (slow - fast).norm() < fast.norm()


def test_the_penalty_is_the_squared_slope_at_real_images(tmp_path):
    real = reals(folder(tmp_path))
    networks = gan.start(real, SETTINGS)
    images, labels = real.batch(8, rng_for(0))
    maps = [m.detach() for m in networks.features(images)]

    def score(x):
        parts = networks.discriminator(networks.features(x), labels)
        return sum(part.mean(1).sum() for part in parts) / len(parts)

    leaf = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(score(leaf), leaf)
    found = gan.discriminator_step(networks, images, maps, labels, SETTINGS)["r1"]
    assert found == pytest.approx(slope.square().sum((1, 2, 3)).mean().item(), rel=1e-4)
