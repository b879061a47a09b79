"""A prior of one's own gets all that ours get: hashes and license of its weights, rates, options for codes."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming
from own_priors import Decoder, Tiled
from safetensors.torch import load_file, save_file

import glad
from generators.official import sha256
from glad.cli import main
from glad.data.splits import load_data
from glad.evaluation.candidates import of_run
from glad.priors import Pixels, list_priors, register_prior
from glad.priors.resolve import resolve_prior
from glad.runs.folder import Run
from glad.runs.storage import RunError
from glad.synthetic_set import SyntheticSet

SMALL = ["--limit", "60", "--network-option", "width=4", "-o", "batch=2", "--iterations", "2", "--device", "cpu"]


def distill(*options, code=0):
    result = CliRunner().invoke(main, ["distill", *SMALL, "--out", "run", *options])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def report():
    result = CliRunner().invoke(main, ["report", "run"])
    assert result.exit_code == 0, result.output


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with ``decoder.safetensors``, which is where we are."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 0)
    return tmp_path


def write(folder, seed):
    weight = torch.randn(4, 784, generator=torch.Generator().manual_seed(seed))
    save_file({"weight": weight}, folder / "decoder.safetensors")


def inputs(folder):
    return json.loads((folder / "run" / "inputs.json").read_text())


def test_weights_that_a_prior_does_not_speak_of_are_not_called_none(here):
    distill("--prior", "own_priors:Silent", "--lr", "1")
    recorded = inputs(here)["weights"]
    assert recorded["name"] == "own_priors:Silent" and recorded["source"] == "not stated by the prior"
    assert len(recorded["sha256"]) == 64 and recorded["license"]["redistribution"] is None
    assert Run(here / "run").weights is not None
    report()
    page = (here / "run" / "report.html").read_text()
    assert "No pretrained weights" not in page and "no license stated" in page


@pytest.mark.parametrize(
    ("prior", "options", "named"),
    [
        ("Silent", ["--lr", "1"], "hash of weights own_priors:Silent"),
        ("Decoder", ["-p", "file=decoder.safetensors"], "hash of file decoder.safetensors"),
        ("Stated", ["-p", "file=decoder.safetensors"], "hash of file decoder.safetensors"),
    ],
)
def test_a_run_is_not_continued_with_another_file(here, prior, options, named):
    command = ["--prior", f"own_priors:{prior}", *options]
    distill(*command)
    before = (here / "run" / "synset.safetensors").read_bytes()
    assert "finished" in distill(*command)  # the same file is no reason
    write(here, 1)
    said = distill(*command, "--iterations", "4", code=1)
    assert named in said and "holds another run" in said
    assert (here / "run" / "synset.safetensors").read_bytes() == before


def test_a_run_of_a_version_that_did_not_look_is_continued(here):
    command = ["--prior", "own_priors:Decoder", "-p", "file=decoder.safetensors"]
    distill(*command)
    kept = inputs(here)
    old = {**kept, "weights": {}, "hashes": {"data": kept["hashes"]["data"], "weights": ""}}
    (here / "run" / "inputs.json").write_text(json.dumps(old))
    distill(*command, "--iterations", "3")
    assert inputs(here) == kept  # and from now on it is looked at


def test_what_it_says_of_its_weights_is_recorded(here):
    distill("--prior", "own_priors:Stated", "-p", "file=decoder.safetensors")
    recorded = inputs(here)["weights"]
    assert recorded["license"] == {"id": "mit", "text": "MIT", "commercial": True, "redistribution": True}
    assert recorded["sha256"] == sha256("decoder.safetensors") == inputs(here)["hashes"]["weights"]
    assert recorded["file"] == str(here / "decoder.safetensors")


def test_a_path_of_python_and_a_text_of_the_command_line_are_one_setting(here):
    distill("--prior", "own_priors:Decoder", "-p", "file=decoder.safetensors")
    small = {"limit": 60, "network_options": {"width": 4}, "objective_options": {"batch": 2}, "device": "cpu"}
    options = {"file": Path("decoder.safetensors")}
    run = glad.distill(prior="own_priors:Decoder", prior_options=options, iterations=3, out="run", **small)
    assert run.config["prior_options"] == {"file": "decoder.safetensors"} and run.config["iterations"] == 3


def test_weights_that_there_are_not(here):
    distill("--prior", "own_priors:Plain", "--lr", "code=1")
    assert inputs(here)["weights"] is None and inputs(here)["hashes"]["weights"] == ""
    assert Run(here / "run").weights is None and of_run(Run(here / "run")).initial is None


def test_a_set_of_an_object_with_weights_is_pushed_without_codes(here):
    prior = Decoder(1, 28, "cpu", "decoder.safetensors")
    prior.weights = torch.ones(3)
    small = {"limit": 60, "network_options": {"width": 4}, "objective_options": {"batch": 2}, "device": "cpu"}
    run = glad.distill(prior=prior, iterations=1, out=here / "run", **small)
    assert len(run.weights.sha256) == 64 and of_run(run).initial is not None
    upload = glad.push(run, "me/set", permission="my own", dry_run=True)
    names = {Path(file.name).suffix for file in upload.files}
    assert ".parquet" in names and not any("codes" in file.name for file in upload.files)
    assert "What the data and the weights are biased by" in upload.card


def test_its_own_rates_and_optimizer_are_taken(here):
    def rates(*options):
        distill("--prior", "own_priors:Decoder", "-p", "file=decoder.safetensors", *options)
        return inputs(here)["learning_rates"]

    assert rates() == {"code": 0.5}
    saved = load_file(here / "run" / "state.safetensors")
    assert "optimizer/0/exp_avg" in saved  # Adam's
    assert rates("--objective", "dc", "--out", "other") == {"code": 0.5}  # of the first run
    assert json.loads((here / "other" / "inputs.json").read_text())["learning_rates"] == {"code": 0.25}


def test_a_cut_run_with_adam_ends_alike(here):
    command = ["--prior", "own_priors:Decoder", "-p", "file=decoder.safetensors"]
    distill(*command, "--iterations", "4", "--out", "whole")
    distill(*command, "--iterations", "2")
    distill(*command, "--iterations", "4")
    assert (here / "run" / "synset.safetensors").read_bytes() == (here / "whole" / "synset.safetensors").read_bytes()


def test_a_latent_without_a_rate_is_named_with_the_way_out():
    said = distill("--prior", "own_priors:Silent", code=1)
    assert mentions(said, "code --lr code=RATE") and mentions(said, "pixels")
    said = distill("--prior", "own_priors:Silent", "--lr", "cod=1", code=1)
    assert mentions(said, "'cod' code, pixels")


def test_rows_of_several_images(here):
    distill("--prior", "own_priors:Tiled", "--ipc", "3")
    images, labels = Run(here / "run").read_set()
    assert labels.tolist() == [c for c in range(10) for _ in range(6)]
    assert torch.equal(images[0::2], -images[1::2])
    assert load_file(here / "run" / "synset.safetensors")["latents/code"].shape == (30, 4)


@pytest.mark.parametrize("prior", ["Stated", "Tiled"])
def test_its_codes_alone_are_rendered_again(here, prior):
    file = ["-p", "file=decoder.safetensors"] if prior == "Stated" else []
    distill("--prior", f"own_priors:{prior}", *file)
    exported = glad.export("run", "codes")
    assert torch.equal(glad.load_distilled(exported.path).images, Run("run").read_set()[0])
    if prior == "Stated":
        write(here, 1)
        with pytest.raises(RunError, match=naming("own_priors:Stated SHA-256")):
            glad.load_distilled(exported.path)


def test_more_images_than_it_says_are_an_error():
    class Wrong(Tiled):
        images_per_row = 1

    with pytest.raises(ValueError, match=naming("2 1 images_per_row")):
        SyntheticSet(Wrong(1, 28), {"code": torch.zeros(1, 4)}, torch.zeros(1, dtype=torch.int64)).images()


def test_what_is_handed_in_and_what_is_not():
    train = load_data("fashion-mini", limit=20).train
    seen = {}

    class Asks(Decoder):
        def __init__(self, real, normalize, denormalize, resolution, channels, class_ids, device, scale: float = 1.0):
            seen.update(locals())

        def tensors(self):
            return {}

    name = f"{__name__}:asks"
    globals()["asks"] = Asks
    resolve_prior(name, train, {"scale": "2"}, torch.device("cpu"))
    assert (seen["device"], seen["resolution"], seen["channels"], seen["scale"]) == (torch.device("cpu"), 28, 1, 2.0)
    assert torch.allclose(
        seen["denormalize"](seen["normalize"](torch.rand(2, 1, 28, 28))).mean(), torch.tensor(0.5), atol=0.1
    )

    class Network:
        def __init__(self, network):
            self.network = network

    globals()["asks"] = Network
    with pytest.raises(ValueError, match=naming("network 'network' real")):
        resolve_prior(name, train, {}, torch.device("cpu"))


def test_priors_are_registered_by_name():
    assert list_priors("*-mini") == ["clothing-mini", "digits-mini", "fashion-mini"] and "pixels" in list_priors()
    for taken in ("pixels", "fashion-mini"):
        with pytest.raises(ValueError, match=naming(f"'{taken}'")):
            register_prior(taken)(Decoder)
    assert register_prior("pixels")(Pixels) is Pixels  # as when its module is imported again
