"""The benchmark for a GPU: every row runs (here on a CPU, small), a run that is cut off has what it measured."""

import json

import bench_gpu
from click.testing import CliRunner
from errors import mentions
from fixtures import tiny_generator


def run(*arguments):
    return CliRunner().invoke(bench_gpu.main, [*map(str, arguments)])


def test_every_row_is_measured_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_gpu, "make", lambda variant, size: tiny_generator().synthesis)
    monkeypatch.setattr(bench_gpu, "STEPS", 2)
    small = ("--sizes", "2x16", "--resolutions", 16, "--width", 4, "--batch", 2, "--repeat", 1)
    done = run("--device", "cpu", *small, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["left"] == [] and len(written["rows"]) == 5 * 2 + 3
    for name, sides in written["rows"].items():
        assert set(sides) == ({"ours", "reference"} if "2x16" in name else {"ours"})
        assert all(side["seconds"] >= side["fastest"] > 0 for side in sides.values())


def test_rows_after_the_time_are_named(tmp_path, monkeypatch):
    """Each row seems to take a minute: of an allowed 2.5 two are measured."""
    now = iter(range(0, 10**6, 30))
    monkeypatch.setattr(bench_gpu.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(bench_gpu, "measure", lambda *_: {"seconds": 1.0, "fastest": 1.0, "mib": 0.0})
    done = run("--device", "cpu", "--minutes", 2.5, "--sizes", "2x16", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "gpu.json").read_text())
    measured = sum(len(sides) for sides in written["rows"].values())
    assert 0 < measured < measured + len(written["left"]) == 5 * 4 + 2 * 3
    assert mentions(done.output, "2.5 minutes mtt 128")


def test_without_a_device_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = run("--out", tmp_path)
    assert done.exit_code == 1 and mentions(done.output, "CUDA --device cpu")
