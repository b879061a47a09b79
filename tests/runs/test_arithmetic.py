"""A run that goes on takes the threads that it began with, and says what is other than it was."""

import json
import warnings

import pytest
import torch
from distilled_sets import distill
from errors import naming

from cuda_ops import _library
from cuda_ops.conv3x3 import use_convolutions, used_convolutions
from glad.data import load_data
from glad.experts.folder import plan, train_plan
from glad.runs.arithmetic import arithmetic, resume_arithmetic
from glad.runs.storage import RunError
from glad.settings.experts import ExpertSettings


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    use_convolutions("auto")
    torch.set_num_threads(before)


def final(run):
    return run.read_set()[0]


def test_a_run_continued_under_other_threads_ends_with_the_same_bytes(tmp_path):
    torch.set_num_threads(1)
    whole = distill(tmp_path / "whole", iterations=4)
    distill(tmp_path / "halves", iterations=2)
    torch.set_num_threads(2)
    with pytest.warns(UserWarning, match=naming("halves 1 2")):
        halves = distill(tmp_path / "halves", iterations=4)
    assert torch.equal(final(halves), final(whole))
    assert halves.inputs["arithmetic"] == whole.inputs["arithmetic"] and halves.inputs["arithmetic"]["threads"] == 1


def few(folder, **more):
    """A run in whose network a convolution is Winograd's."""
    return distill(folder, network_options={"width": 16}, **more)


def test_a_run_goes_on_with_the_convolutions_that_it_began_with(tmp_path):
    whole = few(tmp_path / "whole", iterations=4, conv="direct")
    few(tmp_path / "halves", iterations=2, conv="direct")
    with pytest.warns(UserWarning, match=naming("halves direct auto")):
        halves = few(tmp_path / "halves", iterations=4)
    assert halves.inputs["arithmetic"]["conv"] == "direct"
    assert torch.equal(final(halves), final(whole))
    if _library.status()["cpu"].by != _library.REFERENCE:
        assert not torch.equal(final(few(tmp_path / "winograd", iterations=4)), final(whole))
    assert used_convolutions() == "auto"


def test_a_run_of_before_there_was_a_choice_goes_on_with_direct_convolutions(tmp_path):
    run = few(tmp_path / "run", iterations=1, conv="direct")
    inputs, config = run.inputs, run.path / "config.yaml"
    del inputs["arithmetic"]["conv"]
    (run.path / "inputs.json").write_text(json.dumps(inputs))
    config.write_text(config.read_text().replace("conv: direct\n", ""))
    with pytest.warns(UserWarning, match=naming("run direct auto")):
        few(run.path, iterations=2)
    assert torch.equal(final(run), final(few(tmp_path / "whole", iterations=2, conv="direct")))


def test_equal_arithmetic_needs_no_word(tmp_path):
    distill(tmp_path / "run", iterations=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distill(tmp_path / "run", iterations=2)


def test_a_run_that_recorded_nothing_says_so_and_goes_on(tmp_path):
    run = distill(tmp_path / "run", iterations=1)
    inputs = run.inputs
    del inputs["arithmetic"]
    (run.path / "inputs.json").write_text(json.dumps(inputs))
    with pytest.warns(UserWarning, match=naming("run threads")):
        distill(tmp_path / "run", iterations=2)
    assert run.inputs["arithmetic"] == {**arithmetic(torch.device("cpu"), 1), "conv": "direct"}


def test_another_instruction_set_is_said():
    with pytest.warns(UserWarning, match=naming("ABACUS")):
        resume_arithmetic({**arithmetic(), "instructions": "ABACUS"}, "runs/x")


@pytest.mark.parametrize("threads", [0, -1, 0.5, 2.0, True, None, "2", [1], 10**9])
def test_a_number_of_threads_that_is_none_is_said(threads):
    before = torch.get_num_threads()
    with pytest.raises(RunError, match=naming(f"runs/x damaged threads {threads!r} 1 to 4096")):
        resume_arithmetic({**arithmetic(), "threads": threads}, "runs/x")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("conv", ["winograd", None, 3, ["auto"]])
def test_convolutions_that_are_none_are_said(conv):
    with pytest.raises(RunError, match=naming(f"runs/x damaged {conv!r} auto direct")):
        resume_arithmetic({**arithmetic(), "conv": conv}, "runs/x")


@pytest.mark.parametrize("recorded", ["x", [1], 3, {"instructions": "DEFAULT"}])
def test_a_record_of_another_kind_is_said(recorded):
    with pytest.raises(RunError, match=naming("runs/x damaged threads None")):
        resume_arithmetic(recorded, "runs/x")


def test_threads_are_taken_over_for_what_follows():
    torch.set_num_threads(1)
    with pytest.warns(UserWarning, match="began with 2 threads"):
        resume_arithmetic({**arithmetic(), "threads": 2}, "runs/x")
    assert torch.get_num_threads() == 2


def test_experts_continued_under_other_threads_end_with_the_same_bytes(tmp_path):
    splits = load_data("fashion-mini", limit=60)
    recipe = {"epochs": 3, "batch": 16}
    settings = {"count": 1, "recipe_options": recipe, "network_options": {"width": 8}, "device": "cpu"}

    def stop(number, epoch, accuracy):
        if epoch == 1:
            raise KeyboardInterrupt

    torch.set_num_threads(1)
    train_plan(plan(splits, ExpertSettings(out=str(tmp_path / "whole"), **settings)))
    with pytest.raises(KeyboardInterrupt):
        train_plan(plan(splits, ExpertSettings(out=str(tmp_path / "halves"), **settings)), stop)
    torch.set_num_threads(2)
    with pytest.warns(UserWarning, match="began with 1 thread"):
        train_plan(plan(splits, ExpertSettings(out=str(tmp_path / "halves"), **settings)))
    first, second = (tmp_path / name / "expert_000.safetensors" for name in ("whole", "halves"))
    assert first.read_bytes() == second.read_bytes()
