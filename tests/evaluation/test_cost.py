"""What a training takes until it reaches a test accuracy, with a clock that the test moves."""

import time

import pytest
import torch

from glad.evaluation import Protocol, ResultRow
from glad.evaluation.cost import GROWTH, TrainingCost, entry_of, pays_after, sentences, train_until
from glad.evaluation.training import Job, accuracy, fresh_network, train_network
from glad.rng import rng_for

QUICK = Protocol(epochs=6, batch=4, augmentation="none")
JOB = Job("set:s", "convnet", 0, 0.05, QUICK, {"width": 4})


def stripes(n, seed=0):
    labels = torch.arange(n) % 3
    images = torch.randn(n, 1, 16, 16, generator=rng_for(seed, "stripes")) * 0.3
    for c in range(3):
        images[labels == c, :, 5 * c : 5 * c + 5] += 1.5
    return images, labels


def by_hand(looks):
    """Accuracies after each update, from a training of its own."""
    data, test, found = stripes(10), stripes(30, 1), []
    network = fresh_network(JOB, test[0], 3)
    train_network(network, *data, key=(0, "evaluate", "convnet", "set:s"), learning_rate=0.05, protocol=QUICK,
                  on_update=lambda _: found.append(accuracy(network, *test)))  # fmt: skip
    return [found[i - 1] for i in looks]


def test_it_stops_at_the_first_look_that_reaches_the_target():
    looks = [*range(1, 12), 13, 15, 17]
    known = by_hand(looks)
    target = sorted(set(known))[-1]
    first = known.index(target)
    found = train_until(JOB, stripes(10), stripes(30, 1), 3, target)
    assert found.reached and found.accuracy == target and found.updates == looks[first]
    full, rest = divmod(looks[first], 3)  # batches of 4, 4 and 2
    assert found.samples == 10 * full + [0, 4, 8][rest]
    assert found.bytes == 10 * 16 * 16 and found.seconds > 0
    assert GROWTH == 1.1


def test_it_says_where_it_ends_when_it_does_not_get_there():
    found = train_until(JOB, stripes(10), stripes(30, 1), 3, 1.01)
    assert not found.reached and found.updates == 18 and found.samples == 60
    assert 0 <= found.accuracy <= 1


def test_testing_is_off_the_clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def step(_):
        now[0] += 1.0

    def slow(network, images, labels):
        now[0] += 1000.0
        return accuracy(network, images, labels)

    monkeypatch.setattr("glad.evaluation.cost.accuracy", slow)
    original = train_network

    def timed(*arguments, on_update, **options):
        def update(images):
            step(images)
            on_update(images)

        return original(*arguments, on_update=update, **options)

    monkeypatch.setattr("glad.evaluation.cost.train_network", timed)
    found = train_until(JOB, stripes(10), stripes(30, 1), 3, 1.01)
    assert found.seconds == pytest.approx(18)


def make(seconds, reached=True, accuracy=0.8):
    return TrainingCost(reached, accuracy, seconds, 1000, 10, 7840)


def test_it_pays_when_what_is_saved_is_what_it_took():
    assert pays_after(100.0, make(10), make(30)) == 5
    assert pays_after(101.0, make(10), make(30)) == 6
    assert pays_after(1.0, make(10), make(30)) == 1
    assert pays_after(100.0, make(30), make(30)) is None
    assert pays_after(100.0, make(10, reached=False), make(30)) is None
    assert pays_after(100.0, make(10), make(30, reached=False)) is None
    assert pays_after(None, make(10), make(30)) is None


def stated(ours, full, seconds, name=None):
    goal = {"seed": 0, "target": 0.68, "reach": 0.8, "network": "convnet"}
    rows = [ResultRow("set", owner="codes"), ResultRow("full", images=60, epochs=20)]
    cost = {"full:20": {**goal, "training": vars(full)}, "set:codes": {**goal, **entry_of(ours, full, seconds)}}
    results = {"rows": [row.to_dict() for row in rows], "cost": cost}
    assert sentences(results, "set:other") == [] and sentences({**results, "cost": {}}, "set:codes") == []
    return sentences(results, "set:codes", name)


def test_three_sentences():
    first, second, third = stated(make(10), make(30), 100.0)
    assert first == (
        "To reach a test accuracy of 68.0 % (80 % of that of the full data, convnet), training on codes takes 10 s, "
        "1,000 images seen and 7,840 bytes."
    )
    assert second == "Training on the full data takes 30 s, 1,000 images seen and 7,840 bytes."
    assert third == "The distillation took 100 s and has paid for itself after 5 trainings."
    assert "training on mine takes" in stated(make(10), make(30), 100.0, "mine")[0]
    assert stated(make(1), make(200), 100.0)[2].endswith("after 1 training.")
    first, _, third = stated(make(10, False, 0.5), make(30), 100.0)
    assert "does not suffice: it ends at 50.0 %" in first
    assert "never pays for itself: training on the set does not get there." in third
    assert "the full data is as fast" in stated(make(40), make(30), 100.0)[2]
    assert "is not known" in stated(make(10), make(30), None)[2]
    assert entry_of(make(10), make(30), 100.0)["training"]["seconds"] == 10
