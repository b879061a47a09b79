"""Hostile pickles: nothing of them runs, and none takes much memory."""

import json
import random
import re
from pathlib import Path

import forked
import fuzz_unpickle
import official_pickles
import pytest
from errors import naming
from fixtures import tiny_generator
from hostile_pickles import everything

from generators.inert import MemoryBudget, PickleError
from generators.unpickle import load

READ_ALL = """
import json, re, resource, sys
from pathlib import Path
from generators import official
from generators.weights import WeightsError

FORBIDDEN = re.compile("os.(system|exec|fork|posix_spawn|spawn)|subprocess|pickle|ctypes|socket|exec|compile|open$")
names, genuine, armed = json.loads(sys.argv[1]), sys.argv[2], []

def hook(event, arguments):
    if armed and FORBIDDEN.match(event) and not (event == "open" and str(arguments[0]) in armed):
        print(json.dumps({armed[0]: f"FORBIDDEN {event} {arguments}"}), flush=True)

sys.addaudithook(hook)
official.read(genuine)  # whatever torch imports at its first use
status = Path("/proc/self/status")
for path in names:
    used = int(re.search(r"VmSize:\\s+(\\d+)", status.read_text())[1]) * 1024
    limit = used + 512 * 2**20 + Path(path).stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    armed.append(path)
    try:
        official.read(path)
        outcome = "read"
    except WeightsError as error:
        outcome = f"refused: {error}"
    except BaseException as error:
        outcome = repr(error)
    armed.clear()
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps([path, outcome]), flush=True)
"""


linux = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is limited by Linux's means")


def read_apart(folder, contents):
    """What a process with 512 MB beside each file says of ``contents``, in order; it must live to the end."""
    files = [folder / f"{i}.pkl" for i in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    genuine = official_pickles.write(folder / "genuine.pkl", tiny_generator(), with_d=True)
    done = forked.run(READ_ALL, json.dumps([*map(str, files), str(genuine)]), genuine, PYTHONWARNINGS="default")
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    stated = [json.loads(line) for line in done.stdout.splitlines()]
    assert [path for path, _ in stated] == [*map(str, files), str(genuine)]  # and nothing forbidden in between
    assert stated[-1][1] == "read"
    return [outcome.replace(f"{path}: ", "", 1) for path, outcome in stated[:-1]]


@linux
@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_hostile_file_runs_anything_or_takes_half_a_gigabyte(tmp_path, large):
    sentinel = tmp_path / "sentinel"
    cases = everything(f"echo executed > {sentinel}")
    cases = {name: case for name, case in cases.items() if name.startswith(("many", "deep", "wide")) == large}
    assert len(cases) > (10 if large else 150)
    outcomes = read_apart(tmp_path, [content for content, _ in cases.values()])
    for (name, (_, message)), outcome in zip(cases.items(), outcomes, strict=True):
        assert re.match(f"refused: not readable as a generator: .*(?:{message})", outcome), (name, outcome)
        assert len(outcome) < 600, name
        assert "\n" not in outcome, name
    assert not sentinel.exists()


def test_a_budget_covers_all_the_pickles_of_a_file():
    budget = MemoryBudget(10_000)
    load(memoryview(b"\x80\x04" + b"N0" * 10 + b"N."), 0, budget)
    with pytest.raises(PickleError, match=naming("0 MB")):
        load(memoryview(b"\x80\x04" + b"N0" * 20 + b"N."), 0, budget)


# The fuzzer's cases are functions of a seed: a few of each kind, and whatever it finds.
SEEDS = [f"0/{case}" for case in range(40)]


def test_some_cases_of_the_fuzzer(tmp_path):
    files, outcomes = fuzz_unpickle.genuine(), set()
    for seed in SEEDS:
        _, content = fuzz_unpickle.draw(random.Random(seed), files, files)
        outcomes.add(fuzz_unpickle.check(tmp_path / "g.pkl", content))
    assert outcomes == {"read", "refused"}
