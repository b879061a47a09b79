"""A linear classifier on a frozen backbone: what is drawn, what is trained, and that an evaluation takes it."""

import shutil

import pytest
import torch
from errors import naming
from fixtures import GOLDEN

import glad
from glad.evaluation.protocol import Protocol
from glad.evaluation.training import train_network
from glad.experts import Experts
from glad.networks import make_network
from glad.networks.backbone import freeze_backbone
from glad.networks.convnet import convnet
from glad.rng import rng_for

EXPERT = Experts(GOLDEN / "run-d10c73f" / "experts").experts[0]
SHAPE = {"channels": 1, "classes": 3, "resolution": 28}


def probe(channels, classes, resolution, norm, width: int = 4):
    sizes = {"channels": channels, "classes": classes, "resolution": resolution}
    network = convnet(**sizes, norm=norm, width=width)
    return freeze_backbone(network, lambda: EXPERT.checkpoint(EXPERT.epochs))


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
        made(norm="batch")
