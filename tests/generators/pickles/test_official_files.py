"""Files of other forms, and the command that reads them."""

import hashlib
import os

import official_pickles
import pytest
import torch
from click.testing import CliRunner
from errors import naming
from fixtures import tiny_generator
from official_pickles import SOURCE
from pickled_calls import Call, Global, dumps
from published_pickles import LABELS, Z, equal
from safetensors.torch import save_file

from generators import official, weights
from generators.weights import WeightsError
from glad.cli import main


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"G_ema": s, "G": 1}, lambda s: {"G": s}, lambda s: {"state_dict": s, "x": 1}]
)
def test_state_dicts_of_torch_save(tmp_path, zipped, wrap):
    generator = tiny_generator()
    torch.save(wrap(generator.state_dict()), tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)
    found = official.read(tmp_path / "g.pt")
    assert torch.equal(found.generator(Z, LABELS), generator(Z, LABELS))
    assert found.facts["source_format"] == "torch.save state dict"
    assert not any(parameter.requires_grad for parameter in found.generator.parameters())


class Harmful:
    def __reduce__(self):
        return os.system, ("echo executed",)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "dict list"),
        ({1: 2}, "dict dict"),
        ({"a": 1}, "a int dense"),
        ({"a": torch.zeros(2, dtype=torch.int64)}, "a torch.int64"),
        ({"a": torch.zeros(1).expand(10**9)}, "twice"),
        ({"a": torch.zeros(1)}, "synthesis layers"),
        ({"a": Harmful()}, "torch.load(weights_only=True) UnpicklingError"),
    ],
)
def test_other_contents_of_torch_save(tmp_path, zipped, content, message):
    torch.save(content, tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=naming(f"g.pt {message}")):
        official.read(tmp_path / "g.pt")


@pytest.mark.parametrize("zipped", [False, True])
def test_torch_files_that_are_cut_off(tmp_path, zipped):
    torch.save(tiny_generator().state_dict(), tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "g.pt").read_bytes()
    for part in range(1, 20):
        (tmp_path / "g.pt").write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(WeightsError, match=naming("g.pt torch.load")):
            official.read(tmp_path / "g.pt")


def test_a_bare_safetensors_file_and_one_with_metadata(tmp_path):
    generator = tiny_generator()
    save_file(generator.state_dict(), tmp_path / "bare.safetensors")
    assert torch.equal(official.read(tmp_path / "bare.safetensors").generator(Z, LABELS), generator(Z, LABELS))
    weights.save(tmp_path / "ours.safetensors", tiny_generator(output_scale=0.5), license="CC0", frame="2")
    found = official.convert(tmp_path / "ours.safetensors", tmp_path / "again.safetensors")
    loaded, metadata = weights.load(tmp_path / "again.safetensors")
    assert loaded.synthesis.output_scale == 0.5
    assert (metadata["license"], metadata["frame"], metadata["source_format"]) == ("CC0", "2", "safetensors")
    assert metadata["source_sha256"] == official.sha256(tmp_path / "ours.safetensors") == found.facts["source_sha256"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"GIF89a" * 10, "b'GIF89aGI'"),
        (b"\x10\0\0\0\0\0\0\0{" + b" " * 20, "weights"),
    ],
)
def test_files_of_another_form(tmp_path, content, message):
    (tmp_path / "g.pkl").write_bytes(content)
    with pytest.raises(WeightsError, match=naming(f"g.pkl {message}")):
        official.read(tmp_path / "g.pkl")
    with pytest.raises(WeightsError, match=r"absent\.pkl: not readable"):
        official.read(tmp_path / "absent.pkl")
    with pytest.raises(WeightsError, match="not readable"):
        official.read(tmp_path)


def glad(*arguments):
    return CliRunner().invoke(main, ["weights", "import", *map(str, arguments)])


def test_the_command_writes_what_it_found(tmp_path):
    generator = tiny_generator()
    source = official_pickles.write(tmp_path / "g.pkl", generator, with_d=True)
    out = tmp_path / "g.safetensors"
    done = glad(source, "-o", out)
    assert done.exit_code == 0, done.output
    for words in (
        "16 px, 3 classes, 7 layers, 0.0 M parameters",
        hashlib.sha256(source.read_bytes()).hexdigest(),
        hashlib.sha256(SOURCE.encode()).hexdigest(),
        hashlib.sha256(out.read_bytes()).hexdigest(),
        official.LICENSE.text,
        "imagenet128.zip",
    ):
        assert words in done.output
    assert equal(weights.load(out)[0], generator)
    again = out.read_bytes()
    assert glad(source, "-o", out, "--force").exit_code == 0
    assert out.read_bytes() == again


def test_the_command_replaces_nothing_silently(tmp_path):
    source = official_pickles.write(tmp_path / "g.pkl", tiny_generator())
    out = tmp_path / "g.safetensors"
    out.write_text("mine")
    for arguments, message in [
        ((source, "-o", out), "g.safetensors exists; --force replaces it"),
        ((source, "-o", tmp_path / "g.pt"), "the file to write must be called OUT.safetensors"),
        ((source, "-o", tmp_path / "no" / "g.safetensors"), "no does not exist"),
        ((out, "-o", out, "--force"), "g.safetensors is the file to read; write to another"),
    ]:
        done = glad(*arguments)
        assert (done.exit_code, out.read_text()) == (1, "mine")
        assert message in " ".join(done.output.split())


def test_the_command_answers_a_hostile_file_in_one_line(tmp_path):
    (tmp_path / "g.pkl").write_bytes(
        dumps({"G_ema": Call(Global("os", "system"), f"touch {tmp_path / 'sentinel'}")}, 3)
    )
    done = glad(tmp_path / "g.pkl", "-o", tmp_path / "g.safetensors")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("Error: ") and "which no generator needs" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.pkl"]
