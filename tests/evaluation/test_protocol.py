"""The protocol: what is learned, how weights are averaged, and what a table is made of."""

import json
import math
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional as F

from glad.cli.results_tables import results_table
from glad.evaluation import (
    PROTOCOLS,
    Protocol,
    accuracy,
    evaluate_sets,
    predict,
    summarize,
    train_network,
)
from glad.evaluation.protocol import cosine, step
from glad.evaluation.training import class_accuracy, decay_after
from glad.networks import make_network
from glad.rng import rng_for

OPTIONS = {"convnet": {"width": 8}, "alexnet": {"width": 8}}
QUICK = Protocol(epochs=2, batch=8, augmentation="color_crop")


def blobs(n, seed=0):
    """Return gray images [n, 1, 16, 16] whose class of three is the place of a bright stripe."""
    labels = torch.arange(n) % 3
    images = torch.randn(n, 1, 16, 16, generator=rng_for(seed, "blobs")) * 0.5
    for c in range(3):
        images[labels == c, :, 5 * c : 5 * c + 5] += 1.5
    return images, labels


def evaluate(sets, **changes):
    arguments = {"networks": ["convnet", "alexnet"], "seen": "convnet", "seeds": [0, 1], "classes": 3}
    arguments |= {"protocol": QUICK, "network_options": OPTIONS} | changes
    return evaluate_sets(sets, blobs(30, seed=1), **arguments)


def test_a_network_learns_what_can_be_learnt():
    images, labels = blobs(36)
    unrelated = torch.arange(36) // 12  # each label equally often in every true class
    sets = {"real": (images, labels), "unrelated": (images, unrelated)}
    results = evaluate(sets, networks=["convnet"], protocol=Protocol(epochs=30, augmentation="color_crop"))
    assert results["summary"]["real"]["seen"]["mean"] > 0.9
    assert results["summary"]["unrelated"]["seen"]["mean"] < 0.7


def test_soft_labels_are_distributions():
    images, labels = blobs(12)
    hard = evaluate({"s": (images, labels)}, networks=["convnet"])
    soft = evaluate({"s": (images, F.one_hot(labels, 3).float())}, networks=["convnet"])
    assert [cell["accuracy"] for cell in hard["cells"]] == [cell["accuracy"] for cell in soft["cells"]]


def test_schedules():
    rates = [cosine(epoch, 8) for epoch in range(8)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5) and rates[7] == pytest.approx(0.5 * (1 - math.cos(math.pi / 4)))
    assert cosine(0, 1) == 1.0
    assert [step(epoch, 6) for epoch in range(6)] == [1, 1, 1, 1, 0.1, 0.1]


def test_protocol_of_dc_ends_with_the_last_weights_at_a_tenth_of_the_rate():
    protocol = replace(PROTOCOLS["dc"], epochs=4, augmentation="none")
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False)).double()
    weight, momentum = model[1].weight.detach().clone(), torch.zeros(2, 1).double()
    one, label = torch.ones(1, 1, 1, 1).double(), torch.tensor([0])
    for rate in (0.01, 0.01, 0.01, 0.001):
        leaf = weight.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(one.flatten(1) @ leaf.t(), label), leaf)
        momentum = 0.9 * momentum + gradient + 5e-4 * weight
        weight = weight - rate * momentum
    train_network(
        model, one, label, key=(0,), learning_rate=protocol.learning_rate("vit", "convnet"), protocol=protocol
    )
    torch.testing.assert_close(model[1].weight.detach(), weight, rtol=1e-12, atol=0)


def test_averages_against_a_hand_computation():
    assert [decay_after(k) for k in (0, 1, 3, 198, 199, 1000)] == [0.0, 0.5, 0.75, 1 - 1 / 199, 0.995, 0.995]
    # A model of one weight whose gradient is known: logits (w·x, 0), one image, no augmentation.
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.3], [0.0]]))
    weight, momentum, history = torch.tensor([0.3, 0.0], dtype=torch.float64), torch.zeros(2).double(), []
    rates = [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, *(0.5 * (1 + math.cos(math.pi * k / 5)) for k in (1, 2, 3, 4))]
    for rate in rates:
        gradient = weight.softmax(0) - torch.tensor([1.0, 0.0]).double() + 0.1 * weight
        momentum = 0.5 * momentum + gradient
        weight = weight - 0.2 * rate * momentum
        history.append(weight)
    average = sum(history[:2]) / 2  # the decay is limited to 0.5 here: a plain mean of two, then halves
    for later in history[2:]:
        average = 0.5 * average + 0.5 * later
    protocol = Protocol(epochs=10, momentum=0.5, weight_decay=0.1, augmentation="none", average_decay=0.5)
    one = torch.ones(1, 1, 1, 1).double()
    train_network(model, one, torch.tensor([0]), key=(0,), learning_rate=0.2, protocol=protocol)
    torch.testing.assert_close(model[1].weight.flatten(), average)


@pytest.mark.parametrize(("epochs", "limit"), [(1000, 0.995), (2000, 0.995), (200, 0.975), (10, 0.5), (3, 0.0)])
def test_the_average_remembers_a_fifth_of_a_short_training(epochs, limit):
    assert Protocol(epochs=epochs).decay_limit == pytest.approx(limit)


def test_equal_keys_give_equal_bits():
    def train(key):
        network = make_network("convnet", channels=1, classes=3, resolution=16, rng=rng_for(0), width=4)
        losses = []
        protocol = Protocol(epochs=3, batch=5)
        stated = {"on_epoch": lambda _, loss: losses.append(loss)}
        train_network(network, *blobs(12), key=key, learning_rate=0.01, protocol=protocol, **stated)
        assert len(losses) == 3
        return torch.cat([p.flatten() for p in network.parameters()])

    state = torch.get_rng_state()
    assert torch.equal(train((1, "a")), train((1, "a")))
    assert not torch.equal(train((1, "a")), train((2, "a")))
    assert torch.equal(torch.get_rng_state(), state)


def test_every_update_is_told_and_may_end_the_training():
    def train(on_update):
        network = make_network("convnet", channels=1, classes=3, resolution=16, rng=rng_for(0), width=4)
        given = {"protocol": Protocol(2, batch=5), "on_update": on_update}
        train_network(network, *blobs(12), key=(0,), learning_rate=0.01, **given)

    seen = []
    train(seen.append)
    assert seen == [5, 5, 2] * 2
    with pytest.raises(ZeroDivisionError):
        train(lambda images: 1 / 0)


def test_accuracies():
    network = nn.Sequential(nn.Flatten(), nn.Identity())
    images = F.one_hot(torch.tensor([0, 1, 1, 2]), 4).float()[:, :, None, None]
    labels = torch.tensor([0, 1, 2, 2])
    assert accuracy(network, images, labels, batch=3) == 0.75
    predicted = predict(network, images)
    assert class_accuracy(predicted, labels, 4) == [1.0, 1.0, 0.5, None]
    assert network.training


def test_cells_are_reproducible_paired_and_kept():
    sets = {"a": blobs(12), "b": blobs(9, seed=4)}
    stated = []
    results = evaluate(sets, on_cell=stated.append)
    assert stated == results["cells"] and len(stated) == 2 * 2 * 2
    again = evaluate(sets, done=results["cells"][:5], on_cell=lambda cell: stated.append(cell))
    assert len(stated) == 8 + 3
    untimed = [[{k: v for k, v in c.items() if k != "seconds"} for c in r["cells"]] for r in (results, again)]
    assert untimed[0] == untimed[1]
    assert again["cells"][:5] == results["cells"][:5]
    assert json.loads(json.dumps(results)) == results


def test_learning_rates():
    protocol = Protocol()
    assert [protocol.learning_rate(name, "convnet") for name in ("convnet", "vit", "vgg11")] == [1e-2, 1e-3, 1e-4]
    assert (
        protocol.learning_rate("convnet", "convnet", 0.03) == 0.03
        and protocol.learning_rate("vit", "convnet", 0.03) == 1e-3
    )
    results = evaluate({"a": blobs(6), "b": blobs(6)}, seeds=[0], step_sizes={"b": 0.02})
    rates = {(cell["row"], cell["network"]): cell["learning_rate"] for cell in results["cells"]}
    assert rates == {("a", "convnet"): 1e-2, ("a", "alexnet"): 1e-3, ("b", "convnet"): 0.02, ("b", "alexnet"): 1e-3}


def test_summary_by_hand_and_table():
    values = {"convnet": [0.5, 0.7], "vit": [0.3, 0.4], "vgg11": [0.1, 0.4]}
    cells = [
        {"row": "s", "network": name, "seed": seed, "accuracy": value}
        for name, pair in values.items()
        for seed, value in enumerate(pair)
    ]
    summary = summarize(cells, "convnet")["s"]
    assert summary["seen"] == {"mean": pytest.approx(0.6), "std": pytest.approx(0.02**0.5), "n": 2}
    assert summary["networks"]["vit"]["mean"] == pytest.approx(0.35)
    assert summary["cross"] == {"mean": pytest.approx(0.3), "std": pytest.approx(0.02**0.5), "n": 2}
    alone = summarize(cells[:1], "convnet")["s"]
    assert alone["cross"] is None and alone["seen"] == {"mean": 0.5, "std": None, "n": 1}

    results = {"protocol": {"epochs": 7}, "seeds": [0, 1], "networks": ["vit", "convnet", "vgg11"], "seen": "convnet"}
    console = Console(record=True, width=120)
    console.print(results_table(results | {"summary": {"s": summary, "t": alone}}))
    text = console.export_text()
    assert "7 epochs, 2 seeds" in text and "60.0 ± 14.1" in text and "30.0 ± 14.1" in text and "50.0" in text
    assert text.index("convnet (seen)") < text.index("vit") < text.index("cross-architecture")
    assert "Test accuracy" in text
    title = str(results_table(results | {"summary": {"s": summary}, "split": "validation", "seeds": [0]}).title)
    assert title == "Validation accuracy in %, 7 epochs, 1 seed"


def test_a_diverged_training_is_noted():
    results = evaluate({"s": blobs(9)}, networks=["convnet"], seeds=[0], step_sizes={"s": float("inf")})
    cell = results["cells"][0]
    assert "not finite" in cell["note"] and 0 <= cell["accuracy"] <= 1
    assert evaluate({"s": blobs(9)}, networks=["convnet"], seeds=[0])["cells"][0]["note"] == ""
