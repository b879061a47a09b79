"""Does the checking of the CUDA kernels bite? Planted bugs, sanitizers, launches that a device would refuse."""

import emulation
import pytest
import torch
from kernel_cases import NEEDS_COMPILER, Resampling, check_bias_act, check_upfirdn2d, random, sanitized

SMOKE = (*emulation.OPERATORS, "upfirdn2d_generic")
# Bugs of launch.cuh: 1 a missing barrier, 2 an off-by-one store, 3 a misaligned vector store. Of those that a kernel
# can have: only tiles have barriers, and the generic kernel stores single elements.
PLANTED = [
    ("upfirdn2d", 1),
    ("upfirdn2d", 2),
    ("upfirdn2d", 3),
    ("upfirdn2d_generic", 2),
    ("bias_act", 2),
    ("bias_act", 3),
]


@NEEDS_COMPILER
@pytest.mark.parametrize("schedule", emulation.SCHEDULES)
@pytest.mark.parametrize(("operator", "bug"), PLANTED)
def test_planted_bugs_are_noticed(emulator, operator, bug, schedule):
    def run() -> None:
        if operator == "bias_act":
            check_bias_act(emulator, random((1, 3, 5, 7), torch.float32), None, 1, "relu", (0.0, 1.0, None))
            check_bias_act(emulator, random((1, 3, 4, 4), torch.float32), None, 1, "relu", (0.0, 1.0, None))
        else:
            up = 3 if operator == "upfirdn2d_generic" else 2
            for shape in ((1, 1, 9, 13), (1, 1, 9, 14)):  # a ragged edge, whole vectors
                case = Resampling(shape, (up, up), (1, 1), 12, (6, 5, 6, 5))
                check_upfirdn2d(emulator, random(case.shape, torch.float32), case.filter(), case)

    emulator.schedule(schedule)
    run()
    emulator.plant(bug)
    with pytest.raises((AssertionError, RuntimeError)):
        run()


REPORTS = {1: "ThreadSanitizer: data race", 2: "heap-buffer-overflow", 3: "misaligned address"}


@pytest.mark.sanitizers
@NEEDS_COMPILER
@pytest.mark.parametrize("operator", SMOKE)
@pytest.mark.parametrize(
    ("sanitizers", "schedule"),
    [("address,undefined", "forward"), ("address,undefined", "shuffled"), ("thread", "threads")],
)
def test_the_sanitizers_are_silent(build_folder, operator, sanitizers, schedule):
    done = sanitized(sanitizers, build_folder, operator, schedule, "0")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.sanitizers
@NEEDS_COMPILER
@pytest.mark.parametrize(("operator", "bug"), PLANTED)
def test_the_sanitizers_name_planted_bugs(build_folder, operator, bug):
    tool = ("thread", "threads") if bug == 1 else ("address,undefined", "forward")
    done = sanitized(tool[0], build_folder, operator, tool[1], str(bug))
    assert done.returncode != 0
    assert REPORTS[bug] in done.stderr


# ---- the emulator itself

MISUSE = [
    "1 to 1024 threads",
    "larger than a device takes",
    "empty grid",
    "too much dynamic shared memory",
    "some threads of the block have ended",
    "wait at different lines",
    "misaligned vector store",
]


@NEEDS_COMPILER
@pytest.mark.parametrize("schedule", emulation.SCHEDULES)
@pytest.mark.parametrize(("kind", "message"), list(enumerate(MISUSE)), ids=MISUSE)
def test_misuse_is_an_error(emulator, kind, message, schedule):
    emulator.schedule(schedule)
    with pytest.raises(RuntimeError, match=message):
        emulator.call("misuse", kind)


@NEEDS_COMPILER
def test_a_kernel_error_is_an_exception(emulator):
    x = random((1, 1, 4, 4), torch.float32)
    with pytest.raises(RuntimeError, match="order 1 and 2, not 3"):
        emulator.bias_act_grad(x, x, None, 1, "relu", 0.0, 1.0, None, 3)
