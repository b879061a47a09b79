"""Numbers that make no sense are refused where settings are made, each in a line with its name."""

import math
from dataclasses import replace
from typing import Any

import pytest
from errors import naming

from generators.training.settings import MeasureSettings, TrainingSettings
from glad.settings.audit import AuditSettings
from glad.settings.compare import CompareSettings, CompareSizes
from glad.settings.distill import DistillSettings
from glad.settings.evaluate import EvaluateSettings
from glad.settings.experts import RECIPES, ExpertSettings, Recipe
from glad.settings.fields import Settings, settings_of
from glad.settings.numbers import ABOVE_ZERO, AT_LEAST_ONE, AT_LEAST_ZERO, SHARE, SWITCH
from glad.settings.tune import TuneSettings

MADE: list[Settings] = [
    DistillSettings(),
    EvaluateSettings(),
    AuditSettings(),
    CompareSizes(),
    CompareSettings(),
    *RECIPES.values(),
    ExpertSettings(out="experts"),
    TuneSettings(out="tuned", trials=1),
    TrainingSettings(),
    MeasureSettings(),
]


@pytest.mark.parametrize("settings", MADE, ids=lambda settings: type(settings).__name__)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_setting_takes_a_number_that_is_not_finite(settings: Settings, number: float) -> None:
    numeric = [s for s in settings_of(type(settings)) if "float" in str(s.kind) or "int" in str(s.kind)]
    assert numeric
    for setting in numeric:
        value = [number] if "tuple[float" in str(setting.kind) else number
        with pytest.raises(ValueError, match=setting.name) as raised:
            replace(settings, **{setting.name: value})
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("cls", "given", "message"),
    [
        (DistillSettings, {"learning_rate": -1}, "learning_rate at least 0 -1.0"),
        (DistillSettings, {"learning_rate": {"w": 0.1, "f": -1}}, "learning_rate.f at least 0 -1.0"),
        (DistillSettings, {"learning_rate": {"w": math.inf}}, "learning_rate.w finite 0 inf"),
        (DistillSettings, {"momentum": 1}, "momentum 0 below 1 1.0"),
        (DistillSettings, {"memory": -1}, "memory 0 -1.0"),
        (DistillSettings, {"rank_timeout": 0}, "rank_timeout above 0 0.0"),
        (DistillSettings, {"learning_rate": 10**400}, "learning_rate number"),
        (EvaluateSettings, {"learning_rate": -1}, "learning_rate at least 0 -1.0"),
        (EvaluateSettings, {"learning_rate": {"vit": math.nan}}, "learning_rate.vit at least 0 nan"),
        (EvaluateSettings, {"limit": 0}, "limit at least 1 0"),
        (EvaluateSettings, {"resolution": -1}, "resolution at least 1 -1"),
        (AuditSettings, {"learning_rate": 0}, "learning_rate above 0 0.0"),
        (CompareSettings, {"layer": -1}, "layer at least 0 -1"),
        (Recipe, {"learning_rate": math.nan}, "experts: learning_rate above 0 nan"),
        (Recipe, {"momentum": 1.5}, "experts: momentum 0 below 1 1.5"),
        (Recipe, {"weight_decay": -1}, "experts: weight_decay at least 0 -1.0"),
        (Recipe, {"penalty": -1}, "experts: penalty at least 0 -1.0"),
        (Recipe, {"clipping": 2}, "experts: clipping 0 or 1 2"),
        (Recipe, {"balanced": 7}, "experts: balanced 0 or 1 7"),
        (TrainingSettings, {"r1": -1}, "r1 at least 0 -1.0"),
        (TrainingSettings, {"guidance": -1}, "guidance at least 0 -1.0"),
        (TrainingSettings, {"learning_rate": -1}, "learning_rate at least 0 -1.0"),
        (TrainingSettings, {"channel_base": 0}, "channel_base above 0 0.0"),
    ],
)
def test_a_number_without_sense_is_named(cls: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=naming(message)):
        cls(**given)


def test_a_rate_of_zero_stays_allowed() -> None:
    assert DistillSettings(learning_rate={"w": 0, "step_size": 0}).learning_rate == {"w": 0, "step_size": 0}
    assert DistillSettings(learning_rate=0, memory=0).learning_rate == 0


def test_ranges_hold_their_ends_and_nothing_infinite() -> None:
    assert [number in SHARE for number in (-0.1, 0, 0.5, 1)] == [False, True, True, False]
    assert [number in SWITCH for number in (-1, 0, 0.5, 1, 2)] == [False, True, False, True, False]
    assert 0 in AT_LEAST_ZERO and 0 not in ABOVE_ZERO and 1 in AT_LEAST_ONE and 0.5 not in AT_LEAST_ONE
    for found in (SHARE, SWITCH, AT_LEAST_ZERO, ABOVE_ZERO, AT_LEAST_ONE):
        assert not any(number in found for number in (math.nan, math.inf, -math.inf))
    AT_LEAST_ONE.require({"batch": None, "sizes": {"a": 1}})
    with pytest.raises(ValueError, match=r"^dm: sizes\.b must be at least 1, not 0$"):
        AT_LEAST_ONE.require({"batch": 3, "sizes": {"a": 1, "b": 0}}, "dm:")
