"""Training a generator: what it may see, one step of it, resuming, and that it learns."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from generators import weights
from generators.prior import StyleGANPrior
from generators.training import budget, discriminator, gan, held_out, train
from glad.cli import main
from glad.data.dataset import DataError
from glad.data.notices import DataNotice
from glad.data.splits import load_data
from glad.rng import rng_for

TINY = ("--batch", "8", "--channels", "8", "--channel-base", "64", "--layers", "4", "--w-dim", "16")
QUICK = (*TINY, "--feature-steps", "2")
SETTINGS = gan.TrainingSettings(batch=8, channels=8, channel_base=64, layers=4, w_dim=16, augment="none")


@pytest.fixture(autouse=True)
def few_steps_are_timed(monkeypatch):
    monkeypatch.setattr(budget, "TIMED", 1)


def folder(path, classes=("dark", "light"), side=16, mode="RGB", count=12):
    """Noisy flat images, each class brighter than the one before: ``path``/CLASS/n.png."""
    rng = np.random.default_rng(0)
    for position, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for i in range(count):
            level = 255 * (position + 0.5) / len(classes)
            shape = (side, side) if mode == "L" else (side, side, 3)
            pixels = (level + 12 * rng.standard_normal(shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels, mode).save(path / name / f"{i}.png")
    return path


def reals(path, conditional=True):
    return gan.Reals(held_out.training_images(load_data(str(path), single_class=True)), conditional)


def run(out, data, *options):
    """The command, in this process."""
    return CliRunner().invoke(main, ["weights", "train", "--data", str(data), "--out", str(out), *options])


def test_twins_of_held_out_images_are_left_out(tmp_path):
    source = folder(tmp_path / "train")
    folder(tmp_path / "test")  # drawn alike: every training image has its twin there
    (source / "dark" / "0.png").unlink()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(source / "dark" / "own.png")
    with pytest.warns(DataNotice, match="test images are identical to training images"):
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
    centre = [
        (slice(0, 8), slice(0, 8)),
        (slice(8, 16), slice(0, 8)),
        (slice(8, 16), slice(8, 16)),
        (slice(0, 8), slice(8, 16)),
    ]
    for image, quarters in zip(images, turned.tolist(), strict=True):
        brightness = [image[0, y, x].mean() for y, x in centre]
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


def test_the_two_classes_come_apart(tmp_path):
    """Thirty steps are enough to make the light class lighter than the dark one."""
    result = run(
        tmp_path / "out", folder(tmp_path / "data"), *TINY, "--feature-steps", "10", "--steps", "30", "--lr", "0.01"
    )
    assert result.exit_code == 0, result.output
    network, _ = weights.load(tmp_path / "out" / "generator.safetensors")
    labels = torch.arange(20) % 2
    images = network(torch.randn(20, gan.Z_DIM, generator=rng_for(3)), labels)
    assert images[labels == 1].mean() > images[labels == 0].mean() + 0.2


@pytest.mark.parametrize("classes", [("dark", "light"), ("all",)])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, monkeypatch, classes):
    monkeypatch.setattr(train, "SNAPSHOT", 2)
    data = folder(tmp_path / "data", classes)
    for steps in ("3", "5"):
        result = run(tmp_path / "twice", data, *QUICK, "--steps", steps)
        assert result.exit_code == 0, result.output
    assert "continuing at step 3" in result.output
    assert run(tmp_path / "once", data, *QUICK, "--steps", "5").exit_code == 0
    one, two = (load_file(tmp_path / name / "state.safetensors") for name in ("once", "twice"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {"samples_000002.png", "samples_000004.png", "samples.png"} <= {
        p.name for p in (tmp_path / "twice").iterdir()
    }
    assert list((tmp_path / "once" / "tensorboard").iterdir())


def test_sigterm_ends_a_training_after_its_step_with_its_state(tmp_path, monkeypatch):
    data, step = folder(tmp_path / "data"), train.train_step

    def ended(n, *arguments):
        if n.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(n, *arguments)

    monkeypatch.setattr(train, "train_step", ended)
    result = run(tmp_path / "cut", data, *QUICK, "--steps", "5")
    assert result.exit_code == 143 and "Terminated. What is finished is saved" in result.output
    monkeypatch.setattr(train, "train_step", step)
    result = run(tmp_path / "cut", data, *QUICK, "--steps", "5")
    assert "continuing at step 3" in result.output
    assert run(tmp_path / "once", data, *QUICK, "--steps", "5").exit_code == 0
    one, two = (load_file(tmp_path / name / "state.safetensors") for name in ("once", "cut"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(("classes", "mode", "side"), [(("a", "b"), "RGB", 20), (("all",), "L", 16)])
def test_what_is_written_is_a_prior_for_the_same_data(tmp_path, classes, mode, side):
    data = folder(tmp_path / "data", classes, side, mode)
    result = run(tmp_path / "out", data, *QUICK, "--steps", "1", "--rates", '{"dm": {"w": 0.5}}')
    assert result.exit_code == 0, result.output
    network, metadata = weights.load(tmp_path / "out" / "generator.safetensors")
    assert network.mapping.c_dim == (len(classes) if len(classes) > 1 else 0)
    assert json.loads(metadata["learning_rates"]) == {"dm": {"w": 0.5}}
    assert int(metadata["frame"]) == (6 if side == 20 else 0)
    channels = 3 if mode == "RGB" else 1
    prior = StyleGANPrior(network, lambda x: x, side, channels, range(len(classes)), frame=int(metadata["frame"]))
    images = prior(**prior.init(torch.arange(len(classes)), rng_for(0)))
    assert images.shape == (len(classes), channels, side, side)
    assert images.isfinite().all()


def test_a_run_is_not_continued_with_another_recipe_or_other_images(tmp_path):
    data = folder(tmp_path / "data")
    assert run(tmp_path / "out", data, *QUICK, "--steps", "1").exit_code == 0
    result = run(tmp_path / "out", data, *QUICK, "--steps", "2", "--channels", "4", "--w-dim", "8")
    assert result.exit_code == 1
    assert "channels 8, not 4; w_dim 16, not 8" in result.output
    Image.new("RGB", (16, 16), "red").save(data / "dark" / "red.png")
    result = run(tmp_path / "out", data, *QUICK, "--steps", "2")
    assert result.exit_code == 1
    assert "other training images" in result.output


def test_rates_may_change_under_way_and_the_file_says_when(tmp_path):
    data = folder(tmp_path / "data")
    for steps, r1 in (("1", "1.0"), ("3", "0.5"), ("4", "0.5")):
        result = run(tmp_path / "out", data, *QUICK, "--steps", steps, "--r1", r1)
        assert result.exit_code == 0, result.output
    _, metadata = weights.load(tmp_path / "out" / "generator.safetensors")
    history = json.loads(metadata["recipes"])
    assert [(entry["step"], entry["r1"]) for entry in history] == [(0, 1.0), (1, 0.5)]


def test_a_run_that_diverges_says_so_and_keeps_the_last_state(tmp_path):
    data = folder(tmp_path / "data")
    assert run(tmp_path / "out", data, *QUICK, "--steps", "1").exit_code == 0
    kept = (tmp_path / "out" / "state.safetensors").read_bytes()
    result = run(tmp_path / "out", data, *QUICK, "--lr", "1e30", "--steps", "9")
    assert result.exit_code == 1
    assert "diverged at step" in result.output
    assert "--lr" in result.output
    assert (tmp_path / "out" / "state.safetensors").read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rates", "{"), "is not JSON"),
        (("--minutes", "0"), "minutes is 0.0: choose a number above 0"),
        (("--steps", "0"), "steps is 0: choose at least 1"),
        (("--rates", '{"dm": 1}'), "is not JSON"),
        (("--augment", "colour"), "unknown augmentation 'colour'"),
        (("--resolution", "27"), "even --resolution"),
        (("--layers", "3"), "layers must be at least 4, not 3"),
    ],
)
def test_bad_options_are_one_line(tmp_path, options, said):
    result = run(tmp_path / "out", folder(tmp_path / "data"), *QUICK, *options)
    assert result.exit_code
    assert isinstance(result.exception, SystemExit)
    assert said in result.output


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "state.safetensors").write_bytes(b"no tensors")
    result = run(tmp_path / "out", folder(tmp_path / "data"), *QUICK)
    assert result.exit_code == 1
    assert "state.safetensors" in result.output
