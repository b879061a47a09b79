"""The README's way, end to end, on the embedded data and generator with a narrow network."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming
from safetensors.torch import load_file

import glad
from glad.cli import main
from glad.runs.folder import Run
from glad.runs.storage import RunError

ROOT = Path(__file__).parents[1]
NARROW = ["--network-option", "width=16", "-o", "batch=16", "--iterations", "12", "--save-every", "4"]


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fails(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code != 0 and isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.fixture(scope="module")
def optimized(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("run") / "codes"
    return glad.distill(
        network_options={"width": 16},
        objective_options={"batch": 16},
        iterations=30,
        grid_every=30,
        out=out,
        device="cpu",
    )


def test_optimized_codes_train_better_than_the_same_codes_before(optimized: Run) -> None:
    results = glad.evaluate(
        optimized,
        networks=["convnet"],
        network_options={"convnet": {"width": 16}},
        seeds=2,
        epochs=60,
        baselines=["before"],
        split="validation",
        device="cpu",
    )
    after, before = (results["summary"][name] for name in ("set:codes", "before:codes"))
    assert after["seen"]["mean"] > before["seen"]["mean"] + 0.02
    assert after["seen"]["mean"] > 0.3  # chance is 0.1


def test_the_run_folder_says_what_happened(optimized: Run) -> None:
    metrics = [json.loads(line) for line in (optimized.path / "metrics.jsonl").read_text().splitlines()]
    assert [entry["iteration"] for entry in metrics] == list(range(30))
    assert sum(entry["loss"] for entry in metrics[-5:]) < sum(entry["loss"] for entry in metrics[:5])
    assert {"grid_000000.png", "grid_000030.png"} <= {path.name for path in optimized.path.iterdir()}
    assert list((optimized.path / "tensorboard").iterdir())
    assert len(optimized.inputs["hashes"]["weights"]) == 64
    assert optimized.inputs["learning_rates"] == {"w": 0.03}  # what the embedded weights recommend
    images, labels = optimized.read_set()
    assert images.shape == (10, 1, 28, 28) and labels.tolist() == list(range(10))


def test_export_comes_back_as_data(optimized: Run, tmp_path: Path) -> None:
    for kind, suffix in (("npz", ".npz"), ("folder", ""), ("safetensors", ".safetensors")):
        invoke("export", str(optimized.path), "--format", kind, "--out", str(tmp_path / f"set{suffix}"))
    assert len(list((tmp_path / "set").rglob("*.png"))) == 10
    stored = load_file(tmp_path / "set.safetensors")
    assert torch.equal(stored["images"], optimized.read_set()[0])
    assert "exists already" in fails("export", str(optimized.path), "--out", str(tmp_path / "set"))


def test_evaluation_keeps_finished_cells(optimized: Run) -> None:
    def command(epochs: int) -> None:
        options = [
            "--networks",
            "convnet",
            "--network-option",
            "convnet.width=8",
            "--seeds",
            "1",
            "--split",
            "validation",
        ]
        invoke("evaluate", str(optimized.path), *options, "--epochs", str(epochs), "--baselines", "before")

    command(2)
    cells = json.loads((optimized.path / "results.json").read_text())["cells"]
    command(2)
    assert json.loads((optimized.path / "results.json").read_text())["cells"] == cells  # seconds included
    command(3)
    assert json.loads((optimized.path / "results.json").read_text())["cells"] != cells


def test_evaluation_in_the_protocol_of_dc(optimized: Run) -> None:
    def results(protocol: str) -> dict[str, Any]:
        narrow = {"vgg11": {"width": 4}}
        return glad.evaluate(
            optimized, networks=["vgg11"], network_options=narrow, seeds=1, epochs=1, baselines=[], protocol=protocol
        )

    published, ours = results("dc"), results("default")
    assert [r["cells"][0]["learning_rate"] for r in (published, ours)] == [1e-2, 1e-4]
    assert published["protocol"]["schedule"] == "step" and published["protocol"]["average_decay"] == 0


def test_gradient_matching_takes_the_rate_that_the_weights_recommend(tmp_path: Path) -> None:
    small = {"limit": 60, "network_options": {"width": 4}, "objective_options": {"batch": 2}, "device": "cpu"}
    run = glad.distill(objective="dc", iterations=1, out=tmp_path / "run", **small)
    assert run.inputs["learning_rates"] == {"w": 0.03}  # the published 1 diverges


def test_learning_rates_are_published_unless_given(optimized: Run) -> None:
    def rates(lr: dict[str, float] | float | None) -> list[float]:
        options = {"convnet": {"width": 8}, "vgg11": {"width": 4}}
        networks = list(options)
        results = glad.evaluate(
            optimized, networks=networks, network_options=options, seeds=1, epochs=1, learning_rate=lr, baselines=[]
        )
        return [cell["learning_rate"] for cell in results["cells"]]

    assert rates(None) == [1e-2, 1e-4]
    assert rates(0.5) == [0.5, 0.5]
    assert rates({"vgg11": 0.1}) == [1e-2, 0.1]
    assert rates({"convnet": 0.1}) == [0.1, 1e-4]


def test_config_file_and_options_say_the_same(tmp_path: Path) -> None:
    shared = ["--prior", "pixels", "-p", "init=real", *NARROW]
    invoke("distill", *shared, "--lr", "pixels=0.5", "--out", str(tmp_path / "a"))
    invoke("distill", "--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b"))
    first, second = (load_file(tmp_path / name / "synset.safetensors") for name in "ab")
    assert torch.equal(first["images"], second["images"])
    bad = tmp_path / "bad.yaml"
    bad.write_text("iteration: 3\n")
    assert mentions(fails("distill", "--config", str(bad)), f"{bad} iteration iterations")


DISTILL = "import sys; from glad.cli import main; main(sys.argv[1:])"


def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    def start(out: Path) -> forked.Forked:
        words = ["distill", "--prior", "pixels", *NARROW, "--out", str(out), "--device", "cpu"]
        return forked.start(forked.GLAD, *words, PYTHONWARNINGS="default")

    whole, cut = start(tmp_path / "whole"), tmp_path / "cut"
    for lines in (1, 5, 10):  # kill before the first state, after it, and near the end
        process = start(cut)
        metrics = cut / "metrics.jsonl"
        while process.runs() and (not metrics.exists() or len(metrics.read_text().splitlines()) < lines):
            time.sleep(0.01)
        process.kill()
        assert process.returncode == -signal.SIGKILL, process.stderr
        assert not (cut / "synset.safetensors").exists()
    assert (start(cut).returncode, whole.returncode) == (0, 0)
    for name in ("synset.safetensors", "initial.safetensors", "metrics.jsonl", "grid_000012.png"):
        assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_another_run_is_not_overwritten(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    invoke("distill", "--prior", "pixels", *NARROW, "--out", out)
    message = fails("distill", "--prior", "pixels", *NARROW, "--seed", "1", "--out", out)
    assert "seed 0 there, 1 now" in " ".join(message.split())
    longer = [*NARROW[:-4], "--iterations", "13"]
    invoke("distill", "--prior", "pixels", *longer, "--out", out)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 13


def test_a_run_is_not_said_to_have_fewer_iterations_than_it_went_through(tmp_path: Path) -> None:
    out = tmp_path / "run"
    shorter = [*NARROW[:-4], "--iterations"]
    invoke("distill", "--prior", "pixels", *shorter, "3", "--out", str(out))
    before = (out / "config.yaml").read_bytes()
    message = fails("distill", "--prior", "pixels", *shorter, "2", "--out", str(out))
    assert mentions(message, "3 iterations 2 --out")
    assert (out / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prior", "pixel"], "'pixel' 'pixels'"),
        (["--objective", "dmm"], "'dmm' 'dm'"),
        (["--prior", "missing.safetensors"], "missing.safetensors"),
        (["--prior", "official.pkl"], "official.pkl `glad weights import"),
        (["--network-option", "widht=3"], "network convnet 'widht' depth, width"),
        (["--network-option", "width=wide"], "convnet.width 'wide'"),
        (["-p", "layer=99"], "layer 99"),
        (["-p", "layers=2"], "'layers' layer=None"),
        (["-o", "batch=many"], "dm.batch 'many'"),
        (["--data", "fashon-mini"], "fashion-mini"),
        (["--ipc", "0"], "ipc 1 0"),
        (["--device", "cuda:77"], "'cuda:77'"),
        (["--lr", "fast"], "'fast' NAME=NUMBER"),
        (["--lr", "0.1", "--lr", "w=0.2"], "0.1 w=0.2 NAME=NUMBER"),
        (["--momentum", "nan"], "momentum 0 1 nan"),
        (["--momentum", "1.5"], "momentum 0 1 1.5"),
        (["--lr", "1e30", *NARROW], "iteration finite learning rates"),
        (["--prior", "pixels", "-p", "init=reel"], "'noise' 'real' 'reel'"),
    ],
)
def test_a_mistake_gives_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    output = fails("distill", "--device", "cpu", "--out", str(tmp_path / "run"), *arguments)
    assert mentions(output, message)
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "-1"], "learning_rate 0 -1.0"),
        (["--lr", "w=-1"], "learning_rate.w 0 -1.0"),
        (["--lr", "nan"], "learning_rate 0 nan"),
        (["--lr", "inf"], "learning_rate finite 0 inf"),
        (["--network-option", "width=0"], "convnet: width 1 0"),
        (["--network", "vit", "--network-option", "heads=0"], "vit: heads 1 0"),
        (["--objective", "datadam", "-o", "power=nan"], "datadam.power finite nan"),
        (["-p", "learn_g=2"], "learn_g 0 1 2"),
        (["-p", "truncation=inf"], "truncation finite inf"),
    ],
)
def test_a_number_without_sense_begins_no_folder(arguments: list[str], message: str, tmp_path: Path) -> None:
    output = fails("distill", "--device", "cpu", "--out", str(tmp_path / "run"), *arguments)
    assert mentions(output.splitlines()[-1], message)  # one line, whatever was said of the data before
    assert not (tmp_path / "run").exists()


def test_evaluating_an_unfinished_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert mentions(fails("evaluate", str(tmp_path / "run")), f"{tmp_path}/run")
    with pytest.raises(RunError, match=naming(f"{tmp_path}/run finished")):
        Run(tmp_path / "run").read_set()


def test_a_prior_and_an_objective_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Blurred:\n"
        "    def __init__(self, resolution, channels, scale: float = 1.0):\n"
        "        self.shape, self.scale = (channels, resolution, resolution), scale\n"
        "    def init(self, classes, rng):\n"
        "        return {'low': torch.randn(len(classes), self.shape[0], 7, 7, generator=rng)}\n"
        "    def __call__(self, low):\n"
        "        return self.scale * torch.nn.functional.interpolate(low, self.shape[1:], mode='bilinear')\n"
        "    def tensors(self):\n"
        "        return {}\n"
        "class Mean:\n"
        "    def __init__(self, real):\n"
        "        self.real = real\n"
        "    def terms(self, images, labels, step):\n"
        "        for i, c in enumerate(labels.tolist()):\n"
        "            yield (images[i] - self.real(c, 8, step.rng(f'real {c}')).mean(0)).square().mean()\n"
        "    def tensors(self):\n"
        "        return {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = [
        "--prior",
        "mine:Blurred",
        "-p",
        "scale=0.5",
        "--objective",
        "mine:Mean",
        "--lr",
        "low=5",
        "--iterations",
        "20",
    ]
    invoke("distill", *own, "--out", str(tmp_path / "run"))
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.7 * losses[0]


def test_info_names_versions_devices_and_operators() -> None:
    output = invoke("info")
    assert torch.__version__.split("+")[0] in output and "cpu:" in output and "upfirdn2d" in output


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_run_on_the_gpu(tmp_path: Path) -> None:
    run = glad.distill(network_options={"width": 32}, iterations=30, out=tmp_path / "run", device="cuda")
    losses = [json.loads(line)["loss"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert sum(losses[-5:]) < sum(losses[:5])
