"""What is wrong with Ray, a machine or a folder is said in one line, before Ray starts where that is possible."""

import builtins
import socket

import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming

from glad.cli import main
from glad.runs.storage import RunError
from glad.settings.distill import DistillSettings
from glad.settings.evaluate import EvaluateSettings
from glad.settings.experts import ExpertSettings
from glad.settings.spread import TaskSettings
from glad.settings.tune import TuneSettings
from glad.tasks import order
from glad.tasks.engines import open_engine
from glad.tasks.facts import differences, facts_of, node_name
from glad.tasks.order import NodeError, Shared, require_data, require_named, require_same
from glad.tasks.processes import InProcess, Processes

CPU = torch.device("cpu")
SMALL = ["--limit", "50", "--network-option", "width=4", "--device", "cpu"]


def test_the_settings_choose_the_engine(tmp_path):
    for settings, kind in ((TaskSettings(), InProcess), (TaskSettings(workers=1), InProcess)):
        with open_engine(settings, tmp_path, CPU) as engine:
            assert type(engine) is kind and not engine.elsewhere
    with open_engine(TaskSettings(workers=3), tmp_path, CPU) as engine:
        assert type(engine) is Processes and engine.workers == 3 and engine.elsewhere


@pytest.mark.parametrize("address", ["", "ray://node:10001"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match=naming("local HOST:PORT")):
        EvaluateSettings(ray=address)


def test_a_url_is_no_folder():
    for settings in (ExpertSettings, DistillSettings):
        with pytest.raises(ValueError, match=naming("s3://bucket/x folder")):
            settings(out="s3://bucket/x")


def test_a_search_on_ray_says_how_many_trials_are_proposed_at_once():
    with pytest.raises(ValueError, match=naming("--workers")):
        TuneSettings(out="x", trials=2, ray="local")


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with (
        pytest.raises(RunError, match=naming("glad-distill[ray]")),
        open_engine(TaskSettings(ray="local"), tmp_path, CPU),
    ):
        pass


def test_auto_without_a_cluster_is_said_in_a_line(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")

    def absent(*_, **__):
        raise ConnectionError("give --address")

    monkeypatch.setattr(ray, "init", absent)
    found = CliRunner().invoke(main, ["experts", "train", "--ray", "auto", "--out", str(tmp_path), *SMALL])
    assert found.exit_code == 1 and mentions(found.output, "RAY_ADDRESS HOST:PORT local")
    assert "--address" not in found.output


def test_an_address_where_nothing_listens_is_said_in_a_line(tmp_path):
    pytest.importorskip("ray")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        found = CliRunner().invoke(main, ["experts", "train", "--ray", address, "--out", str(tmp_path), *SMALL])
    assert found.exit_code and mentions(str(found.output) + str(found.exception), address)
    for address in ("nowhere", "127.0.0.1:99999", "[::1]:"):
        with pytest.raises(RunError, match=naming(address)), open_engine(TaskSettings(ray=address), tmp_path, CPU):
            pass


def test_what_differs_between_machines_is_named():
    ours = facts_of("cpu")
    assert {"python", "torch", "source of glad", "instructions", "operators on cpu"} <= ours.keys()
    require_same(ours, "cpu", None)
    for name in ("torch", "operators on cpu", "source of glad"):
        with pytest.raises(NodeError, match=naming(f"{node_name()} {name} 1.0")):
            require_same({**ours, name: "1.0"}, "cpu", None)
    assert differences({"a": "1", "b": "2"}, {"a": "1"}) == "b None, here it is 2"


def test_a_folder_that_is_not_shared_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(order, "PATIENCE", 0.0)
    shared = Shared(str(tmp_path), "token")
    with pytest.raises(NodeError, match=naming(f"{node_name()} {tmp_path}")):
        require_same(facts_of("cpu"), "cpu", shared)
    shared.file.touch()
    require_same(facts_of("cpu"), "cpu", shared)


def test_data_of_other_processes_is_named_and_the_same():
    with pytest.raises(ValueError, match=naming("object:a.B name")):
        require_named("object:a.B")
    require_data("abc", "abc")
    with pytest.raises(NodeError, match=naming(f"{node_name()} abc abd")):
        require_data("abc", "abd")
