"""A set in few bits: its file holds what is counted, renders the same images, and goes where other sets go."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distilled_sets import distill, fails, invoke
from errors import naming
from narrow_generator import narrow_generator
from safetensors.torch import load_file, save_file

import glad
from glad.data.splits import load_data
from glad.evaluation.candidates import of_path, of_run
from glad.formats.compression import compress_set
from glad.formats.export import export
from glad.formats.load import load_distilled
from glad.rng import rng_for
from glad.runs.storage import RunError
from glad.runs.stored_size import size_of_run

PRIORS = {
    "pixels": {"prior_options": {"init": "real"}},
    "idc": {},
    "fred": {"prior_options": {"frequencies": 20}},
    "ddif": {},
    "generator": {"prior_options": {"layer": 5, "learn_g": 1}},
}
SMALL = {"limit": 100, "network_options": {"width": 4}, "objective_options": {"batch": 2}, "iterations": 1}
FEW = {"networks": ["convnet"], "network_options": {"convnet": {"width": 4}}, "seeds": 1, "epochs": 1}
EVALUATION = {**FEW, "baselines": ["random"], "split": "validation", "limit": 100, "device": "cpu"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compressed")
    places = {name: narrow_generator() if name == "generator" else name for name in PRIORS}
    return {name: distill(folder / name, prior=places[name], **SMALL, **PRIORS[name]) for name in PRIORS}


@pytest.mark.parametrize(
    ("prior", "bits"), [("pixels", 2), ("pixels", 8), ("idc", 2), ("fred", 4), ("ddif", 8), ("generator", 2)]
)
def test_the_file_holds_what_is_counted_and_renders_the_same(runs, prior, bits, tmp_path):
    done = glad.compress(runs[prior], bits, force=True)
    whole, small = load_distilled(runs[prior].path), compress_set(load_distilled(runs[prior].path), bits)
    again = load_distilled(done.path)
    assert torch.equal(again.images, small.images) and torch.equal(again.labels, whole.labels)
    assert again.codes.latents.keys() == whole.codes.latents.keys()
    assert done.rmse == pytest.approx(float((again.pixels - whole.pixels).square().mean().sqrt()), rel=1e-3)
    stored = {name: tensor.nbytes for name, tensor in load_file(done.path).items() if name != "means"}
    assert done.after.total == sum(stored.values()) == again.stored.total
    assert (done.before.total, done.card.made["bits"]) == (size_of_run(runs[prior]).total, bits)
    for name, tensor in whole.codes.latents.items():
        if tensor.is_floating_point():
            assert stored[f"latents/{name}"] == math.ceil(tensor.numel() * bits / 8)
        else:
            assert torch.equal(again.codes.latents[name], tensor)
    for name, tensor in whole.codes.learned.items():
        assert torch.equal(again.codes.learned[name], tensor)
    assert done.after.latents < done.before.latents * (bits + 2) / 32 and done.after.labels < done.before.labels
    invoke("render", done.path, "-o", tmp_path / "images.safetensors")
    assert torch.equal(load_file(tmp_path / "images.safetensors")["images"], small.images)


def test_offsets_and_scales_are_shared_where_that_is_worth_its_bytes(tmp_path):
    run = distill(tmp_path / "run", prior="fred", ipc=20, **{**SMALL, "limit": 300})
    whole = load_distilled(run.path)
    packed = compress_set(whole, 4).codes.packed["latents/coefficients"]
    assert packed.affine.shape == (2, 1, 1, 64)  # a line for each rank of a frequency, for all rows
    few = {"coefficients": whole.codes.latents["coefficients"][:10], "classes": whole.codes.latents["classes"][:10]}
    parts = {name: getattr(whole, name)[:10] for name in ("images", "pixels", "labels")}
    card = replace(whole.card, images=10)
    first = replace(whole, **parts, card=card, codes=replace(whole.codes, latents=few))
    assert compress_set(first, 4).codes.packed["latents/coefficients"].affine.shape == (2, 1, 1, 1)


def test_more_bits_mean_smaller_errors(runs):
    errors = [glad.compress(runs["ddif"], bits, force=True).rmse for bits in (4, 8, 16)]
    assert errors[0] > 4 * errors[1] > 400 * errors[2] and errors[2] < 1e-3
    assert glad.compress(runs["ddif"], 16, force=True).psnr > 60
    again = glad.compress(runs["ddif"].path / "codes-8bit.safetensors", 8)
    assert again.path.name == "codes-8bit-8bit.safetensors" and again.rmse < 1e-4


def test_soft_labels_take_eight_bits(runs, tmp_path):
    soft = torch.randn(10, 10, generator=rng_for("soft")).softmax(1)
    whole = replace(load_distilled(runs["pixels"].path), soft_labels=soft)
    export(compress_set(whole, 2), "codes", tmp_path / "soft.safetensors")
    again = load_distilled(tmp_path / "soft.safetensors")
    assert 0 < float((again.soft_labels - soft).abs().max()) <= float(soft.max()) / 255 / 2 + 1e-6
    assert float(again.soft_labels.min()) >= 0 and again.stored.labels == 100 + 8


def test_tables_count_the_bytes_and_compare_at_equal_bytes(tmp_path):
    run = distill(tmp_path / "run", prior="pixels", **SMALL, budget=8, ipc=None)
    small = glad.compress(run, 4)
    data = load_data("fashion-mini", limit=100).train
    whole, file = of_run(run), of_path(small.path, data)
    assert (whole.real_counts(), file.real_counts()) == ((8,) * 10, (1,) * 10)
    assert file.stored.per_class == small.after.per_class and file.stored.weights == 0
    said = glad.evaluate([small.path], data="fashion-mini", **EVALUATION)
    assert said["stored"]["set:codes-4bit"]["per_class"] == small.after.per_class
    assert small.after.per_class < 4 * 784 + 20 < small.before.per_class / 7


def test_the_command_says_bytes_and_error(runs, tmp_path):
    out = tmp_path / "small.safetensors"
    said = invoke("compress", runs["fred"].path, "--bits", 4, "--out", out)
    size = out.stat().st_size
    assert f"{size:,} bytes" in said and "PSNR" in said and "glad evaluate" in said
    assert f"{size_of_run(runs['fred']).per_class:,.0f} bytes per class are now" in said
    assert "exists already" in fails("compress", runs["fred"].path, "--bits", 2, "--out", out)
    invoke("compress", runs["fred"].path, "--bits", 2, "--out", out, "--force")
    assert out.stat().st_size < size


def test_what_cannot_be_compressed_is_one_line(runs, tmp_path):
    run, images = runs["pixels"].path, tmp_path / "images.npz"
    assert "17 is not in the range" in fails("compress", run, "--bits", 17)
    with pytest.raises(ValueError, match=naming("1 16 bits 0")):
        glad.compress(run, 0)
    invoke("export", run, "--out", images)
    assert "holds images and no latents (format npz)" in fails("compress", images, "--bits", 2)
    (tmp_path / "notes.txt").write_text("none")
    assert "neither the folder of a run nor a set" in fails("compress", tmp_path / "notes.txt", "--bits", 2)
    unfinished = distill(tmp_path / "unfinished", prior="pixels", **SMALL)
    (unfinished.path / "synset.safetensors").unlink()
    assert "the run is not finished" in fails("compress", unfinished.path, "--bits", 2)
    whitened = distill(tmp_path / "whitened", prior="pixels", zca=True, **SMALL)
    assert "whitened (zca)" in fails("compress", whitened.path, "--bits", 2)
    assert "whitened (zca)" in fails("export", whitened.path, "--format", "codes")


def test_a_damaged_file_is_one_line(runs, tmp_path):
    done = glad.compress(runs["fred"], 4, tmp_path / "small.safetensors")
    content = done.path.read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    codes = json.loads(metadata["codes"])
    codes["packed"]["latents/coefficients"]["bits"] = 5
    save_file(load_file(done.path), done.path, {**metadata, "codes": json.dumps(codes)})
    assert "damaged" in fails("render", done.path, "-o", tmp_path / "images")


def test_the_generators_file_is_named_as_for_render(tmp_path):
    own = tmp_path / "own.safetensors"
    own.write_bytes(Path(narrow_generator()).read_bytes())
    run = distill(tmp_path / "run", prior=str(own), **SMALL)
    invoke("export", run.path, "--format", "codes", "--out", tmp_path / "codes.safetensors")
    (tmp_path / "apart").mkdir()
    codes = (tmp_path / "codes.safetensors").rename(tmp_path / "apart" / "codes.safetensors")
    assert "--prior FILE" in fails("compress", codes, "--bits", 4)
    small = tmp_path / "small.safetensors"
    invoke("compress", codes, "--bits", 4, "--prior", own, "--out", small)
    assert str(tmp_path).encode() not in small.read_bytes()
    assert len(load_distilled(small, prior=own)) == 10
    assert len(load_distilled(small)) == 10  # beside it
    inside = glad.compress(run, 4)
    own.rename(tmp_path / "run" / "elsewhere.safetensors")
    for path in (small, inside.path):
        with pytest.raises(RunError, match=naming("own.safetensors --prior FILE")):
            load_distilled(path)
    own.write_bytes(Path(narrow_generator()).read_bytes())
    assert len(load_distilled(inside.path)) == 10  # where the run had it


def test_a_compressed_set_is_pushed_with_its_bytes(runs, tmp_path):
    small = glad.compress(runs["fred"], 4, force=True)
    glad.evaluate([small.path], data="fashion-mini", **EVALUATION)
    upload = glad.push(runs["fred"], "me/set", bits=4, formats=["codes", "npz"], dry_run=True)
    assert "| bits of each learned number | 4; the pictures show the set before |" in upload.card
    assert f"| bytes per class, as codes | {small.after.per_class:,.0f} (" in upload.card
    assert "4 bits for each learned number" in upload.card and "**this set**" in upload.card
    assert {file.name: file.sha256 for file in upload.files}["codes.safetensors"]
    assert "(seen)" not in glad.push(runs["fred"], "me/set", bits=2, dry_run=True).card
