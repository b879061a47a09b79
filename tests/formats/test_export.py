"""An export is whole or is not there, the command says what it cost, and what was exported trains as before."""

import errno
import os
import re
from pathlib import Path

import forked
import pytest
import torch
from distilled_sets import PICTURES, distill, fails, files_in, invoke, make_set
from errors import mentions, naming
from torch.nn import functional as F

from glad.data.splits import load_data
from glad.evaluation import Protocol, evaluate_sets
from glad.formats import FORMATS
from glad.formats.export import export, format_for
from glad.formats.load import load_distilled
from glad.runs.storage import RunError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return distill(tmp_path_factory.mktemp("runs") / "codes", ipc=2, chunk=3)


def test_what_exists_is_kept_unless_forced(tmp_path):
    target = tmp_path / "set"
    for kind, source in (("folder", make_set(3)), ("npz", make_set(1)), ("folder16", make_set(1))):
        if target.exists():
            before = files_in(target)
            with pytest.raises(RunError, match=naming("--out")):
                export(source, kind, target)
            assert files_in(target) == before
        export(source, kind, target, force=True)
        assert load_distilled(target).card.format == kind
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("foreign", ["folder", "file", "run", "state"])
def test_force_replaces_exports_only(tmp_path, run, foreign):
    target = {"run": run.path, "state": run.state}.get(foreign, tmp_path / "mine")
    if foreign == "folder":
        (target / "sub").mkdir(parents=True)
    if foreign == "file":
        target.write_bytes(b"mine")
    before = files_in(target)
    with pytest.raises(RunError, match=naming("--force")):
        export(make_set(), "safetensors", target, force=True)
    assert files_in(target) == before


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("before", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, kind, before):
    target = tmp_path / "set"
    if before:
        export(make_set(1), kind, target)
    contents, written = before and files_in(target), []

    def full(_):
        written.append(1)
        if len(written) > 3 or kind not in ("folder", "folder16"):  # in the middle of a folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=naming("disk full")) as caught:
        export(make_set(3), kind, target, force=True)
    assert str(target) in str(caught.value) and ".tmp" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == (["set"] if before else [])
    assert not before or files_in(target) == contents


def test_a_folder_that_cannot_get_its_name_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "set"
    export(make_set(1), "folder", target)
    contents, rename = files_in(target), Path.rename

    def denied(path, to):
        if path.name.endswith(".tmp"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(RunError, match=naming(f"{target} permission")):
        export(make_set(3), "folder", target, force=True)
    assert files_in(target) == contents and len(list(tmp_path.iterdir())) == 1


def test_a_place_inside_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file"):
        export(make_set(), "npz", tmp_path / "file" / "set.npz")


def test_the_command_tells_the_cost_and_takes_the_suffix(run, tmp_path):
    card = export(load_distilled(run.path), "npz", tmp_path / "a.npz").card
    output = invoke("export", run.path, "--out", tmp_path / "b.npz")
    assert files_in(tmp_path / "a.npz") == files_in(tmp_path / "b.npz")
    assert "20 images 1x28x28 of 10 classes" in output and f"pixels from {card.range[0]:.3f}" in output
    assert f"8 bits cost {card.cost.mean:.3g}/255 on average and {card.cost.max:.3g}/255 at most" in output
    assert f"{100 * card.cost.clipped:.3g} % of the values were clipped" in output
    assert "no value was clipped" in invoke("export", run.path, "--format", "folder16", "--out", tmp_path / "c")
    assert "exists already" in fails("export", run.path, "--out", tmp_path / "b.npz")
    invoke("export", run.path, "--out", tmp_path / "b.npz", "--force")
    suffixes = {
        None: "folder",
        "x": "folder",
        "x.tar": "webdataset",
        "x.parquet": "parquet",
        "x.safetensors": "safetensors",
    }
    assert {out: format_for(out and Path(out)) for out in suffixes} == suffixes


def test_the_default_place_is_inside_the_run(run):
    for kind, known in FORMATS.items():
        assert f"Written to {run.path / known.name}" in invoke("export", run.path, "--format", kind)
        assert load_distilled(run.path / known.name).card.format == kind


def test_mistakes_are_one_line(tmp_path, run):
    (tmp_path / "empty").mkdir()
    assert "is neither the folder of a run" in fails("export", tmp_path / "empty")
    assert "is not finished" in fails("export", unfinished(tmp_path, run))
    assert "'tiff'" in fails("export", run.path, "--format", "tiff")
    with pytest.raises(ValueError, match=naming("'tiff' folder")):
        export(make_set(), "tiff", tmp_path / "x")
    (tmp_path / "codes.safetensors").write_bytes(b"\x10" + bytes(7) + b"{damaged")
    assert "codes.safetensors: cannot be read" in fails("render", tmp_path / "codes.safetensors", "-o", tmp_path / "x")
    invoke("export", run.path, "--format", "codes", "--out", tmp_path / "good.safetensors")
    message = fails("render", tmp_path / "good.safetensors", "-o", tmp_path / "x", "--device", "cuda:77")
    assert "'cuda:77'" in message
    message = fails(
        "render", tmp_path / "good.safetensors", "-o", tmp_path / "x", "--prior", tmp_path / "no.safetensors"
    )
    assert mentions(message, "no.safetensors exist")


def unfinished(tmp_path, run):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    for name in ("config.yaml", "inputs.json", "state.safetensors"):
        (folder / name).write_bytes((run.path / name).read_bytes())
    return folder


def test_accuracy_after_export_is_that_before_within_the_spread_of_seeds(tmp_path):
    run = distill(tmp_path / "run", iterations=1)
    before, test = load_distilled(run.path), load_data("fashion-mini").validation
    for kind in ("npz", "safetensors"):
        export(before, kind, tmp_path / kind)

    def accuracy(loaded):
        results = evaluate_sets(
            {"set": (loaded.images, loaded.targets)},  # of one name, and so with the same draws
            (test.tensor(), test.labels),
            networks=["convnet"],
            seen="convnet",
            seeds=range(3),
            classes=10,
            protocol=Protocol(epochs=40),
            network_options={"convnet": {"width": 16}},
        )
        return results["summary"]["set"]["seen"]

    there = accuracy(before)
    assert there["mean"] > 0.3  # chance is 0.1
    assert accuracy(load_distilled(tmp_path / "safetensors")) == there
    assert abs(accuracy(load_distilled(tmp_path / "npz"))["mean"] - there["mean"]) < max(there["std"], 0.01)


def docs():
    return (ROOT / "docs" / "EXPORT.md").read_text()


def readme():
    return (ROOT / "README.md").read_text()


def test_the_commands_of_the_docs_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "codes").mkdir(parents=True)
    for name in ("runs/codes/codes.safetensors", "codes.safetensors"):
        (tmp_path / name).touch()
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", docs(), re.DOTALL))
    commands = re.findall(r"\bglad [^;\n]*", blocks)
    named = {command.split()[1] for command in commands}
    assert named == {"compress", "distill", "evaluate", "export", "push", "render"}
    for command in commands:
        assert "Usage" in invoke(*command.split()[1:], "--help")


def test_the_python_of_the_docs_runs(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    invoke("export", run.path, "--out", "distilled.npz")
    example = re.search(r"```python\n(import glad.*?)```", docs(), re.DOTALL)[1]
    names = {"test_pixels": torch.rand(2, 1, 28, 28)}
    exec(example, names)
    assert torch.equal(names["image"], names["loaded"].images[0])


def test_the_plain_script_of_the_readme_trains_without_glad(run, tmp_path):
    script = re.search(r"```python\n(import numpy.*?)```", readme(), re.DOTALL)[1]
    assert len([line for line in script.splitlines() if line.strip()]) == 12 and "glad" not in script
    invoke("export", run.path, "--out", tmp_path / "distilled.npz")
    guard = "import sys\nsys.modules['glad'] = sys.modules['generators'] = None\n"
    done = forked.run(guard + script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    state = torch.load(tmp_path / "network.pt", weights_only=True)
    test = load_data("fashion-mini").test
    features = F.relu(F.conv2d(test.tensor(), state["0.weight"], state["0.bias"]))
    logits = F.linear(F.adaptive_max_pool2d(features, 7).flatten(1), state["4.weight"], state["4.bias"])
    assert float((logits.argmax(1) == test.labels).float().mean()) > 0.5  # chance is 0.1
