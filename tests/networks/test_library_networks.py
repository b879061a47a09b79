"""Networks of torchvision and timm: seeded whatever torch's global state, small images, and where they are refused."""

import pytest
import torch
from distilled_sets import fails, invoke
from PIL import Image
from torch import nn

import glad
from glad.evaluation.protocol import Protocol
from glad.evaluation.training import Job, evaluate_cell, train_network
from glad.networks import make_network
from glad.networks.libraries import library_builder, library_version
from glad.rng import rng_for

RESNET, MOBILENET, TIMM = "torchvision:resnet18", "torchvision:mobilenet_v3_small", "timm:resnet18"


def make(name, seed=0, channels=3, resolution=32, **options):
    if name.startswith("timm:"):
        pytest.importorskip("timm", reason="timm is an extra: pip install 'glad-distill[timm]'")
    return make_network(
        name, channels=channels, classes=5, resolution=resolution, rng=rng_for(seed, "network"), **options
    )


def images(count, channels=3, side=32):
    return torch.randn(count, channels, side, side, generator=rng_for("images"))


def equal(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("name", [MOBILENET, TIMM])
def test_equal_seeds_give_equal_bits_whatever_the_global_generator(name):
    torch.manual_seed(1)
    first = make(name)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = make(name)
    assert equal(first, second) and torch.equal(torch.get_rng_state(), before)
    assert not equal(first, make(name, seed=1))
    # Training draws too, of dropout and stochastic depth.
    x = images(6)
    outputs = [first.train()(x), second.train()(x)]
    assert torch.equal(*outputs) and torch.equal(torch.get_rng_state(), before)
    if name == MOBILENET:
        assert not torch.equal(first(x), outputs[0])  # the next pass has other masks
    assert torch.equal(first.eval()(x), first(x))


@pytest.mark.parametrize("name", [RESNET, MOBILENET, TIMM])
def test_a_stem_keeps_small_images_larger(name):
    published, small = make(name), make(name, stem=3)
    assert published.smallest_map == 1 and small.smallest_map > 1
    first = next(module for module in small.modules() if isinstance(module, nn.Conv2d))
    assert first.kernel_size == (3, 3) and first.stride == (1, 1)
    if name != MOBILENET:  # ResNet's pooling is gone, and its last stage has 4 x 4 pixels as in the form for CIFAR
        assert small.smallest_map == 4 and not any(isinstance(m, nn.MaxPool2d) for m in small.modules())


def test_gray_images_are_rgb_ones_of_equal_channels():
    network, gray = make(MOBILENET, channels=1).eval(), images(3, channels=1)
    assert torch.equal(network(gray), network(gray.repeat(1, 3, 1, 1))) and network(gray).shape == (3, 5)


def test_the_weights_are_those_of_the_library():
    """Torchvision's own builder, under the seed that the stream gives."""
    import torchvision

    made = make(RESNET)
    draws = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=rng_for(0, "network"))))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=draws)))
        assert equal(made.model, torchvision.models.resnet18(weights=None, num_classes=5))


def test_a_cell_names_library_version_and_model_and_uses_running_statistics():
    job = Job("set", MOBILENET, 0, 0.01, Protocol(epochs=3, augmentation="none"), {"stem": 3})
    data = (images(10), torch.arange(10) % 5)
    torch.manual_seed(5)
    cells = [evaluate_cell(job, data, data, 5)]
    torch.manual_seed(6)
    cells.append(evaluate_cell(job, data, data, 5))
    assert cells[0]["library"] == library_version(MOBILENET) and cells[0]["library"].startswith("torchvision 0.")
    assert {**cells[0], "seconds": 0} == {**cells[1], "seconds": 0}

    network = make(RESNET, stem=3)
    train_network(network, *data, key=("k",), learning_rate=0.01, protocol=Protocol(epochs=3, augmentation="none"))
    statistics = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(not torch.equal(m.running_mean, torch.zeros_like(m.running_mean)) for m in statistics)
    network.eval()
    alone, among = network(data[0][:1]), network(data[0])[:1]
    torch.testing.assert_close(alone, among)  # a test does not depend on its batch


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        (
            "torchvision:restnet18",
            {},
            r"torchvision has no network 'restnet18' .* did you mean torchvision:resnet18 or",
        ),
        ("torchvison:resnet18", {}, r"cannot be imported: .*; did you mean torchvision:resnet18\?"),
        ("torchvision:alexnet", {}, "torchvision:alexnet does not take images of 32 pixels: "),
        (RESNET, {"stem": 2}, r"torchvision:resnet18.stem is 2: the side of the first convolution is odd, or 0"),
        (RESNET, {"width": 4}, "network torchvision:resnet18 has no option 'width'; known: stem"),
        (RESNET, {"channels": 4}, "takes images of 1 or 3 channels, not 4"),
    ],
)
def test_what_does_not_fit_is_one_line(name, more, message):
    with pytest.raises(ValueError, match=message):
        make(name, **more)


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ValueError, match=r"timm is not installed: pip install 'glad-distill\[timm\]'"):
        library_builder("timm:resnet18")


def test_a_batch_of_one_image_names_the_network():
    with pytest.raises(ValueError, match=r"torchvision:resnet18 on a batch of 1: .*change the protocol's batch"):
        make(RESNET).train()(images(1))


@pytest.mark.parametrize(
    "command",
    [
        ("distill", "--network", RESNET, "--limit", 100),
        ("experts", "train", "--network", RESNET, "--limit", 100),
        ("evaluate", ".", "--teacher", RESNET, "--label-mode", "soft"),
    ],
)
def test_where_networks_must_be_our_own(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = fails(*command, *(() if command[0] == "evaluate" else ("--out", "out")))
    assert (
        "torchvision:resnet18 is for evaluation alone (glad evaluate --networks): networks of torchvision may"
        in message
    )
    assert "no second derivative; choose from convnet, alexnet" in message and not (tmp_path / "out").exists()


def test_a_row_of_the_table(tmp_path):
    data = glad.load_data("fashion-mini", limit=100)
    for c, name in enumerate(data.train.classes):
        (tmp_path / "small" / f"{c}").mkdir(parents=True)
        picture = data.train.raw(data.train.of_class(c)[:1])[0, 0]
        Image.fromarray(picture.numpy()).save(tmp_path / "small" / f"{c}" / f"{name.replace('/', '_')}.png")
    asked = ["--data", "fashion-mini", "--limit", 100, "--split", "validation", "--baselines", "random", "--seeds", 1]
    networks = ["--networks", "convnet", "--networks", MOBILENET, "--network-option", "convnet.width=4"]
    options = [*networks, "--network-option", f"{MOBILENET}.stem=3", "--lr", f"{MOBILENET}=0.01", "--epochs", 1]
    output = invoke("evaluate", tmp_path / "small", *asked, *options)
    assert f"{MOBILENET} is that of torchvision 0." in output
    results = glad.runs.storage.read_json(tmp_path / "small.results.json")
    assert results["libraries"] == {MOBILENET: library_version(MOBILENET)}
    cells = [cell for cell in results["cells"] if cell["network"] == MOBILENET]
    assert len(cells) == 2 and all(cell["learning_rate"] == 0.01 for cell in cells)
