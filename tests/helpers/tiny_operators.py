"""An operator and a compiler small enough for tests, and machines that have them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.torch_version import TorchVersion

from cuda_ops import _build, _toolchain
from cuda_ops._library import Libraries, Operator
from cuda_ops._progress import BuildProgress
from cuda_ops._toolchain import BuildError

ROOT = Path(__file__).parents[2]
BARE = {"HOME": "/dev/null/home", "TMPDIR": "/dev/null/tmp", "PATH": ""}  # a machine with nothing on it
OPS = """
#include <torch/csrc/stable/library.h>
STABLE_TORCH_LIBRARY({namespace}, m) {{
  m.def("scale(Tensor x, float by) -> Tensor");
}}
"""
KERNEL = """
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
extern "C" __attribute__((visibility("default"))) const char* glad_cpu_isa() {{ return "tiny"; }}
static torch::stable::Tensor scale(torch::stable::Tensor x, double by) {{
  auto y = torch::stable::empty_like(x);
  for (int64_t i = 0; i < x.numel(); i++) y.mutable_data_ptr<float>()[i] = float(by) * x.const_data_ptr<float>()[i];
  return y;
}}
STABLE_TORCH_LIBRARY_IMPL({namespace}, CPU, m) {{ m.impl("scale", TORCH_BOX(&scale)); }}
"""


# Stands for a compiler: notes what it is asked to compile and writes a file that is no library.
COMPILER = """#!/bin/sh
case "$*" in *--version*) echo '{version}'; exit;; *-dM*) printf '{macros}'; exit;; esac
echo "$*" >> '{log}'
{body}
while [ $# -gt 1 ]; do if [ "$1" = -o ]; then echo made > "$2"; fi; shift; done
"""


def has_compiler():
    try:
        return bool(_toolchain.find_cxx())
    except BuildError:
        return False


TOO_OLD = TorchVersion(torch.__version__) < _build.OLDEST_TORCH
needs_libraries = pytest.mark.skipif(TOO_OLD, reason=f"torch is older than {_build.OLDEST_TORCH}")
needs_compiler = pytest.mark.skipif(
    TOO_OLD or not has_compiler(),
    reason=f"torch is older than {_build.OLDEST_TORCH}" if TOO_OLD else "there is no C++20 compiler",
)


def make_sources(folder, namespace):
    (folder / "cpu").mkdir(parents=True)
    (folder / "ops.cpp").write_text(OPS.format(namespace=namespace))
    (folder / "cpu" / "scale.cpp").write_text(KERNEL.format(namespace=namespace))
    return folder


def make_program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_compiler(folder, version="g++ (Debian 12.2.0-14) 12.2.0", body="", name="c++", macros=""):
    """A program that passes for a compiler; what it was asked for goes to the file ``log`` beside it."""
    return make_program(folder / name, COMPILER.format(version=version, body=body, macros=macros, log=folder / "log"))


def compilations(folder):
    return (folder / "log").read_text().count(" -c ") if (folder / "log").exists() else 0


def setup_context(ctx, inputs, output):
    ctx.by = inputs[1]


class NoBuild(BuildProgress):
    """Of a library that is to be found: building it, or waiting for another process to, is a failure."""

    def compiling(self, done, total):
        pytest.fail("built again")

    waiting = compiling


NO_BUILD = NoBuild("cpu", 1)


def make_libraries(namespace, csrc, environ, prebuilt=Path("/dev/null")):
    """A library set with one operator, ``scale``, whose reference can be told from its kernel: it is off by one."""
    libraries = Libraries(namespace, csrc, prebuilt, environ)
    scale = getattr(torch.ops, namespace)
    libraries.register(
        Operator(
            "scale",
            reference=lambda x, by: x * by + 1,
            fake=lambda x, by: torch.empty_like(x),
            backward=lambda ctx, g: (scale.scale(g, ctx.by), None),
            setup_context=setup_context,
        )
    )
    return libraries


def run_python(code, *arguments, **environ):
    environ = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environ}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environ}, timeout=120)
