"""The mechanism of settings: texts under fields, checks by annotation, files, schema."""

import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from errors import mentions, naming

from glad.settings.distill import DistillSettings
from glad.settings.experts import ExpertSettings
from glad.settings.fields import Settings, documentation, read, schema, settings_of, spelled
from glad.settings.types import conform


@dataclass(frozen=True, kw_only=True)
class Base(Settings):
    """A base."""

    size: int = 3
    """How large,
    in metres."""


@dataclass(frozen=True, kw_only=True)
class Own(Base):
    """An example."""

    name: str = spelled(..., old=("title",))
    """What it is called."""
    kind: Literal["a", "bc"] = "a"
    """Which of two."""
    rates: Mapping[str, float] = spelled({})
    """Numbers by name."""
    parts: tuple[int | str, ...] | None = None
    """Some; all if None."""
    share: float | None = None

    undocumented: Any = None


def test_the_text_under_a_field_is_its_documentation() -> None:
    assert documentation(Own) == {
        "size": "How large, in metres.",
        "name": "What it is called.",
        "kind": "Which of two.",
        "rates": "Numbers by name.",
        "parts": "Some; all if None.",
    }


def test_settings_are_frozen_and_a_default_is_nobodys() -> None:
    first, second = Own(name="x"), Own(name="y")
    with pytest.raises(FrozenInstanceError):
        first.size = 4  # type: ignore[misc]
    assert first.rates == {} and first.rates is not second.rates
    assert replace(first, size=5).size == 5 and first.size == 3


def test_values_have_one_form() -> None:
    made = Own(name=Path("a/b"), size=4.0, rates={"w": 1, "f": "1e-3"}, parts=[1, "2"], share="0.5")  # type: ignore[arg-type]
    assert made.plain() == {
        "size": 4, "name": "a/b", "kind": "a", "rates": {"w": 1.0, "f": 1e-3}, "parts": [1, "2"], "share": 0.5,
        "undocumented": None,
    }  # fmt: skip
    assert yaml.safe_load(yaml.safe_dump(made.plain())) == made.plain()
    assert read(Own, made.plain(), "again") == made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 1.5}, "size 1.5 whole"),
        ({"size": True}, "size True whole"),
        ({"size": None}, "size None whole"),
        ({"name": 3}, "name 3 text"),
        ({"kind": "b"}, "kind 'b' a, bc 'bc'"),
        ({"rates": {"w": "fast"}}, "rates.w 'fast' number"),
        ({"rates": 1.0}, "rates 1.0 mapping"),
        ({"parts": "12"}, "parts '12' list"),
        ({"parts": [1.5]}, "parts 1.5 whole text"),
        ({"share": "much"}, "share 'much' number"),
    ],
)
def test_a_value_of_another_kind_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        Own(**{"name": "x", **given})
    assert mentions(error.value, message)


def test_a_union_takes_what_a_value_is_before_what_it_can_be_read_as() -> None:
    assert conform("x", "7", int | str) == "7" and conform("x", 7, int | str) == 7
    assert conform("x", 1, float | Mapping[str, float]) == 1.0 and conform("x", {"w": 1}, float | Mapping[str, float])


def test_a_file_with_an_unknown_name_is_refused_with_what_was_meant() -> None:
    with pytest.raises(ValueError, match=naming("mine.yaml iteration iterations")):
        read(DistillSettings, {"iteration": 3}, "mine.yaml")
    with pytest.raises(ValueError, match=naming("nothing_like_it augmentation")):
        read(DistillSettings, {"nothing-like-it": 3}, "mine.yaml")


def test_former_names_are_understood() -> None:
    assert read(Own, {"title": "old"}, "file").name == "old"
    found = read(DistillSettings, {"start": "nearest", "lr": {"w": 0.5}, "save-every": 7}, "file")
    assert (found.initialization, found.learning_rate, found.save_every) == ("nearest", {"w": 0.5}, 7)


def test_the_schema_is_that_of_json_and_holds_every_field() -> None:
    found = schema(Own)
    assert json.loads(json.dumps(found)) == found
    assert found["required"] == ["name"] and found["additionalProperties"] is False
    properties = found["properties"]
    assert properties["size"] == {"type": "integer", "default": 3, "description": "How large, in metres."}
    assert properties["kind"]["enum"] == ["a", "bc"] and "default" not in properties["name"]
    assert properties["rates"]["additionalProperties"] == {"type": "number"}
    assert {"type": "null"} in properties["parts"]["anyOf"]
    for settings in (DistillSettings, ExpertSettings):
        assert list(schema(settings)["properties"]) == [setting.name for setting in settings_of(settings)]
