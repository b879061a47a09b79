"""What `glad distill` asks for, without a run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from preset_commands import run

from glad.settings.distill import DistillSettings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """``settings(*options)``: what ``glad distill`` asks for, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    asked: dict[str, Any] = {}

    def note(settings: DistillSettings, **_: Any) -> SimpleNamespace:
        asked.update(settings.plain())
        return SimpleNamespace(path="run")

    monkeypatch.setattr("glad.api.run_distillation", note)
    return lambda *options: (run("distill", *options), dict(asked))[1]
