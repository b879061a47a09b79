"""The report against folders whose numbers are known, and against a real run."""

import base64
import hashlib
import io
import json
import re
import shlex

import pytest
import torch
from distilled_sets import distill, invoke
from PIL import Image
from report_runs import Page, audit_of, data_of, make_run, page_of, put, results_of
from safetensors.torch import save_file

import glad
from glad.evaluation import ResultRow, set_id
from glad.reports.conclusions import draw_conclusions

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "toy")


def test_the_page_says_what_the_files_say(run):
    put(run, "results.json", results_of("toy"))
    put(run, "audit.json", audit_of(6))
    text = page_of(run).text
    for said in (
        "100 times fewer images",
        "6 synthetic images in place of 600 real ones; as plain 8-bit pixels 384 B in place of 38.4 kB",
        "Distilling took 1 min 30 s (40 iterations)",
        "Test accuracy of convnet (seen): 50.0 ± 1.0 % against 80.0 ± 1.0 % with all images, 62.5 % of it",
        "Training convnet for 7 epochs and testing it took 2 s against 12 s",
        "Yes: better than every baseline",
        "On convnet, the seen architecture: 50.0 ± 1.0 (test accuracy in %, 3 seeds).",
        "Cross-architecture (vit): 40.0 ± 1.0.",
        "Against random real images (20.0 ± 1.0): better, +20.0 points, beyond the deviations",
        "No pretrained weights",
        "Hash: " + "da7a" * 16,
        "The prior likes bright things.",
        "Threshold not kept: worst_class_loss is to be at most 0.1, and is 0.3.",
        "class 2 90.0 % 60.0 % −30.0 50",
        "Test accuracy in %, mean ± sample deviation over 3 seeds, 7 epochs",
        "set convnet (seen) vit cross-architecture toy 50.0 ± 1.0 40.0 ± 1.0 40.0 ± 1.0",
        "Learning rates: pixels 0.5",
        "version of glad 9.8.7",
        "seed of the distillation 3",
    ):
        assert said in text, said
    assert "Finished, 40 iterations" in text and "nfinished:" not in text
    assert "--cost" in text  # which nobody measured


def test_what_is_absent_names_its_command(run):
    text = page_of(run).text
    folder = str(run.path)
    for command in (
        f"glad evaluate {folder}",
        f"glad evaluate {folder} --baselines full --cost",
        f"glad audit {folder}",
    ):
        assert command in text
    assert "Not measured" in text and "±" not in text and "Yes:" not in text


def test_costs_differences_and_scores(run):
    spent = {"reached": True, "accuracy": 0.7, "seconds": 4.0, "samples": 1200, "updates": 200, "bytes": 384}
    goal = {"seed": 0, "target": 0.64, "reach": 0.8, "network": "convnet"}
    full = {**goal, "training": {**spent, "seconds": 14.0, "bytes": 38400}}
    own = {**goal, "training": spent, "distillation_seconds": 90.5, "pays_after": 10}
    paired = {"mean": 0.2, "low": 0.15, "high": 0.25, "n": 5}
    differences = [
        {"row": "set:toy", "against": "random:2", "seen": paired, "cross": {**paired, "low": -0.01}},
        {"row": "set:toy", "against": "full", "seen": None, "cross": {**paired, "low": None, "n": 1}},
    ]
    made = {"lrs": 41.5, "ars": 60.25, "hlr": 0.3, "ior": 0.2, "ior_augmented": 0.2, "ior_plain": 0.1}
    scores = {"set:toy": {**made, "accuracies": {"full_hard": 0.8}}}
    results = results_of("toy", cost={"full:20": full, "set:toy": own}, differences=differences, scores=scores)
    results["rows"].append(ResultRow("full", images=600, epochs=20, shown=False).to_dict())
    put(run, "results.json", results)
    text = page_of(run).text
    assert "100 times fewer images, paid for after 10 trainings" in text in text
    assert "training on toy takes 4 s, 1,200 images seen and 384 bytes." in text
    assert "The distillation took 90.5 s and has paid for itself after 10 trainings." in text
    assert "all 600 training images, 20 epochs yes 14 s 200" in text and "toy yes 4 s 200 1,200 384 B" in text
    assert "toy − random real images, 2 per class +20.0 (+15.0 to +25.0), n = 5 +20.0 (−1.0 to +25.0), n = 5" in text
    assert "toy − all 600 training images – +20.0, n = 1" in text
    assert "level, +20.0 points (−1.0 to +25.0 in 95 % of resampled seeds)" in text  # not by the deviations
    assert "LRS, label-robust score 41.5 %" in text and "accuracy: full hard 80.0 %" in text
    assert "--cost --reach 0.8 --full-epochs 20" in text  # to do the same again


@pytest.mark.parametrize(
    ("own", "std", "seeds", "verdict"),
    [
        (0.5, 0.01, (0, 1), "Yes: better than every baseline"),
        (0.31, 0.01, (0, 1), "Level with random real images"),
        (0.2, 0.01, (0, 1), "No: worse than random real images"),
        (0.5, None, (0,), "Not known from one seed"),
    ],
)
def test_the_worst_comparison_decides_whether_it_holds(run, own, std, seeds, verdict):
    put(run, "results.json", results_of("toy", own=own, std=std, seeds=seeds))
    assert draw_conclusions(data_of(run))[1].headline == verdict


def test_baselines_at_equal_bytes_are_called_so(run):
    content = results_of("toy", own=0.31, random=0.5)
    put(run, "results.json", {**content, "config": {**content["config"], "equal": "bytes"}})
    found = draw_conclusions(data_of(run))[1]
    assert found.headline == "No: worse than random real images of as many bytes"
    assert any(line.startswith("Against the set before optimization (") for line in found.lines)
    assert "--equal bytes" in page_of(run).text  # to do the same again


def test_a_renamed_run_finds_its_results(run):
    put(run, "results.json", results_of("called otherwise"))
    page = page_of(run)
    assert "Yes: better than every baseline" in page.text
    assert "toy before optimization 30.0" in page.text and "called otherwise" not in page.text


def test_an_evaluation_that_goes_on(run):
    results = results_of("toy")
    put(
        run,
        "results.json",
        {**{key: results[key] for key in ("format", "settings", "config", "rows")}, "cells": results["cells"][:4]},
    )
    text = page_of(run).text
    assert "toy 50.0 ± 0.0 50.0 50.0" in text  # three seeds of one network, one of the other
    assert "The evaluation is unfinished: these are its finished trainings." in text


def test_an_unfinished_run_is_reported_as_such(tmp_path):
    run = make_run(tmp_path / "toy", done=25)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 25, "lo')  # as a kill leaves it
    text = page_of(run).text
    assert "Unfinished: 25 of 40 iterations" in text and "glad distill --config" in text
    assert "So far" in text and "glad audit" not in text
    longer = make_run(tmp_path / "longer")  # finished, and then asked for more
    config = longer.path / "config.yaml"
    config.write_text(config.read_text().replace("iterations: 40", "iterations: 50"))
    assert "Unfinished: 40 of 50 iterations" in page_of(longer).text


def test_a_run_before_its_first_set(tmp_path):
    run = make_run(tmp_path / "toy", done=0, snapshots=())
    for name in ("initial.safetensors", "state.safetensors"):
        (run.path / name).unlink()
    text = page_of(run).text
    assert "Nothing yet" in text and "holds no snapshot yet" in text and "No iteration is finished yet" in text


def test_the_last_images_carry_their_nearest_training_image(run):
    put(run, "audit.json", audit_of(6))
    near = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, *run.read_set()[0].shape[1:]) * 40
    save_file({"pixels": near.contiguous()}, run.path / "audit_nearest.safetensors")
    found = [image["data-near-picture"] for image in page_of(run).all("img") if "data-near-picture" in image]
    assert len(found) == 6
    shades = [
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L").getextrema() for uri in found
    ]
    assert [low for low, high in shades] == [high for low, high in shades]
    assert sorted(low for low, _ in shades) == [0, 40, 80, 120, 160, 200]
    save_file({"pixels": near[:5].contiguous()}, run.path / "audit_nearest.safetensors")  # of another set
    assert not any("data-near-picture" in image for image in page_of(run).all("img"))


def test_images_say_what_they_are(run):
    put(run, "audit.json", audit_of(6))
    page = page_of(run)
    images = page.pictures()
    assert all(image.get("alt") for image in page.all("img"))
    first = images[0]
    assert first["alt"] == "class 0, image 0, first" and first["tabindex"] == "0"
    assert [image["tabindex"] for image in images[1:6]] == ["-1"] * 5
    last = images[-1]
    assert last["data-class"] == "class 2" and last["data-label"] == "2"
    assert last["data-near"].startswith("nearest training image, in pixels: number 75, class 1, 1.5 times as far")
    assert "data-near" not in first  # neighbors are those of the final set
    put(run, "audit.json", audit_of(6, schema=2))
    other = page_of(run)
    assert not any("data-near" in image for image in other.all("img"))
    assert "audit.json is of schema 2" in other.text and "class 2 loses most." in other.text


def assert_self_contained(text):
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
    for code in (*page.code["style"], *page.code["script"]):
        assert not re.search(r"url\(|@import|https?://|import\(", code)
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    for kind in ("style", "script"):
        inline = page.code[kind][-1]  # data blocks come before
        assert f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy
    return page


def test_the_file_needs_nothing_else_and_hangs_together(tmp_path):
    runs = [put(make_run(tmp_path / name), "results.json", results_of(name)) for name in ("one", "two")]
    put(runs[0], "audit.json", audit_of(6))
    page = assert_self_contained(glad.report(runs, tmp_path / "page.html").read_text())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        named = attributes.get("aria-labelledby", "").split()
        link = attributes.get("href", "")
        assert {*named, *([link[1:]] if link.startswith("#") else [])} <= set(ids)
    drawn = [found["alt"] for found in page.pictures("svg")]
    assert len(drawn) == 6 and all("at iteration" in text or "Accuracy of" in text for text in drawn)
    assert all(found["scope"] in ("row", "col") for found in page.all("th"))


def test_what_others_named_is_escaped(tmp_path):
    folder = tmp_path / "a<b>&'q'"
    run = make_run(
        folder, classes=(HOSTILE, "</script><script>alert(2)</script>", "x"), data=HOSTILE, objective=HOSTILE
    )
    inputs = json.loads((folder / "inputs.json").read_text())
    inputs |= {"weights": {"name": HOSTILE, "license": HOSTILE, "source": HOSTILE, "sha256": HOSTILE}}
    inputs |= {"versions": {HOSTILE: HOSTILE}, "learning_rates": {HOSTILE: 1.0}}
    put(run, "inputs.json", inputs)
    results = results_of(folder.name)
    hostile = ResultRow("set", HOSTILE)
    results["rows"].append(hostile.to_dict())
    results["summary"][hostile.id] = results["summary"][set_id(folder.name)]
    put(run, "results.json", results)
    put(run, "audit.json", audit_of(6, verdicts={HOSTILE: HOSTILE}, broken=[HOSTILE]))
    run.add_metrics(40, {"loss": 1.0, HOSTILE: 1.0})
    page = assert_self_contained(glad.report(run, tmp_path / "page.html").read_text())
    assert len(page.all("script")) == 2 and page.all("script")[0]["type"] == "application/json"
    assert page.all("img", alt=f"{HOSTILE}, image 0, first")
    assert page.text.count(HOSTILE) > 12
    assert shlex.quote(str(folder)) in page.text


def test_runs_side_by_side(tmp_path):
    one, two = (make_run(tmp_path / name) for name in ("one", "two"))
    put(one, "results.json", results_of("one"))
    put(two, "results.json", results_of("two", own=0.6))
    page = page_of(one, two, out=tmp_path / "page.html")
    assert len(page.all("table", **{"aria-labelledby": "results-1-caption"})) == 1
    assert "two 60.0 ± 1.0 50.0 ± 1.0" in page.text and page.text.count("Yes: better than every baseline") == 2
    assert page.text.count("random real images, 2 per class 30.0 ± 1.0 20.0 ± 1.0") == 1  # in the table once
    assert page.text.index("two before optimization 40.0") < page.text.index("all 600 training images 80.0")
    results = results_of("two")
    results["settings"]["protocol"]["epochs"] = 9
    put(two, "results.json", results)
    results["earlier"] = [{**results_of("two", own=0.55), "protocol_name": "mine.yaml"}]
    results["earlier"][0]["settings"]["protocol"]["batch"] = 3
    put(two, "results.json", results)
    apart = page_of(one, two, out=tmp_path / "page.html").text
    assert "There are evaluations under different settings" in apart and "3 seeds, 9 epochs" in apart
    assert (
        "over 3 seeds, 7 epochs, protocol mine.yaml set convnet (seen) vit cross-architecture two 55.0 ± 1.0" in apart
    )


def test_a_real_run_with_its_evaluation_and_audit(tmp_path, monkeypatch):
    monkeypatch.setenv("GLAD_TEACHER_CACHE", str(tmp_path / "teachers"))
    run = distill(tmp_path / "codes", iterations=3, grid_every=1, limit=300)
    narrow = ["--networks", "convnet", "--network-option", "convnet.width=8", "--lr", "convnet=0.05"]
    quick = ["--seeds", "2", "--epochs", "1", "--full-epochs", "1", "--split", "validation", "--device", "cpu"]
    invoke("evaluate", run.path, *narrow, *quick, "--cost", "--scores", "--hybrid", "1", "--baselines", "full")
    invoke("audit", run.path, "--width", 8, "--epochs", 1, "--set-epochs", 1, "--seeds", 1, "--images", 100)
    assert "report.html (" in invoke("report", run.path)
    text = (run.path / "report.html").read_text()
    page = assert_self_contained(text)
    assert len(page.pictures()) == 32 and "Weights fashion-mini" in page.text  # 3 snapshots of 10, 2 of the audit
    for stated in ("LRS", "What it took convnet to reach a test accuracy of", "What it copied"):
        assert stated in page.text
    before = json.loads((run.path / "results.json").read_text())
    command = next(line for line in re.findall(r'<code class="command">(glad evaluate[^<]*)', text) if "--cost" in line)
    invoke(*shlex.split(command)[1:], "--device", "cpu")
    assert json.loads((run.path / "results.json").read_text()) == before  # the page's command is the one that was given
