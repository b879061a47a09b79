"""Codes render to the pixels they were optimized for, or are refused; and what whitening does to an export."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from distilled_sets import PICTURES, distill, fails, files_in, invoke, make_set
from errors import naming
from safetensors.torch import load_file, save_file

import glad
from generators import weights
from glad.data.splits import load_data
from glad.formats.compression import compress_set
from glad.formats.export import export
from glad.formats.load import load_distilled
from glad.formats.storage import Levels
from glad.runs.storage import RunError

GENERATOR = weights.EMBEDDED["fashion-mini"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return distill(tmp_path_factory.mktemp("runs") / "codes", ipc=2, chunk=3)


@pytest.fixture(scope="module")
def whitened(tmp_path_factory):
    return distill(
        tmp_path_factory.mktemp("runs") / "whitened", prior="pixels", prior_options={"init": "real"}, zca=True
    )


def test_codes_give_the_same_pixels(run, tmp_path):
    codes, rendered = tmp_path / "codes.safetensors", tmp_path / "rendered.safetensors"
    assert "nothing is rounded" in invoke("export", run.path, "--format", "codes", "--out", codes)
    assert set(load_file(codes)) == {"latents/w", "labels", "means"}
    invoke("render", codes, "-o", rendered)
    assert torch.equal(load_file(rendered)["images"], run.read_set()[0])
    for kind in PICTURES:
        invoke("export", run.path, "--format", kind, "--out", tmp_path / "a" / kind)
        invoke("render", codes, "-o", tmp_path / "b" / kind, "--format", kind)
    assert files_in(tmp_path / "a") == files_in(tmp_path / "b")
    assert "holds no codes" in fails("render", rendered, "-o", tmp_path / "again")


def test_f_and_layer_are_in_the_codes(tmp_path):
    run = distill(tmp_path / "run", iterations=1, prior_options={"layer": 2})
    export(load_distilled(run.path), "codes", tmp_path / "codes.safetensors")
    assert {"latents/w", "latents/f"} < set(load_file(tmp_path / "codes.safetensors"))
    assert torch.equal(load_distilled(tmp_path / "codes.safetensors").images, run.read_set()[0])


def test_another_generator_is_refused_with_both_hashes(tmp_path):
    own, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    own.write_bytes(GENERATOR.read_bytes())
    network, metadata = weights.load(GENERATOR)
    network.synthesis.output_scale *= 1.01
    weights.save(other, network, **{key: value for key, value in metadata.items() if key != weights.KEY})
    run = distill(tmp_path / "run", iterations=1, prior=str(own))
    codes = tmp_path / "apart" / "codes.safetensors"
    codes.parent.mkdir()
    export(load_distilled(run.path), "codes", codes)
    assert str(tmp_path).encode() not in codes.read_bytes()
    out = tmp_path / "set.npz"
    message = fails("render", codes, "-o", out, "--prior", other)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (other, own)]
    assert "another generator" in message and all(digest in message.replace(" ", "") for digest in hashes)
    message = fails("render", codes, "-o", out)
    assert "own.safetensors" in message and hashes[1] in message.replace(" ", "")
    assert "--prior FILE" in message and not out.exists()
    invoke("render", codes, "-o", out, "--prior", own)
    own.write_bytes(other.read_bytes())  # the run's generator is another now
    with pytest.raises(RunError, match=naming("another generator")):
        export(load_distilled(run.path), "codes", tmp_path / "again.safetensors")


OWN = """
import torch
class Tinted:
    def __init__(self, resolution, channels):
        self.shape = (channels, resolution, resolution)
        self.tint = torch.zeros(1, requires_grad=True)
    def init(self, classes, rng):
        return {'low': torch.randn(len(classes), self.shape[0], 7, 7, generator=rng)}
    def __call__(self, low):
        return self.tint + torch.nn.functional.interpolate(low, self.shape[1:])
    def tensors(self):
        return {'tint': self.tint}
"""


def test_what_a_prior_learned_is_in_the_codes(tmp_path, monkeypatch):
    (tmp_path / "exported_prior.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    run = distill(tmp_path / "run", prior="exported_prior:Tinted", learning_rate={"low": 1.0, "tint": 0.1})
    codes = tmp_path / "codes.safetensors"
    export(load_distilled(run.path), "codes", codes)
    assert float(load_file(codes)["learned/tint"]) != 0
    assert torch.equal(load_distilled(codes).images, run.read_set()[0])
    changed = {**load_file(codes), "learned/tint": torch.full([1], 3.0)}
    metadata = metadata_of(codes)
    old = {name.replace("learned/", "learnt/"): tensor for name, tensor in load_file(codes).items()}
    save_file(old, tmp_path / "old.safetensors", metadata)  # as earlier versions called them
    assert torch.equal(load_distilled(tmp_path / "old.safetensors").images, run.read_set()[0])
    save_file(changed, tmp_path / "changed.safetensors", metadata)
    with pytest.raises(RunError, match=naming("mean differs")):
        load_distilled(tmp_path / "changed.safetensors")
    changed["learned/tint"] = load_file(codes)["learned/tint"] + 1e-4
    save_file(changed, tmp_path / "changed.safetensors", metadata)
    with pytest.warns(UserWarning, match=naming("rounding")):
        load_distilled(tmp_path / "changed.safetensors")
    del changed["learned/tint"]
    save_file(changed, tmp_path / "changed.safetensors", metadata)
    with pytest.raises(RunError, match=naming("{'tint' [1]} {}")):
        load_distilled(tmp_path / "changed.safetensors")


def metadata_of(path):
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]


def test_a_set_without_codes_says_so(tmp_path):
    with pytest.raises(RunError, match=naming("codes run")):
        export(make_set(), "codes", tmp_path / "codes.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_prior_that_was_an_object_cannot_be_named_by_codes(run, tmp_path):
    source = load_distilled(run.path)
    source = replace(source, codes=replace(source.codes, prior="object:mine.Prior"))
    with pytest.raises(RunError, match=naming("module:Class")):
        export(source, "codes", tmp_path / "codes.safetensors")
    with pytest.raises(RunError, match=naming("module:Class")):
        compress_set(source, 4)


def test_whitening_is_kept_by_floats_and_undone_in_pictures(whitened, tmp_path):
    exact, eight = tmp_path / "set.safetensors", tmp_path / "set.npz"
    assert "ZCA: `images` are whitened" in invoke("export", whitened.path, "--out", exact)
    assert "ZCA: undone" in invoke("export", whitened.path, "--out", eight)
    images, train = whitened.read_set()[0], load_data("fashion-mini", zca=True).train
    kept, undone = load_distilled(exact), load_distilled(eight)
    assert torch.equal(kept.images, images) and torch.equal(kept.pixels, train.pixels(images))
    assert (kept.card.zca, undone.card.zca) == ("kept", "inverted")
    assert torch.equal(undone.pixels, Levels(8).pixels(Levels(8).quantize(train.pixels(images))))
    with pytest.raises(ValueError, match=naming("whitened")):
        kept.normalize(undone.pixels)
    assert torch.equal(undone.normalize(undone.pixels), undone.images)


def test_codes_of_a_whitened_run_render_unwhitened(tmp_path):
    run = distill(tmp_path / "run", iterations=1, zca=True)
    source = load_distilled(run.path)
    export(source, "codes", tmp_path / "codes.safetensors")
    rendered = load_distilled(tmp_path / "codes.safetensors")
    assert rendered.card.zca == "inverted"
    torch.testing.assert_close(rendered.pixels, source.pixels, atol=1e-4, rtol=0)


def test_a_generator_that_was_learnt_along_is_in_the_codes(tmp_path):
    """learn_g: the weights of the layers that are run move, are saved, and come along."""
    options = {
        "prior": "fashion-mini",
        "prior_options": {"layer": 5, "learn_g": 1},
        "learning_rate": {"w": 0.03, "f": 0.1, "g": 0.01},
    }
    small = {"limit": 60, "network_options": {"width": 8}, "objective_options": {"batch": 2}, "device": "cpu"}
    run = glad.distill(iterations=2, save_every=1, out=tmp_path / "run", **options, **small)
    learned = {name: tensor for name, tensor in load_file(run.state).items() if name.startswith("prior/g/")}
    shipped, _ = weights.load(weights.EMBEDDED["fashion-mini"])
    moved = {name for name in learned if not torch.equal(learned[name], shipped.synthesis.get_parameter(name[8:]))}
    assert {name.split(".")[0] for name in learned} == {"prior/g/L5_52_21", "prior/g/L6_32_21", "prior/g/L7_32_1"}
    assert "prior/g/L5_52_21.weight" in moved and "prior/g/L7_32_1.bias" in moved
    invoke("export", run.path, "--format", "codes", "--out", tmp_path / "codes.safetensors")
    invoke("render", tmp_path / "codes.safetensors", "--out", tmp_path / "again.safetensors")
    assert torch.equal(load_file(tmp_path / "again.safetensors")["images"], run.read_set()[0])
