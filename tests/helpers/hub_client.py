"""The Hub's real client, turned to a server on the loopback, and what glad says to it."""

import pytest
from click.testing import CliRunner
from huggingface_hub import constants, file_download

from generators import hub, store
from glad.cli import main

NAME = "org/repo:g.safetensors"
CLOSED = "http://127.0.0.1:9"  # nothing listens there


def point_client_to(monkeypatch, address, tmp_path):
    """What the client reads from the environment when it is imported, and glad's own cache."""
    settings = {
        "ENDPOINT": address,
        "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DOWNLOAD_TIMEOUT": 5,
        "DOWNLOAD_CHUNK_SIZE": 1000,
    }
    for name, value in settings.items():
        for module in (constants, file_download):  # older clients have copies
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("GLAD_WEIGHTS_CACHE", str(tmp_path / "cache"))


def fails(name, *patterns, **options):
    """The one line with which ``name`` cannot be had."""
    with pytest.raises(store.FetchError) as caught:
        hub.fetch(name, **options)
    line = str(caught.value)
    assert "\n" not in line
    for pattern in patterns:
        assert pattern in line, line
    return line


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".TAG")]
