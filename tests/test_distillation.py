"""The loop on objectives whose answers are known, its guards, and resuming bit for bit."""

from typing import ClassVar

import pytest
import torch
from errors import naming
from torch.nn.functional import mse_loss

from glad.distillation import DistillationError, DistillationState, iterate, run, select_learned
from glad.objectives.base import Step
from glad.optimizers import make_optimizer
from glad.runs.storage import read_step_size, read_tensors
from glad.synthetic_set import SyntheticSet

LABELS = torch.tensor([0, 1, 1])
RATES = {"z": 0.1, "scale": 0.01, "alpha": 0.001, "step": 0.001, "g": 0.0001}


class Affine:
    """Images of latents z [N, 4] and scale [N, 1]; the bias is learned along with them."""

    def __init__(self):
        self.bias = torch.zeros(4).requires_grad_()

    def __call__(self, z, scale):
        return (z * scale + self.bias).view(-1, 1, 2, 2)

    def tensors(self):
        return {"g/bias": self.bias}


class Quadratic:
    """Squared distance to noise of the iteration in two terms, one of which learns alpha; keeps a running count."""

    def __init__(self, break_at=None, how=None):
        self.alpha, self.count = torch.ones(()).requires_grad_(), torch.zeros(1)
        self.break_at, self.how = break_at, how

    def terms(self, images, labels, step):
        target = 0.01 * torch.randn(images.shape, generator=step.rng("target"))
        self.count += 1
        yield mse_loss(images, target)
        second = self.alpha.square() * images.square().mean()
        yield self.how(second, images) if step.iteration == self.break_at else second

    def tensors(self):
        return {"alpha": self.alpha, "count": self.count}


def progress(objective=None, rows=3, momentum=0.5):
    latents = {"z": torch.linspace(-1, 1, rows * 4).view(rows, 4), "scale": torch.full([rows, 1], 2.0)}
    synset = SyntheticSet(Affine(), latents, LABELS[:rows], chunk=2)
    objective = objective or Quadratic()
    return DistillationState(synset, objective, make_optimizer(select_learned(synset, objective), RATES, momentum))


def go(p, iterations, path=None, seed=0):
    """Run to ``iterations``, saving to ``path``; the metrics of every iteration."""
    metrics = []
    run(p, iterations, seed, lambda: path and p.save(path), 2, lambda _, m: metrics.append(m))
    return metrics


def values(p):
    tensors = {**select_learned(p.synset, p.objective), "count": p.objective.count}
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def test_iterations_lower_the_loss():
    losses = [metrics["loss"] for metrics in go(progress(), 60)]
    assert losses[-1] < 0.1 * losses[0]


def test_an_iteration_is_gradient_descent_on_the_sum_of_the_terms():
    p, expected = progress(momentum=0.0), progress(momentum=0.0)
    tensors = select_learned(expected.synset, expected.objective)
    images = expected.synset.prior(**expected.synset.tensors())
    loss = sum(expected.objective.terms(images, LABELS, Step(0, 0)))
    gradients = dict(zip(tensors, torch.autograd.grad(loss, list(tensors.values())), strict=True))
    metrics = iterate(p.synset, p.objective, p.optimizer, Step(0, 0))
    for name, tensor in select_learned(p.synset, p.objective).items():
        rate = RATES[name.split("/")[0]]
        torch.testing.assert_close(tensor, tensors[name] - rate * gradients[name])
        assert metrics[f"grad/{name}"] == pytest.approx(gradients[name].norm().item())
        assert gradients[name].norm() > 0
    assert metrics["loss"] == pytest.approx(loss.item())


def test_each_tensor_has_the_rate_of_its_name_or_of_the_part_before_the_slash():
    groups = progress().optimizer.param_groups
    assert {group["name"]: group["lr"] for group in groups} == {
        "z": 0.1,
        "scale": 0.01,
        "g/bias": 0.0001,
        "alpha": 0.001,
    }
    assert all(group["momentum"] == 0.5 for group in groups)


def test_only_what_requires_grad_is_optimized():
    p = progress()
    assert set(select_learned(p.synset, p.objective)) == {"z", "scale", "g/bias", "alpha"}


def not_a_number(term, images):
    return term * float("nan")


def infinite_gradient(term, images):
    """A finite value whose gradient is not: the root of zero."""
    return term + (images * 0).sum().abs().sqrt()


@pytest.mark.parametrize(
    ("how", "message"),
    [(not_a_number, "iteration 3 term 1"), (infinite_gradient, "iteration 3 gradient")],
)
def test_a_broken_iteration_stops_the_run_and_keeps_the_state_before_it(tmp_path, how, message):
    path = tmp_path / "state"
    p, good = progress(Quadratic(3, how)), progress()
    go(good, 3)
    with pytest.raises(DistillationError, match=naming(f"{message} finite rates")):
        go(p, 9, path)
    assert values(p) == values(good)  # with the count, which the broken iteration had already moved
    restored = progress()
    restored.restore(path)
    assert restored.iteration == 3
    assert values(restored) == values(good)


def test_a_run_goes_on_from_a_broken_iteration_as_if_it_had_not_been(tmp_path):
    straight, broken, mended = progress(), progress(Quadratic(3, not_a_number)), progress()
    go(straight, 7)
    with pytest.raises(DistillationError):
        go(broken, 7, tmp_path / "state")
    mended.restore(tmp_path / "state")
    go(mended, 7)
    assert values(mended) == values(straight)


def test_an_objective_without_gradient_is_an_error():
    class Deaf(Quadratic):
        def terms(self, images, labels, step):
            yield self.alpha.square()

    with pytest.raises(DistillationError, match=naming("iteration 0")):
        go(progress(Deaf()), 1)


@pytest.mark.parametrize("cut", [2, 3, 5])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path, cut):
    straight, first, second = progress(), progress(), progress()
    expected = go(straight, 7)
    before = go(first, cut, tmp_path / "state")
    kept = second.synset.tensors()["z"]
    second.restore(tmp_path / "state")
    after = go(second, 7)
    assert second.synset.tensors()["z"] is kept  # in place: the optimizer holds it
    assert before + after == expected
    assert values(second) == values(straight)


def test_the_state_holds_labels_and_time(tmp_path):
    p = progress()
    p.seconds = 100.0
    go(p, 1, tmp_path / "state")
    restored = progress()
    restored.restore(tmp_path / "state")
    assert restored.elapsed() >= 100.0
    assert restored.iteration == 1


class Renamed(Quadratic):
    """Learns its alpha as the student's step size, by another name than at first."""

    learned_step_size = "step"
    old_names: ClassVar = {"alpha": "step"}

    def tensors(self):
        return {"step": self.alpha, "count": self.count}


def test_the_objective_names_the_step_size_and_its_former_name_is_read(tmp_path):
    old, new = progress(), progress(Renamed())
    go(old, 2)
    old.save(tmp_path / "state")
    new.restore(tmp_path / "state")
    assert new.objective.alpha == old.objective.alpha != 1
    assert read_step_size(tmp_path / "state") == old.objective.alpha.item()  # of versions that did not name it
    new.save(tmp_path / "state")
    assert read_tensors(tmp_path / "state")[1]["step_size"] == "objective/step"
    assert read_step_size(tmp_path / "state") == old.objective.alpha.item()


def test_the_state_of_another_run_is_an_error_with_both_shapes(tmp_path):
    p = progress(rows=2)
    p.save(tmp_path / "state")
    other = progress()
    before = values(other)
    with pytest.raises(DistillationError, match=naming("latents/z [2 4] [3 4]")):
        other.restore(tmp_path / "state")
    assert values(other) == before


def test_a_state_that_lacks_a_tensor_changes_nothing(tmp_path):
    class Forgetful(Quadratic):
        def tensors(self):
            return {"alpha": self.alpha}

    p = progress(Forgetful())
    go(p, 2, tmp_path / "state")
    other = progress()
    before = values(other)
    with pytest.raises(DistillationError, match=naming("objective/count [1]")):
        other.restore(tmp_path / "state")
    assert values(other) == before


@pytest.mark.parametrize(("iterations", "saves"), [(4, [2, 4]), (5, [2, 4, 5]), (0, [])])
def test_the_state_is_saved_on_the_way_and_at_the_end(iterations, saves):
    p, saved, steps = progress(), [], []
    run(p, iterations, 0, lambda: saved.append(p.iteration), 2, lambda i, _: steps.append(i))
    assert saved == saves
    assert steps == list(range(iterations))


def test_a_finished_run_does_nothing():
    p = progress()
    go(p, 2)
    assert go(p, 2) == []


def test_randomness_is_a_function_of_seed_iteration_and_purpose():
    def draw(seed, iteration, purpose):
        return torch.rand(2, generator=Step(seed, iteration).rng(purpose)).tolist()

    assert draw(0, 1, "a") == draw(0, 1, "a")
    assert len({tuple(draw(*key)) for key in [(0, 1, "a"), (1, 1, "a"), (0, 2, "a"), (0, 1, "b"), (1, 0, "a")]}) == 5
