"""The CPU kernels under sanitizers: silent over a sweep of random calls, and loud where a bug is planted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cpu_sweep
import emulation
import pytest
from cpu_sweep import BUGS, CLANG_MEMORY, FAMILIES, MEMORY, NUMBERS, OVERFLOW, RACE, THREADS, Build
from kernel_cases import NEEDS_COMPILER

from cuda_ops import _build, _cache
from cuda_ops._progress import BuildProgress

CALLS = 60  # random ones of a family


@pytest.mark.sanitizers
@NEEDS_COMPILER
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sanitizers", [MEMORY, THREADS])
def test_the_sanitizers_are_silent(build_folder, sanitizers, family):
    program = cpu_sweep.program(Build(str(emulation.compiler()), sanitizers), build_folder)
    done = cpu_sweep.run(program, family, CALLS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "baseline\n", "")


def check_planted(compiler, name, folder):
    bug = BUGS[name]
    program = cpu_sweep.program(Build(compiler, bug.sanitizers), folder)
    done = cpu_sweep.run(program, bug.family, CALLS, NUMBERS[name])
    assert done.returncode != 0
    assert bug.report in done.stderr


@pytest.mark.sanitizers
@NEEDS_COMPILER
@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.sanitizers != CLANG_MEMORY])
def test_the_sanitizers_name_planted_bugs(build_folder, name):
    check_planted(str(emulation.compiler()), name, build_folder)


def test_every_family_has_a_store_outside_and_a_race_planted():
    assert {(bug.family, bug.report) for bug in BUGS.values()} >= {(f, r) for f in FAMILIES for r in (OVERFLOW, RACE)}


# ---- other compilers, every instruction set, and the library itself: minutes of compiling


@pytest.mark.slow
@pytest.mark.parametrize("name", ["g++", "clang++"])
@pytest.mark.parametrize("sanitizers", [MEMORY, THREADS, CLANG_MEMORY])
def test_the_sources_as_they_are_by_every_compiler_for_every_instruction_set(build_folder, sanitizers, name):
    """Optimized, as compilers then assume that nothing undefined happens; "memory" is Clang's alone."""
    file = cpu_sweep.program(Build(name, sanitizers, "-O1", every_isa=True, planted=False), build_folder)
    best = cpu_sweep.run(file, "norm_pool", 1).stdout.strip()
    isas = list(_build.ISAS)
    for isa in isas[: isas.index(best) + 1]:
        for family in FAMILIES:
            done = cpu_sweep.run(file, family, 1000, isa=isa)
            assert (done.returncode, done.stdout, done.stderr) == (0, f"{isa}\n", ""), (isa, family)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_the_sanitizers_of_clang_name_planted_bugs(build_folder, name):
    check_planted("clang++", name, build_folder)


SWEEP = """
import sys
sys.path[:0] = sys.argv[1:]
import torch
import test_norm_relu_pool, test_operators
from cuda_ops import _library
for name in ("upfirdn2d", "upfirdn2d_with_a_filter_in_two_dimensions", "filtered_lrelu", "bias_act"):
    getattr(test_operators, "test_" + name)()
test_operators.test_thread_counts_and_stripes_give_the_same_bits()
for shape in test_norm_relu_pool.SHAPES:
    test_norm_relu_pool.test_values_and_two_derivatives_are_those_of_plain_torch(shape, torch.float32, 2e-3)
print(_library.status()["cpu"].file)
"""


@pytest.mark.slow
def test_the_property_sweep_runs_on_a_library_under_sanitizers(tmp_path, build_folder):
    """The whole CPU library, checks of the arguments included, in a process that has g++'s sanitizer loaded first."""
    build = Build("g++", MEMORY, "-O1")  # at -O3 the sanitizers take compiling beyond half an hour
    cpu_sweep.require(build, build_folder)
    wrapper = build_folder / "g++-sanitized"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("g++")} "$@" {" ".join(build.flags())}\n')
    wrapper.chmod(0o755)
    environ = {**os.environ, "CXX": str(wrapper), "GLAD_OPS": "fused"}
    environ["GLAD_OPS_CACHE"] = str(build_folder / "sanitized")
    library = _cache.obtain(_build.cpu_plan(environ=environ), BuildProgress("cpu", 120), environ)
    assert b"__asan_report_store" in library.read_bytes()
    found = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    environ |= {"LD_PRELOAD": found.strip(), "ASAN_OPTIONS": "detect_leaks=0", "GLAD_EXAMPLES": "60"}
    here = Path(__file__).parent
    command = [sys.executable, "-c", SWEEP, str(here), str(here.parent / "helpers")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == str(library)
