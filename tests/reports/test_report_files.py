"""What the report reads: pictures against the images behind them, and what is damaged or was not meant."""

import numpy as np
import pytest
from distilled_sets import fails
from errors import mentions, naming
from report_runs import NAMES, data_of, image_in, make_run, page_of, pixels_of, results_of

import glad
from glad.reports.run_data import read
from glad.reports.snapshots import FRAMES, film
from glad.runs.image_grid import eight_bit
from glad.runs.snapshots import COUNT
from glad.runs.storage import RunError, write_json, write_tensors

SNAPSHOT = "snapshot_000020.safetensors"


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "toy")


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_the_images_of_the_run(tmp_path, channels):
    run = make_run(tmp_path / "toy", channels=channels, resolution=9)
    page = page_of(run)
    film = page.film()
    assert [frame["iteration"] for frame in film["frames"]] == [0, 20, 40] and film["best"] == 1
    for frame in film["frames"]:
        expected = eight_bit(pixels_of(frame["iteration"], 6, 9, channels)).numpy().squeeze(1 if channels == 1 else ())
        for uri, image in zip(frame["pictures"], expected, strict=True):
            assert np.array_equal(image_in(uri), image if channels == 1 else image.transpose(1, 2, 0))
    shown = [found["src"] for found in page.pictures()]
    assert shown == [uri for frame in film["frames"] for uri in frame["pictures"]]  # first, best, last


def test_a_run_without_snapshots_shows_its_first_and_last_set_and_says_so(tmp_path):
    run = make_run(tmp_path / "toy", classes=NAMES[:30], ipc=1, snapshots=())
    frames = film(data_of(run)).frames
    assert [frame.iteration for frame in frames] == [0, 40]
    last = eight_bit(pixels_of(40, 30)).squeeze(1).numpy()
    assert all(np.array_equal(image_in(uri), image) for uri, image in zip(frames[1].pictures, last, strict=True))
    said = "The run is of a version that kept no snapshots"
    assert f"{said}: its first and last set are shown." in page_of(run).text
    assert said not in page_of(make_run(tmp_path / "new")).text
    whitened = make_run(tmp_path / "zca", zca=True, snapshots=())  # whose tensors show nothing
    assert film(data_of(whitened)) is None
    assert f"{said}, and its set is whitened: there is nothing to show." in page_of(whitened).text
    assert film(data_of(make_run(tmp_path / "new-zca", zca=True))).complete


def test_of_a_large_set_some_images_are_shown(tmp_path):
    page = page_of(make_run(tmp_path / "toy", classes=NAMES, ipc=5, iterations=10, snapshots=(0, 10)))
    assert f"{COUNT} of 500 images" in page.text and len(page.film()["frames"][0]["pictures"]) == COUNT


def test_many_pictures_are_thinned_and_keep_first_best_and_last(tmp_path):
    run = make_run(tmp_path / "toy", iterations=300, snapshots=range(0, 301, 2))
    shown = film(data_of(run))
    iterations = [frame.iteration for frame in shown.frames]
    assert len(iterations) <= FRAMES and {0, 20, 300} <= set(iterations)
    assert iterations[shown.best] == 20 and iterations == sorted(iterations)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: (path / "config.yaml").unlink(), "is not the folder of a run"),
        (lambda path: (path / "inputs.json").write_text("{}"), "inputs.json: its hashes None are not those of a run"),
        (lambda path: (path / "results.json").write_text("{"), "results.json: cannot be read"),
        (
            lambda path: (path / "results.json").write_text("[]"),
            "results.json is not of a form that this version reads",
        ),
        (lambda path: write_json(path / "results.json", {"cells": [{"set": "toy"}]}), "(it has no 'network')"),
        (lambda path: write_json(path / "results.json", results_of("toy", differences=[{}])), "(it has no 'row')"),
        (
            lambda path: write_json(path / "results.json", results_of("toy", cost={"set:toy": {}})),
            "(it has no 'training')",
        ),
        (lambda path: (path / "audit.json").write_text("[]"), "audit.json is not an audit"),
        (
            lambda path: write_json(path / "audit.json", {"schema": 1, "losses": {"classes": [{}]}}),
            "(it has no 'class')",
        ),
        (lambda path: (path / "initial.safetensors").write_bytes(b"x"), "initial.safetensors: cannot be read"),
        (lambda path: (path / "state.safetensors").write_bytes(b"x"), "state.safetensors: cannot be read"),
        (lambda path: (path / "metrics.jsonl").write_text("nothing\n{}\n"), "metrics.jsonl: cannot be read"),
        (lambda path: (path / SNAPSHOT).write_bytes(b"x"), f"{SNAPSHOT}: cannot be read"),
        (lambda path: write_tensors(path / SNAPSHOT, {}, iteration="20"), f"{SNAPSHOT} is no snapshot of a run"),
    ],
)
def test_what_is_damaged_gives_one_line(run, break_it, message):
    break_it(run.path)
    assert message in fails("report", run.path)
    assert not (run.path / "report.html").exists()


def test_mistakes_on_the_command_line(run, tmp_path):
    assert mentions(fails("report", run.path, "--watch", "--out", "x.html"), "--watch --out")
    assert "--port is of --watch" in fails("report", run.path, "--port", "80")
    assert "65536 is not in the range" in fails("report", run.path, "--watch", "--port", "65536")
    assert "does not exist" in fails("report", tmp_path / "missing")
    assert "config.yaml" in fails("report", run.path, "--out", run.path / "config.yaml" / "page.html")  # no folder
    with pytest.raises(ValueError, match=naming("one run")):
        glad.report([])


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [make_run(tmp_path / part / "toy") for part in ("a", "b")]
    assert [facts.label for facts in read(runs)] == [str(run.path) for run in runs]
    with pytest.raises(RunError, match="named twice"):
        read([runs[0], runs[0]])


def test_large_pictures_are_compressed(tmp_path):
    run = make_run(tmp_path / "toy", classes=NAMES[:1], ipc=1, snapshots=(0, 40), resolution=96, channels=3)
    page = page_of(run)
    picture = page.film()["frames"][0]["pictures"][0]
    assert picture.startswith("data:image/jpeg;") and image_in(picture).shape == (96, 96, 3)
    assert "1 image of 96 × 96 pixels, as 8 bits show them (compressed here)" in page.text
