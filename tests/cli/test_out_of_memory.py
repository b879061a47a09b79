"""Where memory ends the command says so in one line, and a search of settings goes on with its next trial."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

from glad.cli.mistakes import LESS_MEMORY, OneLineCommand
from glad.tuning.measuring import Measuring, measure_timed

OF_A_GPU = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 23.69 GiB of which 4.12 GiB is "
    "free. Including non-PyTorch memory, this process has 19.57 GiB memory in use. See the documentation."
)
KINDS = {
    "GPU": torch.OutOfMemoryError(OF_A_GPU),
    "torch": RuntimeError("[enforce fail] can't allocate memory: you tried to allocate 5368709120 bytes."),
    "numpy": MemoryError("Unable to allocate 5.00 GiB for an array with shape (5,)"),
    "Python": MemoryError(),
}
SAID = {
    "GPU": "Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 23.69 GiB of which 4.12 GiB is free.",
    "torch": "5.0 GiB were asked for.",
    "numpy": "Unable to allocate 5.00 GiB for an array with shape (5,).",
    "Python": "no memory is left.",
}


def raising(error: Exception) -> Callable[..., float]:
    def fail(*_: object) -> float:
        raise error

    return fail


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_says_in_one_line_how_much_was_asked_for_and_what_takes_less(kind: str) -> None:
    result = CliRunner().invoke(OneLineCommand("run", callback=raising(KINDS[kind])))
    assert (result.exit_code, result.output) == (1, f"Error: out of memory: {SAID[kind]} {LESS_MEMORY}\n")


def test_torch_says_it_as_this_reads_it() -> None:
    result = CliRunner().invoke(OneLineCommand("run", callback=lambda: torch.empty(2**60, dtype=torch.uint8)))
    assert result.output.startswith("Error: out of memory: 1,073,741,824.0 GiB were asked for.")


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    result = CliRunner().invoke(OneLineCommand("run", callback=raising(RuntimeError("shapes differ"))))
    assert isinstance(result.exception, RuntimeError) and not isinstance(result.exception, click.ClickException)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_that_runs_out_of_memory_is_a_failed_trial(kind: str, tmp_path: Path) -> None:
    found = measure_timed(Measuring(raising(KINDS[kind])), {}, 1, tmp_path, [0])
    assert found.accuracy == 0.0 and found.reason in (str(KINDS[kind]), "MemoryError")


def test_a_trial_that_fails_otherwise_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        measure_timed(Measuring(raising(RuntimeError("shapes differ"))), {}, 1, tmp_path, [0])
