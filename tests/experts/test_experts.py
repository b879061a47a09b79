"""Experts: how they are trained, their files, and who may use them."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from click.testing import CliRunner
from errors import naming
from safetensors.torch import load_file
from torch.nn import functional as F

import glad
from glad.cli import main
from glad.data.dataset import ImageData
from glad.data.splits import load_data
from glad.experts import Recipe, files, training
from glad.experts import folder as expert_run
from glad.experts.files import Expert, ExpertError, ExpertFile, Experts
from glad.networks import make_network
from glad.rng import rng_for
from glad.settings.experts import ExpertSettings

ABOUT = {"data": "abc", "network": "convnet", "number": 0}


@pytest.fixture(scope="module")
def splits():
    return load_data("fashion-mini", limit=60)


def make_plan(splits, out, **options):
    recipe_options = {"epochs": 3, "batch": 20, **options.pop("recipe_options", {})}
    rest = {"count": 2, "network_options": {"width": 4}, "device": "cpu", **options}
    return expert_run.plan(splits, ExpertSettings(out=str(out), recipe_options=recipe_options, **rest))


def small_network(seed=0):
    return make_network("convnet", channels=1, classes=10, resolution=28, rng=rng_for("net", seed), width=4)


def test_a_file_holds_the_rows_that_were_written(tmp_path):
    rows = torch.randn(3, 7, generator=rng_for("rows"))
    file = ExpertFile(tmp_path / "expert_000.safetensors", 3, 7, "float32", ABOUT)
    assert file.begin() is None
    for epoch, row in enumerate(rows):
        file.write(epoch, row, epoch / 4, {"parameters": row})
    assert [path.name for path in tmp_path.iterdir()] == ["expert_000.safetensors"]
    found = load_file(file.path)
    assert torch.equal(found["checkpoints"], rows)
    assert found["accuracy"].tolist() == [0, 0.25, 0.5]
    assert file.path.stat().st_size == files.file_size(3, 7, "float32", ABOUT)
    expert = Expert(file.path)
    assert torch.equal(expert.checkpoint(1), rows[1]) and expert.about == ABOUT
    assert (expert.epochs, expert.parameters, expert.accuracy) == (2, 7, [0, 0.25, 0.5])
    with pytest.raises(ExpertError, match=naming("epochs 0 2 3")):
        expert.checkpoint(3)


def test_bfloat16_halves_a_file_and_rounds_its_rows(tmp_path):
    row = torch.randn(1001, generator=rng_for("row"))
    for dtype in files.DTYPES:
        file = ExpertFile(tmp_path / dtype / "expert_000.safetensors", 1, 1001, dtype, {})
        file.begin()
        file.write(0, row, 0.0, {})
    exact, rounded = (Expert(tmp_path / dtype / "expert_000.safetensors").checkpoint(0) for dtype in files.DTYPES)
    assert torch.equal(exact, row) and torch.equal(rounded, row.bfloat16().float())
    assert rounded.dtype == torch.float32


def test_a_partial_file_of_another_expert_is_refused(tmp_path):
    file = ExpertFile(tmp_path / "expert_000.safetensors", 3, 7, "float32", ABOUT)
    file.begin()
    file.write(0, torch.zeros(7), 0.0, {"parameters": torch.zeros(7)})
    assert file.begin()[0] == 0
    with pytest.raises(ExpertError, match=naming("recipe network data")):
        replace(file, about={**ABOUT, "number": 1}).begin()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x10\0\0\0\0\0\0\0{}              "])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "expert_000.safetensors"
    path.write_bytes(content)
    with pytest.raises(ExpertError, match=naming("expert_000.safetensors")):
        Experts(tmp_path)


def test_snapshots_are_copies_that_come_back():
    network = small_network()
    vector = training.flatten(network)
    kept = vector.clone()
    for parameter in network.parameters():
        parameter.data.add_(1)
    assert torch.equal(vector, kept)
    training.unflatten(network, vector)
    assert torch.equal(training.flatten(network), kept)


def test_one_epoch_is_sgd_on_all_images(splits):
    """Without augmentation, momentum and shuffling's effect: one batch of everything is one plain step."""
    data, network, other = splits.train, small_network(), small_network()
    recipe = Recipe(learning_rate=0.1, batch=len(data), weight_decay=0.01)
    loss = training.train_epoch(network, training.make_optimizer(network, recipe, 0), data, recipe, "none", 0, (0,))
    expected = F.cross_entropy(other(data.tensor()), data.labels)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    for found, parameter in zip(network.parameters(), other.parameters(), strict=True):
        stepped = parameter - 0.1 * (parameter.grad + 0.01 * parameter)
        torch.testing.assert_close(found, stepped, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("recipe", ["mtt", "smooth"])
def test_an_interrupted_training_ends_with_the_same_bytes(splits, tmp_path, recipe):
    options = {"recipe": recipe, "count": 1, "recipe_options": {"epochs": 5}}
    whole, cut = (make_plan(splits, tmp_path / name, **options) for name in ("whole", "cut"))
    expert_run.train_plan(whole)

    for stop in (0, 3, 4):  # the turn of the smooth recipe lies at 4

        def interrupt(number, epoch, accuracy, stop=stop):
            if epoch == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            expert_run.train_plan(cut, interrupt)
        assert {p.name for p in cut.out.iterdir()} == {"expert_000.partial", "expert_000.state"}
    expert_run.train_plan(cut)
    first, second = (plan.file(0).path.read_bytes() for plan in (whole, cut))
    assert first == second


def test_experts_differ_from_epoch_to_epoch_and_from_each_other_and_learn(splits, tmp_path):
    stated = []
    experts = expert_run.train_plan(
        make_plan(splits, tmp_path, recipe_options={"epochs": 6, "learning_rate": 0.05, "momentum": 0.9}),
        lambda *a: stated.append(a),
    )
    assert [(number, epoch) for number, epoch, _ in stated] == [(n, e) for n in range(2) for e in range(7)]
    for expert in experts.experts:
        rows = [expert.checkpoint(epoch) for epoch in range(7)]
        assert all((b - a).norm() > 1e-3 for a, b in pairwise(rows))
        assert expert.accuracy[-1] > expert.accuracy[0] + 0.1
    assert not torch.equal(experts.experts[0].checkpoint(0), experts.experts[1].checkpoint(0))


def test_what_is_there_is_not_trained_again_and_other_kinds_are_refused(splits, tmp_path):
    expert_run.train_plan(make_plan(splits, tmp_path, count=1))
    stated = []
    expert_run.train_plan(make_plan(splits, tmp_path, count=2), lambda *a: stated.append(a[0]))
    assert set(stated) == {1}
    with pytest.raises(ExpertError, match="another recipe"):
        expert_run.train_plan(make_plan(splits, tmp_path, recipe_options={"learning_rate": 0.5}))
    with pytest.raises(ExpertError, match=naming("network_options {'width' 4} {'width' 5}")):
        expert_run.train_plan(make_plan(splits, tmp_path, network_options={"width": 5}))
    others = load_data("fashion-mini", limit=50)
    with pytest.raises(ExpertError, match=naming(f"{splits.train.digest} {others.train.digest}")):
        expert_run.train_plan(make_plan(others, tmp_path))


def test_segments_are_pieces_of_one_expert(splits, tmp_path):
    experts = expert_run.train_plan(make_plan(splits, tmp_path))
    starts = set()
    for seed in range(20):
        piece = experts.segment(rng_for(seed), 2, 2)
        starts.add(piece.epoch)
        matches = [e for e in experts.experts if torch.equal(e.checkpoint(piece.epoch), piece.checkpoint(0))]
        assert len(matches) == 1 and torch.equal(matches[0].checkpoint(piece.epoch + 2), piece.checkpoint(2))
    assert starts == {0, 1}
    with pytest.raises(ExpertError, match=naming("3 epochs 3 2 epochs 4")):
        experts.segment(rng_for(0), 3, 2)
    piece = experts.segment(rng_for(0), 1, 1)
    piece.checkpoint(0).fill_(0)
    assert piece.checkpoint(0).abs().max() > 0


def test_a_plan_says_what_it_takes_and_refuses_what_does_not_fit(splits, tmp_path, monkeypatch):
    plan = make_plan(splits, tmp_path)
    said = plan.bytes()
    assert plan.seconds() > 0
    expert_run.train_plan(plan)
    assert said == sum(path.stat().st_size for path in tmp_path.iterdir())
    monkeypatch.setattr(expert_run.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    expert_run.train_plan(plan)  # nothing is missing
    with pytest.raises(ExpertError, match="bfloat16"):
        expert_run.train_plan(make_plan(splits, tmp_path, count=3))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe": "ast"}, "'ast' mtt glad smooth"),
        ({"dtype": "float16"}, "dtype"),
        ({"count": 0}, "count"),
        ({"recipe_options": {"epochs": 0}}, "epochs 1"),
        ({"recipe_options": {"learning_rate": 0.0}}, "learning_rate 0"),
        ({"recipe_options": {"learning_rate": float("nan")}}, "learning_rate 0 nan"),
        ({"recipe_options": {"momentum": 1.5}}, "momentum 0 1 1.5"),
        ({"network_options": {"width": 0}}, "convnet: width 1 0"),
    ],
)
def test_plans_are_checked(splits, tmp_path, options, said):
    with pytest.raises(ValueError, match=naming(said)):
        make_plan(splits, tmp_path, **options)


def test_a_loss_that_is_no_number_is_said(splits, tmp_path):
    with pytest.raises(ArithmeticError, match="epoch 0"):
        expert_run.train_plan(make_plan(splits, tmp_path, recipe_options={"learning_rate": 1e30, "epochs": 2}))


def test_the_header_is_json_that_safetensors_reads(tmp_path):
    header = files._header(2, 3, "bfloat16", {"a": "ü" * 3})
    assert len(header) % 8 == 0
    assert json.loads(header[8:])["checkpoints"]["data_offsets"] == [8, 8 + 2 * 3 * 2]


def test_the_commands_from_experts_to_a_set(tmp_path):
    """Train, inspect, distill by MTT and AST, refuse what does not fit."""
    runner, folder = CliRunner(), tmp_path / "experts"
    small = ["--data", "fashion-mini", "--limit", "60", "--network-option", "width=4"]
    shorter = ["-o", "epochs=3", "-o", "batch=20"]
    result = runner.invoke(
        main, ["experts", "train", *small, *shorter, "--count", "1", "--out", str(folder), "--dry-run"]
    )
    assert result.exit_code == 0, result.output
    assert "1 experts, 3 epochs of 60 images" in result.output and not folder.exists()
    for recipe in ("mtt", "smooth"):
        where = [*small, *shorter, "--count", "2", "--recipe", recipe, "--out", str(tmp_path / recipe)]
        result = runner.invoke(main, ["experts", "train", *where])
        assert result.exit_code == 0, result.output
    result = runner.invoke(main, ["experts", "inspect", str(tmp_path / "mtt"), str(tmp_path / "smooth")])
    assert result.exit_code == 0, result.output
    assert "straightness" in result.output and (tmp_path / "mtt" / "paths.png").stat().st_size > 5000
    for objective, recipe, prior in (("mtt", "mtt", "pixels"), ("ast", "smooth", "fashion-mini")):
        out = tmp_path / objective
        settings = ["--objective", objective, "--prior", prior, "--out", str(out), "--iterations", "2"]
        options = ["-o", "syn_steps=3", "-o", "expert_epochs=2", "-o", "max_start_epoch=2"]
        result = runner.invoke(main, ["distill", *small, *settings, *options, "--experts", str(tmp_path / recipe)])
        assert result.exit_code == 0, result.output
        assert json.loads((out / "inputs.json").read_text())["hashes"]["experts"]
        learned = float(load_file(out / "state.safetensors")["objective/step_size"])
        for lr, taken in ((None, learned), ({"vit": 0.5}, learned), ({"convnet": 0.5}, 0.5), (0.5, 0.5)):
            options = {"networks": ["convnet"], "seeds": 1, "epochs": 1, "baselines": [], "split": "validation"}
            results = glad.evaluate(out, learning_rate=lr, network_options={"convnet": {"width": 4}}, **options)
            assert [cell["learning_rate"] for cell in results["cells"]] == [pytest.approx(taken)]
    refused = [
        (["--experts", str(tmp_path / "mtt"), "--limit", "50"], "data"),
        (["--experts", str(tmp_path / "mtt"), "--network-option", "width=5"], "network_options"),
        (["--experts", str(tmp_path / "nowhere")], "no experts"),
        ([], "glad experts train"),
    ]
    for options, said in refused:
        where = ["--objective", "mtt", "--prior", "pixels", "--iterations", "1", "--out", str(tmp_path / "no")]
        result = runner.invoke(main, ["distill", *small, *where, *options])
        assert result.exit_code == 1 and said in result.output, result.output


def test_batches_of_unequal_classes_may_have_as_many_images_of_each(monkeypatch):
    train, asked, batch = load_data("fashion-mini", limit=200).train, [], ImageData.batch
    data = train.select(torch.cat([train.of_class(0), *(train.of_class(c)[:2] for c in range(1, 10))]))
    monkeypatch.setattr(ImageData, "batch", lambda self, index: asked.append(index) or batch(self, index))
    recipe, network = Recipe(batch=10, balanced=1), small_network()
    training.train_epoch(network, training.make_optimizer(network, recipe, 0), data, recipe, "none", 0, ("key",))
    assert sum(map(len, asked)) == len(data)
    for index in asked[:-1]:
        assert sorted(data.labels[index].tolist()) == list(range(10))
    assert "balanced" not in Recipe().stored() and Recipe(balanced=1).stored()["balanced"] == 1
