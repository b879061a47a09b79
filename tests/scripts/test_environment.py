"""What `make` says when it cannot install."""

import subprocess
from collections import namedtuple

import environment
import pytest

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("free, said", [(10**8, "has 0.1 GB left"), (6 * 10**9, "takes 7"), (10**10, "")])
def test_a_failed_installation_tells_of_a_full_disk(free, said, monkeypatch, tmp_path):
    def fail(extras):
        raise subprocess.CalledProcessError(1, "pip")

    (tmp_path / "pyproject.toml").touch()
    for name, value in {"install": fail, "active": lambda _: None, "ROOT": tmp_path, "VENV": tmp_path / "x"}.items():
        monkeypatch.setattr(environment, name, value)
    monkeypatch.setattr(environment, "STAMP", tmp_path / "x" / "installed")
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: Usage(10**12, 0, free))
    with pytest.raises(SystemExit) as stopped:
        environment.main([])
    assert "exit 1 of the installation" in str(stopped.value) and said in str(stopped.value)
    assert ("GB left" in str(stopped.value)) == bool(said)
