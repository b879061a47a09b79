"""The minutes of a training: how they are split, that all stages keep to them, and what is refused when they end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from errors import naming
from image_files import write_images

from generators import weights
from generators.configurations import random_generator
from generators.training import budget, train
from generators.training.budget import FEATURE_SHARE, FEATURE_STEPS, TimeBudget, plan_feature_steps
from generators.training.gan import Reals, TrainingSettings, start
from generators.training.progress import Progress
from glad.data.dataset import Splits
from glad.data.splits import load_data
from glad.runs.storage import RunError, read_tensors

SMALL = TrainingSettings(batch=8, channels=8, channel_base=64, layers=4, w_dim=16, augment="none")


class Clock:
    """A clock that is told how long things take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Lines(Progress):
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that each step of the features moves by a second, and each of the generator by ten."""
    made = Clock()
    features, step = train.train_features, train.train_step

    def slow_features(*arguments: Any) -> Iterator[float]:
        for loss in features(*arguments):
            made.now += 1
            yield loss

    def slow_step(*arguments: Any) -> dict[str, float]:
        made.now += 10
        return step(*arguments)

    monkeypatch.setattr(budget, "train_features", slow_features)
    monkeypatch.setattr(train, "train_features", slow_features)
    monkeypatch.setattr(train, "train_step", slow_step)
    monkeypatch.setattr(train, "TimeBudget", lambda minutes, steps=None: TimeBudget(minutes, steps, made))
    return made


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    for seed, name in enumerate(("dark", "light")):
        write_images(tmp_path / "data" / name, 12, (16, 16), seed=seed)
    return load_data(str(tmp_path / "data"))


@pytest.mark.parametrize(("minutes", "steps"), [(1, 15), (10, 150), (1e4, FEATURE_STEPS), (0.02, 1)])
def test_features_take_a_quarter_of_the_minutes_at_most(
    minutes: float, steps: int, clock: Clock, splits: Splits
) -> None:
    reals = Reals(splits.train, True)
    features = start(reals, SMALL).features
    before = {name: tensor.clone() for name, tensor in features.state_dict().items()}
    planned, line = plan_feature_steps(features, reals, SMALL, TimeBudget(minutes, clock=clock))
    assert planned == steps and f"({steps:,} steps)" in line and f"{minutes:g} min" in line
    assert all(tensor.equal(before[name]) for name, tensor in features.state_dict().items())
    assert planned <= max(1, 60 * FEATURE_SHARE * minutes)


def test_all_stages_keep_to_the_minutes_and_the_split_is_said_before(
    clock: Clock, splits: Splits, tmp_path: Path
) -> None:
    heard = Lines()
    path = train.train_generator(splits, tmp_path / "out", SMALL, minutes=1, progress=heard)
    assert heard.lines[1] == "1 min: about 0.2 for the discriminator's features (15 steps), 0.8 for the generator"
    _, metadata = weights.load(path)
    assert clock.now == 4 + 15 + 5 * 10  # the pace, the features, and the steps that begin within the minute
    assert metadata["steps"] == "5"
    assert '"feature_steps": 15' in metadata["recipes"]


def test_the_number_of_feature_steps_that_was_planned_gives_the_same_bits_when_it_is_asked_for(
    clock: Clock, splits: Splits, tmp_path: Path
) -> None:
    planned = train.train_generator(splits, tmp_path / "planned", SMALL, minutes=1, steps=2)
    asked = TrainingSettings(**{**vars(SMALL), "feature_steps": 15})
    again = train.train_generator(splits, tmp_path / "again", asked, minutes=100, steps=2)
    one, two = (read_tensors(path.with_name("state.safetensors"))[0] for path in (planned, again))
    assert all(tensor.equal(two[name]) for name, tensor in one.items())


def test_more_minutes_continue_with_the_features_that_there_are(clock: Clock, splits: Splits, tmp_path: Path) -> None:
    train.train_generator(splits, tmp_path, SMALL, minutes=1)
    spent, heard = clock.now, Lines()
    path = train.train_generator(splits, tmp_path, SMALL, minutes=2, progress=heard)
    assert weights.load(path)[1]["steps"] == "11" and clock.now == spent + 60
    assert any(line.startswith("continuing at step 5, with 0.9 minutes left") for line in heard.lines)


def test_too_many_feature_steps_for_the_minutes_are_refused_before_any(
    clock: Clock, splits: Splits, tmp_path: Path
) -> None:
    asked = TrainingSettings(**{**vars(SMALL), "feature_steps": 60})
    with pytest.raises(ValueError, match=naming("60 1.0 min 1 min")):
        train.train_generator(splits, tmp_path, asked, minutes=1)
    assert not (tmp_path / "state.safetensors").exists()


def test_features_that_take_longer_than_planned_end_with_the_minutes(
    clock: Clock, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "FEATURE_SHARE", 1.0)
    asked = TrainingSettings(**{**vars(SMALL), "feature_steps": 58})
    with pytest.raises(RunError, match=naming("1 min 56 58")):
        train.train_generator(splits, tmp_path, asked, minutes=1)  # 4 of the seconds went to finding the pace
    assert not (tmp_path / "state.safetensors").exists()


def test_a_generator_without_a_step_is_not_written(clock: Clock, splits: Splits, tmp_path: Path) -> None:
    asked = TrainingSettings(**{**vars(SMALL), "feature_steps": 56})
    with pytest.raises(RunError, match=naming("generator.safetensors")):
        train.train_generator(splits, tmp_path, asked, minutes=1)
    assert (tmp_path / "state.safetensors").exists() and not (tmp_path / "generator.safetensors").exists()
    assert train.train_generator(splits, tmp_path, asked, minutes=1.1).exists()


def test_untrained_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "untrained.safetensors"
    weights.save(path, random_generator("imagenet16"), steps="0")
    with pytest.raises(weights.WeightsError, match=naming("untrained.safetensors 0")):
        weights.load(path)
