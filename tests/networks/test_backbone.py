"""A linear classifier on a frozen backbone: what is drawn, what is trained, and that an evaluation takes it."""

import shutil

import pytest
import torch
import torchvision
from errors import naming
from fixtures import GOLDEN
from safetensors.torch import load_file, save_file

import glad
from glad.evaluation.protocol import Protocol
from glad.evaluation.training import train_network
from glad.experts import Experts
from glad.networks import Network, make_network
from glad.networks.backbone import FrozenBackbone
from glad.networks.convnet import convnet
from glad.rng import rng_for

EXPERT = Experts(GOLDEN / "run-d10c73f" / "experts").experts[0]
SHAPE = {"channels": 1, "classes": 3, "resolution": 28}


def probe(channels, classes, resolution, norm, width: int = 4):
    sizes = {"channels": channels, "classes": classes, "resolution": resolution}
    network = convnet(**sizes, norm=norm, width=width)
    return FrozenBackbone(network, lambda: EXPERT.checkpoint(EXPERT.epochs))


def made(**options):
    return make_network(f"{__name__}:probe", **SHAPE, rng=rng_for("probe"), **options)


def test_the_backbone_is_the_experts_and_the_classifier_is_drawn():
    network, plain = made(), make_network("convnet", **SHAPE, rng=rng_for("probe"), width=4)
    expert = make_network("convnet", **SHAPE, rng=rng_for("any"), width=4)
    torch.nn.utils.vector_to_parameters(EXPERT.checkpoint(EXPERT.epochs), expert.parameters())
    images = torch.randn(5, 1, 28, 28, generator=rng_for("images"))
    assert torch.equal(network.embed(images), expert.embed(images))
    assert torch.equal(network.classifier.weight, plain.classifier.weight)
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {
        "classifier.weight",
        "classifier.bias",
    }


def test_training_changes_the_classifier_alone():
    network = made()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(6, 1, 28, 28, generator=rng_for("images"))
    labels = torch.arange(6) % 3
    train_network(network, images, labels, key=(0,), learning_rate=0.1, protocol=Protocol(epochs=3))
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_an_evaluation_takes_it_beside_other_networks(tmp_path):
    shutil.copytree(GOLDEN / "run-d10c73f", tmp_path / "runs")
    small = {"seeds": 1, "epochs": 2, "baselines": [], "split": "validation", "device": "cpu"}
    found = glad.evaluate(
        tmp_path / "runs" / "trajectory",
        networks=[f"{__name__}:probe", "convnet"],
        network_options={"convnet": {"width": 4}},
        **small,
    )
    assert {cell["network"] for cell in found["cells"]} == {f"{__name__}:probe", "convnet"}
    assert all(0 <= cell["accuracy"] <= 1 and not cell["note"] for cell in found["cells"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=naming("backbone options")):
        made(width=5)
    with pytest.raises(ValueError, match=naming("batch norm")):
        make_network(f"{__name__}:batch", **SHAPE, rng=rng_for("probe"))
    with pytest.raises(ValueError, match=naming("weights of another network blocks.0.0.bias")):
        make_network(f"{__name__}:lacking", **SHAPE, rng=rng_for("probe"))


def batch(channels, classes, resolution, norm):
    sizes = {"channels": channels, "classes": classes, "resolution": resolution}
    network = convnet(**sizes, norm="batch", width=4)
    count = sum(parameter.numel() for parameter in network.parameters())
    return FrozenBackbone(network, lambda: torch.zeros(count))


def lacking(channels, classes, resolution, norm):
    sizes = {"channels": channels, "classes": classes, "resolution": resolution}
    network = convnet(**sizes, norm=norm, width=4)
    return FrozenBackbone(network, lambda: {"blocks.0.0.weight": torch.zeros(4, 1, 3, 3)})


def trunk():
    """A network of torchvision as it stands in its files, without its classifier."""
    model = torchvision.models.shufflenet_v2_x0_5(weights=None)
    model.fc = torch.nn.Identity()
    return model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = trunk()
        model.train()(torch.rand(8, 3, 32, 32))  # running statistics of its own
    path = tmp_path_factory.mktemp("weights") / "shufflenet.safetensors"
    save_file(model.state_dict(), path)
    shufflenet.weights = path
    return path


class Colored(torch.nn.Module):
    """Gray images of the data as the backbone wants them."""

    def forward(self, x):
        return (0.3 * x + 0.1).expand(-1, 3, -1, -1)


def shufflenet(channels, classes, resolution, norm):
    network = Network([Colored(), trunk()], torch.nn.Identity(), 1024, classes)
    return FrozenBackbone(network, lambda: {f"blocks.1.{k}": t for k, t in load_file(shufflenet.weights).items()})


def test_a_network_of_a_library_keeps_its_running_statistics_and_is_a_backbone_for_lgm(weights, tmp_path):
    network = make_network(f"{__name__}:shufflenet", **SHAPE, rng=rng_for("probe"))
    model, images = trunk().eval(), torch.randn(4, 1, 28, 28, generator=rng_for("images"))
    model.load_state_dict(load_file(weights))
    train_network(network, images, torch.arange(4) % 3, key=(0,), learning_rate=0.1, protocol=Protocol(epochs=2))
    torch.testing.assert_close(network.embed(images), model(Colored()(images)))
    small = {"classes": [0, 1, 2], "limit": 60, "device": "cpu", "save_every": 1, "learning_rate": 0.1}
    options = {"batch": 5, "views": 2}
    asked = {"network": f"{__name__}:shufflenet", "objective_options": options, **small}
    run = glad.distill("fashion-mini", "lgm", "pyramid", iterations=2, out=tmp_path / "run", **asked)
    glad.distill("fashion-mini", "lgm", "pyramid", iterations=1, out=tmp_path / "cut", **asked)
    cut = glad.distill("fashion-mini", "lgm", "pyramid", iterations=2, out=tmp_path / "cut", **asked)
    assert not torch.equal(run.read_set()[0], run.read_set("initial")[0])
    assert torch.equal(cut.read_set()[0], run.read_set()[0])
