"""A run on several ranks: the same bytes on any number, continued on another, and one line about what goes wrong."""

import hashlib
import json
import signal

import forked
import pytest
import rank_jobs
import torch
from click.testing import CliRunner
from errors import mentions
from safetensors import safe_open
from torch.distributed.elastic.multiprocessing.api import SignalException

import glad
from glad.cli import main
from glad.ranks import launch
from glad.ranks.watch import Watch
from glad.runs.storage import read_tensors

CODES, PIXELS = "fashion-mini", "pixels"
EXPERTS = {"count": 1, "recipe_options": {"epochs": 3, "batch": 16}}
KINDS = {
    "dm": {"objective": "dm", "objective_options": {"batch": 4}},
    "mtt": {"objective": "mtt", "objective_options": {"syn_steps": 2, "expert_epochs": 1, "max_start_epoch": 2}},
}
OTHERS = {
    "other seed": "rank 0 seed 0 rank 1 1",
    "other data": "rank 0 hash of data rank 1",
    "other version": "rank 0 version of glad rank 1 0.0",
    "other operators": "rank 0 operators on cpu rank 1 magic",
}
CASES = [(kind, prior) for kind in KINDS for prior in (PIXELS, CODES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def done(folder):
    """What the processes said, and their runs in ``folder``."""
    small = {key: rank_jobs.SMALL[key] for key in ("data", "classes", "limit", "network_options", "device")}
    glad.train_experts(out=folder / "experts", **small, **EXPERTS)

    def case(kind, prior, name, **more):
        experts = {"experts": str(folder / "experts")} if kind == "mtt" else {}
        return {**KINDS[kind], "prior": prior, "out": str(folder / name), **experts, **more}

    def cases(world):
        return [case(kind, prior, f"{kind}-{prior}-{world}") for kind, prior in CASES]

    moved = {**KINDS["dm"], "prior": PIXELS, "out": str(folder / "moved")}
    told = {"objective": "rank_jobs:Told", "prior": PIXELS, "learning_rate": 1.0}
    groups = [
        (4, [{**moved, "iterations": 1}]),
        (1, cases(1)),
        (3, [*cases(3), {**moved, "iterations": 2}]),
        (1, [{**moved, "iterations": 3}, {**moved, "out": str(folder / "unmoved"), "iterations": 3}]),
        (2, [*cases(2), {**told, "out": str(folder / "told")}, case("mtt", CODES, "offloaded", offload="disk")]),
        (2, [case("dm", PIXELS, "terminated", quirk="terminated", iterations=4, save_every=50)]),
        (
            2,
            [
                *(case("dm", PIXELS, quirk.split()[1], quirk=quirk) for quirk in OTHERS),
                {**moved, "out": "apart", "quirk": "other folder"},
                {**moved, "out": str(folder / "wrong"), "objective": "nonsense"},
            ],
        ),
        (3, [case("dm", PIXELS, "broken", quirk="broken")]),
        (3, [case("dm", PIXELS, "killed", quirk="killed", iterations=3)]),
    ]
    results, codes, errors = rank_jobs.perform(groups, folder / "processes")
    assert codes[0] == codes[2] == codes[3] == 0, errors
    return results


def digest(folder, name):
    return {
        file: hashlib.sha256((folder / name / file).read_bytes()).hexdigest()
        for file in ("initial.safetensors", "synset.safetensors", "metrics.jsonl")
    }


@pytest.mark.parametrize(("kind", "prior"), CASES)
def test_one_two_and_three_ranks_give_the_same_bytes(done, folder, kind, prior):
    alone = digest(folder, f"{kind}-{prior}-1")
    assert alone == digest(folder, f"{kind}-{prior}-2") == digest(folder, f"{kind}-{prior}-3")
    assert alone["initial.safetensors"] != alone["synset.safetensors"]


def test_ranks_with_rows_on_the_disk_give_the_same_bytes(done, folder):
    assert digest(folder, "offloaded") == digest(folder, f"mtt-{CODES}-1")


def test_a_run_that_began_on_four_goes_on_with_three_and_ends_with_one(done, folder):
    assert digest(folder, "moved") == digest(folder, "unmoved")
    record = json.loads((folder / "moved" / "inputs.json").read_text())["arithmetic"]
    assert record["ranks"] == 4 and record["device"] == "cpu" and record["threads"] == 1 and record["instructions"]


def test_each_rank_saves_the_rows_of_its_classes(done, folder):
    names = {path.name for path in (folder / f"dm-{PIXELS}-3").glob("rows_*")}
    assert names == {f"rows_000002_{rank}of3.safetensors" for rank in range(3)}
    with safe_open(str(folder / f"dm-{PIXELS}-3" / "rows_000002_0of3.safetensors"), "pt") as file:
        assert {name.split("/")[0] for name in file.keys()} == {"0", "3"}  # noqa: SIM118
        assert file.get_tensor("3/moments/pixels/momentum_buffer").shape == (1, 1, 28, 28)
    shared, about = read_tensors(folder / f"mtt-{PIXELS}-3" / "state.safetensors")
    assert shared.keys() == {"digests", "objective/step_size", "moments/step_size/momentum_buffer"}
    assert about["ranks"] == "3" and about["step_size"] == "objective/step_size"


def test_an_objective_that_does_not_say_that_it_is_by_class_runs_alike_and_is_told_once(done, folder):
    (note,) = done[0]["told@2"]
    assert mentions(note, "told by_class") and done[1]["told@2"] == []
    alone = glad.distill(
        **{
            **rank_jobs.SMALL,
            "objective": "rank_jobs:Told",
            "prior": PIXELS,
            "learning_rate": 1.0,
            "out": folder / "told-1",
        }
    )
    assert torch.equal(alone.read_set()[0], glad.Run(folder / "told").read_set()[0])


@pytest.mark.parametrize(
    ("error", "after", "line"),
    [
        ("Timed out waiting 5000ms", 7, "rank 2 of 3 did not come to gather 7 within 5 s"),  # though it has come since
        ("Connection closed", 6, "rank 2 of 3 did not come to gather 7 within 5 s"),
        ("Connection closed", 7, "rank 0 of 3 lost the others Connection closed"),
    ],
)
def test_a_rank_that_had_not_come_when_the_time_was_up_is_late(error, after, line):
    watch = Watch.__new__(Watch)
    watch.rank, watch.world, watch.gathers, watch.timeout = 0, 3, 7, 5.0
    said = watch._name([(1, 7), (1, 7), (1, 6)], [(9, 7), (9, 7), (9, after)], RuntimeError(error))
    assert mentions(said, line)


def test_sigterm_to_one_rank_stops_all_after_the_same_iteration_saved(done, folder):
    assert [done[rank]["terminated@2"] for rank in range(2)] == ["ends with 143"] * 2
    assert read_tensors(folder / "terminated" / "state.safetensors")[1]["iteration"] == "2"


@pytest.mark.parametrize("quirk", OTHERS)
def test_ranks_that_have_something_else_are_told_at_the_start(done, folder, quirk):
    name = quirk.split()[1]
    lines = [done[rank][f"{name}@2"] for rank in range(2)]
    assert sorted(line.split()[0] for line in lines) == ["says", "silent"]
    assert all(mentions(line, OTHERS[quirk]) for line in lines), lines
    assert not (folder / name / "state.safetensors").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_finds_nobody_says_where_it_looked(tmp_path, rank):
    port = rank_jobs.free_port()
    run = {**KINDS["dm"], "prior": PIXELS, "out": str(tmp_path / "alone"), "rank_timeout": 0.1}
    (tmp_path / "plan.json").write_text(json.dumps([{"world": 2, "port": port, "runs": [run]}]))
    assert forked.run(rank_jobs.START, rank, tmp_path).returncode == 0
    said = json.loads((tmp_path / f"{rank}.json").read_text())["alone@2"]
    assert said.startswith("says") and mentions(said, f"rank {rank} of 2 finds no others at 127.0.0.1:{port}")


def test_a_folder_that_is_not_shared_is_named(done):
    lines = [done[rank]["apart@2"] for rank in range(2)]
    assert sorted(line.split()[0] for line in lines) == ["says", "silent"]
    assert all(mentions(line, "apart rank 0") for line in lines)


def test_what_is_wrong_on_all_ranks_before_they_join_is_said_once(done, folder):
    lines = [done[rank]["wrong@2"] for rank in range(2)]
    assert sorted(line.split()[0] for line in lines) == ["says", "silent"]
    assert all(mentions(line, "objective nonsense") for line in lines)
    assert not (folder / "wrong").exists()


@pytest.mark.parametrize(
    ("device", "gpus", "ranks", "words"),
    [("cpu", 0, 999, "999 ranks 10 classes"), ("cuda", 2, 3, "3 2"), ("cuda:1", 2, 2, "cuda:1 1")],
)
def test_more_ranks_than_there_is_room_for_are_refused_before_they_start(monkeypatch, device, gpus, ranks, words):
    monkeypatch.setattr(launch, "elastic_launch", lambda *_: pytest.fail("started"))
    monkeypatch.setattr(launch, "pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    found = CliRunner().invoke(main, ["distill", "--ranks", str(ranks), "--device", device])
    assert found.exit_code == 1 and mentions(found.output, words) and found.output.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_that_started_the_ranks_is_its_exit_status(monkeypatch, number):
    def stopped(*_):
        raise SignalException("got it", number)

    monkeypatch.setattr(launch, "elastic_launch", lambda *_: stopped)
    found = CliRunner().invoke(main, ["distill", "--ranks", "2", "--device", "cpu"])
    assert (found.exit_code, found.output) == (128 + number, "") and isinstance(found.exception, SystemExit)


def test_an_error_of_one_rank_ends_all_and_is_said_once(done):
    lines = [done[rank]["broken@3"] for rank in range(3)]
    assert [line.split()[0] for line in lines] == ["silent", "says", "silent"]
    assert lines[1] == "says no memory left" and all("rank 1 of 3: no memory left" in lines[i] for i in (0, 2))


def test_a_killed_rank_is_named_in_one_line_and_the_run_goes_on_to_the_same_bytes(done, folder, one_thread):
    lines = [done[rank]["killed@3"] for rank in (0, 2)]
    assert sorted(line.split()[0] for line in lines) == ["says", "silent"]
    assert all("rank 1 of 3 has died" in line for line in lines)
    options = {**rank_jobs.SMALL, **KINDS["dm"], "prior": PIXELS, "iterations": 3}
    assert glad.distill(**options, out=folder / "killed").name == "killed"
    assert digest(folder, "killed") == digest(folder, "unmoved")


def test_a_command_that_ranks_do_not_share_is_refused_under_torchrun():
    for rank in "01":
        found = CliRunner().invoke(main, ["evaluate", "runs/x"], env={"TORCHELASTIC_RUN_ID": "x", "RANK": rank})
        assert found.exit_code == 1 and mentions(found.output, "evaluate torchrun") == (rank == "0")
