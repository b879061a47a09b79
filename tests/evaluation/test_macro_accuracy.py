"""Macro accuracy beside accuracy, and batches with as many images of each class."""

import json
import warnings

import numpy as np
import pytest
import torch
from distilled_sets import invoke
from evaluations import evaluate
from report_runs import Page
from rich.console import Console
from sklearn.metrics import balanced_accuracy_score

import glad
from glad.auditing import checks
from glad.auditing.verdicts import macro_differs as audit_differs
from glad.cli.results_tables import differences_table, results_table
from glad.data.balance import balanced_order
from glad.evaluation import training
from glad.evaluation.results_store import read_results
from glad.evaluation.summary import differences, macro_accuracy, macro_differs, summarize
from glad.hub.card_results import results as card_of
from glad.rng import rng_for

COUNTS = (12, 3, 4)  # test images of the classes
NAMES = ("bag", "cat", "dog")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """What the command prints and writes of a set of one image per class, tested on ``COUNTS`` images."""
    folder = tmp_path_factory.mktemp("unequal")
    generator = np.random.default_rng(0)

    def images(counts):
        labels = np.repeat(np.arange(len(counts)), counts)
        noise = generator.integers(0, 60, (len(labels), 16, 16, 1))
        return (noise + 60 * labels[:, None, None, None]).astype(np.uint8), labels

    x, y = images((8, 8, 8))
    u, v = images((4, 4, 4))
    tested, labels = images(COUNTS)
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_val=u, y_val=v, x_test=tested, y_test=labels)
    np.savez(folder / "small.npz", images=x[::8], labels=y[::8])
    asked = ["--epochs", "2", "--seeds", "2", "--baselines", "random", "--device", "cpu"]
    networks = ["--networks", "convnet", "--networks", "alexnet", "--network-option", "convnet.width=4"]
    output = invoke("evaluate", folder / "small.npz", "--data", folder / "data.npz", *asked, *networks)
    return output, folder / "small.npz.results.json"


@pytest.mark.parametrize("counts", [(5, 5, 5), (40, 3, 9), (7, 0, 2)])
def test_it_is_scikit_learn_s_balanced_accuracy(counts):
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    predicted = torch.randint(3, labels.shape, generator=torch.Generator().manual_seed(sum(counts)))
    ours = macro_accuracy(training.class_accuracy(predicted, labels, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a class is predicted of which there are no images
        assert ours == pytest.approx(balanced_accuracy_score(labels, predicted))
    found = checks.losses([predicted], [labels], labels, NAMES)
    assert found["macro_accuracy"]["full"]["mean"] == pytest.approx(ours) and audit_differs(found) == (counts[0] != 5)
    assert found["macro_accuracy"]["set"]["seeds"] == [1.0]


def test_nothing_known_is_none():
    assert macro_accuracy(None) is None and macro_accuracy([None]) is None


def test_the_command_shows_it_where_classes_are_unequal(evaluated):
    output, path = evaluated
    assert "Test accuracy in %" in output and "Test macro accuracy (mean of the classes' accuracies) in %" in output
    assert "Paired differences of macro accuracy" in output
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        right = [round(share * count) for share, count in zip(cell["per_class"], COUNTS, strict=True)]
        assert cell["accuracy"] == pytest.approx(sum(right) / 19)
        assert cell["macro_accuracy"] == pytest.approx((right[0] / 12 + right[1] / 3 + right[2] / 4) / 3)
    shown = summarize(content["cells"], "convnet")
    assert {row: entry["macro"] for row, entry in content["summary"].items()} == {
        row: entry["macro"] for row, entry in shown.items()
    }
    means = [c["macro_accuracy"] for c in content["cells"] if (c["row"], c["network"]) == ("set:small", "alexnet")]
    assert shown["set:small"]["macro"]["cross"]["mean"] == pytest.approx(sum(means) / 2)
    card = card_of(content, "set:small")
    assert card.count("**this set**") == 2 and "Macro accuracy in %" in card


def test_earlier_results_have_it_by_class_or_a_dash(evaluated, tmp_path):
    content = json.loads(evaluated[1].read_text())
    expected = read_results(evaluated[1])[0]

    def write(*dropped):
        old = json.loads(evaluated[1].read_text())
        for cell in old["cells"]:
            for name in dropped:
                cell.pop(name)
        for entry in (*old["summary"].values(), *old["differences"]):
            entry.pop("macro")
        (tmp_path / "results.json").write_text(json.dumps(old))
        return read_results(tmp_path / "results.json")[0]

    assert write("macro_accuracy") == expected
    found = write("macro_accuracy", "per_class")
    assert not macro_differs(found["cells"]) and found["cells"][0]["macro_accuracy"] is None
    assert found["summary"]["set:small"]["seen"] == content["summary"]["set:small"]["seen"]
    console = Console(record=True, width=160)
    console.print(results_table(found, macro=True))
    console.print(differences_table(found, macro=True))
    text = console.export_text()
    assert text.count(" - │") == 2 * 3 + 2 and "±" not in text  # two rows of a table, one of the other


def test_differences_of_macro_accuracy_by_hand():
    cells = [
        {"row": row, "network": "convnet", "seed": seed, "accuracy": 0.5, "macro_accuracy": value}
        for row, pair in {"a": (0.4, 0.6), "b": (0.3, 0.2)}.items()
        for seed, value in enumerate(pair)
    ]
    (found,) = differences(cells, [("a", "b")], "convnet")
    assert found["seen"]["mean"] == 0 and found["macro"]["seen"]["mean"] == pytest.approx(0.25)
    assert found["macro"]["cross"] is None


@pytest.mark.parametrize("soft", [False, True])
def test_balanced_batches_are_those_of_the_balanced_order(monkeypatch, soft):
    labels = torch.tensor([0] * 10 + [1] * 2)
    images = torch.arange(12.0)[:, None, None, None].expand(12, 1, 16, 16).clone()
    given = torch.nn.functional.one_hot(labels, 2).float() if soft else labels
    batches = []
    monkeypatch.setattr(training, "augment", lambda x, *_, **__: batches.append(x[:, 0, 0, 0].long()) or x)
    network = glad.networks.make_network("convnet", channels=1, classes=2, resolution=16, rng=rng_for(0), width=4)
    protocol = glad.Protocol(epochs=2, batch=4, augmentation="none", balanced=1)
    training.train_network(network, images, given, key=("k",), learning_rate=0.0, protocol=protocol)
    assert all(labels[batch].tolist().count(0) == 2 for batch in batches) and len(batches) == 6
    orders = [balanced_order(labels, rng_for("k", epoch, "order")) for epoch in (0, 1)]
    assert torch.equal(torch.cat(batches), torch.cat(orders))


def test_it_is_part_of_the_protocol_where_it_is_on():
    assert "balanced" not in glad.Protocol().to_dict()  # accuracies of earlier versions stay valid
    assert glad.Protocol(balanced=1).to_dict()["balanced"] == 1
    with pytest.raises(ValueError, match="balanced is 0 or 1, not 2"):
        glad.Protocol(balanced=2)


def test_the_report_shows_it_where_it_differs(codes):
    evaluate(codes, networks=["convnet", "alexnet"], baselines=["random"])
    assert "macro accuracy" not in Page(glad.report(codes, codes.path / "page.html").read_text()).text
    content = json.loads((codes.path / "results.json").read_text())
    for entry in (*content["summary"].values(), *content["differences"]):
        entry.pop("macro")
    for cell in content["cells"]:
        cell.pop("macro_accuracy")
        cell["per_class"] = [1.0] * 9 + [0.0]
    (codes.path / "results.json").write_text(json.dumps(content))
    page = Page(glad.report(codes, codes.path / "page.html").read_text()).text
    assert "Validation macro accuracy (mean of the classes' accuracies) in %" in page and "90.0 ± 0.0" in page
    assert ", macro accuracy 90.0 ± 0.0)" in page and "Paired differences of macro accuracy" in page
