"""``glad evaluate`` and ``glad protocols``: what they print, and that the documentation's commands are understood."""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from distilled_sets import fails, invoke
from errors import mentions
from evaluations import evaluate
from report_runs import Page

import glad
from glad.cli import main
from glad.evaluation import PROTOCOLS, Protocol, read_protocol
from glad.evaluation.results_store import read_results
from glad.reports.commands import protocol_file, same_evaluation_command
from glad.reports.run_data import read

COMMAND = ["--networks", "convnet", "--network-option", "convnet.width=4", "--split", "validation", "--seeds", "1"]
COMMAND += ["--epochs", "1", "--full-epochs", "1", "--device", "cpu"]


def test_the_command_prints_tables_and_sentences(codes):
    options = ["--scores", "--cost", "--hybrid", "1", "--label-mode", "soft", "--baselines", "herding"]
    output = invoke("evaluate", codes.path, *COMMAND, *options)
    for stated in (
        *("1 epochs, 1 seed, soft labels", "Paired differences", "LRS", "HLR", "ARS", "codes + 1 % of the real"),
        *("features of a trained convnet", "To reach a test accuracy of", "Training on the full data"),
        *("The distillation took", "Teacher: convnet, 1 epochs on the full data", "results.json"),
    ):
        assert stated in output, stated
    assert "codes, convnet, seed 0: " in output and "set:codes" not in output
    message = fails("evaluate", codes.path, *COMMAND, "--hybrid", "1;2")
    assert mentions(message, "'1;2' 1,5,10")
    (codes.path.parent / "empty").mkdir(exist_ok=True)
    message = fails("evaluate", codes.path.parent / "empty", *COMMAND)
    assert mentions(message, "--data NAME")


def test_the_commands_and_options_of_the_docs_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "EVALUATION.md").read_text()
    for name in ("runs/codes", "their-images", "their-set.npz"):
        (tmp_path / name).mkdir(parents=True)
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [line.split() for line in blocks.splitlines() if line]
    assert len(lines) == 10
    for _, command, *arguments in lines:
        main.commands[command].make_context(command, arguments)
    stated = CliRunner().invoke(main, ["evaluate", "--help"]).output
    named = set(re.findall(r"`(--[a-z][a-z-]+)", text))
    assert named and named <= set(re.findall(r"--[a-z][a-z-]+", stated))


def test_protocols_are_printed_and_evaluated_under(codes, tmp_path):
    listed = invoke("protocols")
    assert all(name in listed for name in PROTOCOLS) and "cross 0.001" in listed
    for name, protocol in PROTOCOLS.items():
        (tmp_path / f"{name}.yaml").write_text(CliRunner().invoke(main, ["protocols", name]).output)
        assert read_protocol(tmp_path / f"{name}.yaml") == protocol
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({**Protocol(epochs=2, batch=5).to_dict(), "schedule": "step"}))
    output = invoke("evaluate", codes.path, *COMMAND[:-6], "--seeds", "1", "--device", "cpu", "--protocol", mine)
    assert "2 epochs, 1 seed, protocol mine.json" in output
    (found,) = read_results(codes.path / "results.json")
    assert found["settings"]["protocol"] == {**Protocol(epochs=2, batch=5, schedule="step").to_dict()}
    assert f"--protocol {mine}" in same_evaluation_command(*facts(codes))
    mine.write_text("{batch: 1, bach: 2}")
    assert "sets bach, which no protocol has; did you mean batch?" in fails("protocols", mine)
    message = "protocol: 'mine' is unknown; choose from default, dc, glad, or name a file (my.yaml)"
    assert message in fails("evaluate", codes.path, "--protocol", "mine")


def test_networks_that_are_not_evaluated_are_refused_or_said(codes, monkeypatch):
    for option, name in (("--network-option", "network_options"), ("--lr", "learning_rate")):
        given = "resnet19=0.1" if name == "learning_rate" else "resnet19.width=16"
        said = fails("evaluate", codes.path, *COMMAND, option, given)
        assert mentions(said, f"{name} 'resnet19' did you mean 'resnet18'") and "Note" not in said
    monkeypatch.setattr("glad.api.evaluate_runs", lambda *_: _stop())
    said = fails("evaluate", codes.path, *COMMAND, "--network-option", "vit.width=16", "--lr", "vgg11=0.1")
    assert mentions(said, "Note: network_options vit") and mentions(said, "Note: learning_rate vgg11")
    assert "convnet" not in said


def _stop():
    raise ValueError("far enough")


def facts(run):
    (found,) = read([run])
    return found, found.results


def test_a_protocol_without_a_name_is_written_out_by_the_report(codes):
    evaluate(codes, seeds=1, epochs=None, protocol=Protocol(epochs=1, batch=3))
    data, results = facts(codes)
    assert "--protocol protocol.yaml" in same_evaluation_command(data, results)
    assert yaml.safe_load(protocol_file(results))["batch"] == 3
    page = Page(glad.report(codes, codes.path / "page.html").read_text()).text
    assert "The protocol of the evaluation, to be kept as protocol.yaml" in page and "batch: 3" in page


@pytest.mark.parametrize("in_a_file", [False, True])
def test_former_names_of_options_are_understood(codes, tmp_path, in_a_file):
    old = ["--recipe", "soft", "--same", "alexnet"]
    if in_a_file:
        (tmp_path / "old.yaml").write_text("recipe: soft\nsame: alexnet\n")
        old = ["--config", str(tmp_path / "old.yaml")]
    result = CliRunner().invoke(main, ["evaluate", str(codes.path), *COMMAND, *old])
    assert result.exit_code == 0, result.output
    assert "soft labels" in result.stdout
    if not in_a_file:
        assert mentions(result.stderr, "--recipe --label-mode --same --seen")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--lr", "-1"], "learning_rate 0 -1.0"),
        (["--lr", "vit=nan"], "learning_rate.vit 0 nan"),
        (["--limit", "0"], "limit 1 0"),
        (["--network-option", "convnet.width=0"], "convnet: width 1 0"),
    ],
)
def test_a_number_without_sense_is_one_line(codes, options, said):
    output = fails("evaluate", codes.path, *COMMAND, *options)
    assert mentions(output, said) and "Traceback" not in output


def test_a_seed_that_is_named_twice_is_refused(codes):
    with pytest.raises(ValueError, match="seed 1 twice"):
        glad.evaluate(codes.path, seeds=(1, 1))
    assert "'4,7,4' has seed 4 twice" in fails("evaluate", codes.path, *COMMAND, "--seeds", "4,7,4")
