"""The compilers that are found, what they are asked for, and what is said of their errors."""

import os
import sys
from pathlib import Path

import pytest
import torch
from errors import naming
from tiny_operators import make_compiler, make_libraries, make_program, make_sources, needs_libraries

from cuda_ops import _build, _cache, _library, _prebuilt, _toolchain
from cuda_ops._library import JIT
from cuda_ops._progress import BuildProgress
from cuda_ops._toolchain import BuildError, Compiler


@pytest.mark.parametrize(
    ("version", "compiler"),
    [
        ("g++ (Debian 12.2.0-14) 12.2.0", ("g++", "12.2.0")),
        ("g++ (GCC) 11.4.1 20231218 (Red Hat 11.4.1-3)", ("g++", "11.4.1")),
        ("x86_64-conda-linux-gnu-c++ (conda-forge gcc 13.3.0-1) 13.3.0", ("g++", "13.3.0")),
        ("Ubuntu clang version 14.0.0-1ubuntu1.1", ("clang++", "14.0.0")),
        ("Apple clang version 15.0.0 (clang-1500.3.9.4)", ("clang++", "15.0.0")),
    ],
)
def test_compilers_are_known_by_what_they_say(tmp_path, version, compiler):
    make_compiler(tmp_path, version)
    found = _toolchain.find_cxx({"PATH": str(tmp_path)})
    assert (found.family, found.version) == compiler


def test_old_compiler_is_named_and_a_newer_one_taken(tmp_path):
    make_compiler(tmp_path, "c++ (Ubuntu 9.4.0-1ubuntu1~20.04.2) 9.4.0")
    with pytest.raises(BuildError, match=naming("g++ 9.4.0 C++20 CXX")):
        _toolchain.find_cxx({"PATH": str(tmp_path)})
    newer = make_compiler(tmp_path, "clang version 16.0.6", name="clang++")
    assert _toolchain.find_cxx({"PATH": str(tmp_path)}).command == (str(newer),)
    with pytest.raises(BuildError, match="too old"):
        _toolchain.find_cxx({"PATH": str(tmp_path), "CXX": "c++ -m64"})
    with pytest.raises(BuildError, match=naming("CXX=icc")):
        _toolchain.find_cxx({"PATH": str(tmp_path), "CXX": "icc"})


def test_compiler_that_does_not_run_is_a_cause(tmp_path):
    make_program(tmp_path / "c++", "#!/bin/sh\nexit 3\n")
    with pytest.raises(BuildError, match=naming("exit 3")):
        _toolchain.find_cxx({"PATH": str(tmp_path)})


@needs_libraries
def test_no_ninja_is_a_cause(tmp_path, csrc, namespace, environ, monkeypatch):
    monkeypatch.setitem(sys.modules, "ninja", None)
    environ = {**environ, "PATH": str(tmp_path / "bin")}
    with pytest.warns(_library.SlowOperatorsWarning, match=naming("ninja pip install ninja")):
        make_libraries(namespace, csrc, environ).load("cpu")


@needs_libraries
def test_first_error_of_the_compiler_is_shown_with_the_log(tmp_path, csrc, namespace, environ):
    body = "echo 'In file included from here'; echo 'scale.cpp:3:1: error: no such thing'; exit 1"
    make_compiler(tmp_path / "bin", body=body)
    with pytest.warns(_library.SlowOperatorsWarning, match=naming("scale.cpp:3:1")) as caught:
        make_libraries(namespace, csrc, environ).load("cpu")
    log = str(caught[0].message).partition("The whole log: ")[2].partition("\n")[0]
    assert "In file included from here" in Path(log).read_text()


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            "[1/2] ops.o\nFAILED: ops.o \na.cpp:1: warning: w\na.cpp:2:3: fatal error: x.h: No such file\n",
            "a.cpp:2:3: fatal",
        ),
        ("nvcc fatal   : Unsupported gpu architecture 'compute_70'\nninja: build stopped.", "nvcc fatal"),
        ("/bin/ld: a.o: undefined reference to `f'\nninja: build stopped: error.\n", "/bin/ld: a.o"),
        ("[1/2] ops.o\nFAILED: ops.o \nKilled\nninja: build stopped: subcommand failed.\n", "Killed"),
        ("", "no output"),
    ],
)
def test_line_of_the_log_that_says_most(log, line):
    assert _build._first_error(log).startswith(line)


def test_kernels_are_compiled_once_per_instruction_set(csrc, environ, monkeypatch):
    (csrc / "cpu" / "kernels.cpp").touch()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    objects = _build.cpu_plan(csrc, environ).objects
    # An inline function that several objects contain is linked from the first: it must run everywhere.
    assert list(objects) == ["operators.o", *(f"cpu_kernels.cpp.{isa}.o" for isa in ("baseline", "avx2", "avx512"))]
    assert [any(flag.startswith("-mavx") for flag in command) for command in objects.values()] == [0, 0, 1, 1]
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    objects = _build.cpu_plan(csrc, environ).objects
    assert list(objects) == ["operators.o", "cpu_kernels.cpp.baseline.o"]
    assert all("-DGLAD_ONLY=baseline" in command for command in objects.values())


AVX2 = "#define __AVX2__ 1\n#define __FMA__ 1\n#define __F16C__ 1\n"
AVX512 = AVX2 + "".join(f"#define __AVX512{part}__ 1\n" for part in ("F", "BW", "VL", "DQ"))


@pytest.mark.parametrize(
    ("macros", "named", "isa"),
    [
        ("#define __SSE2__ 1\n", "", "baseline"),
        (AVX2, "", "avx2"),
        (AVX512, "", "avx512"),
        (AVX512.replace("VL", "CD"), "", "avx2"),
        (AVX512, "avx2", "avx2"),
        (AVX512, "baseline", "baseline"),
        (AVX2, "avx512", "avx2"),
    ],
)
def test_a_library_for_this_machine_has_one_instruction_set(tmp_path, csrc, environ, monkeypatch, macros, named, isa):
    (csrc / "cpu" / "kernels.cpp").touch()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    make_compiler(tmp_path / "bin", macros=macros)
    objects = _build.cpu_plan(csrc, {**environ, "GLAD_ISA": named}, local=True).objects
    assert list(objects) == ["operators.o", f"cpu_kernels.cpp.{isa}.o"]
    assert all(f"-DGLAD_ONLY={isa}" in command for command in objects.values())


def test_names_with_spaces_and_dollars_are_compiled(tmp_path, environ):
    csrc = make_sources(tmp_path / "a $b 'c'", "glad_names")
    assert _cache.obtain(_build.cpu_plan(csrc, environ), BuildProgress("cpu", 1), environ).is_file()
    assert f"-include {csrc}/cpu/scale.cpp -c {csrc}/ops.cpp " in (tmp_path / "bin" / "log").read_text()


def make_nvcc(folder, release):
    body = "#!/bin/sh\nif [ $1 = --list-gpu-arch ]; then echo compute_80; echo compute_90; exit; fi\n"
    return make_program(folder / "nvcc", f"{body}echo 'Cuda compilation tools, release {release}, V{release}.88'\n")


@pytest.fixture
def nvcc(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(_toolchain, "wheel_folder", lambda major: tmp_path / "wheel")
    return make_nvcc(tmp_path / "cuda" / "bin", "13.1") if (tmp_path / "cuda").mkdir() is None else None


def test_nvcc_of_torchs_major_version_is_taken(tmp_path, nvcc):
    old = make_nvcc(tmp_path / "old", "12.8").parent
    assert _toolchain.find_nvcc({"PATH": str(old), "CUDA_HOME": str(tmp_path / "cuda")}).command == (str(nvcc),)
    with pytest.raises(BuildError, match=naming("CUDA 13.0 nvcc 12.8")):
        _toolchain.find_nvcc({"PATH": str(old)})
    with pytest.raises(BuildError, match=naming("nvcc")):
        _toolchain.find_nvcc({"PATH": ""})
    wheel = make_nvcc(tmp_path / "wheel" / "bin", "13.0") if (tmp_path / "wheel").mkdir() is None else None
    assert _toolchain.find_nvcc({"PATH": str(old)}).command == (str(wheel),)


def test_architectures_are_asked_for_or_found(nvcc, monkeypatch):
    compiler = Compiler((str(nvcc),), "nvcc", "13.1")
    assert _toolchain.cuda_archs(compiler, {"TORCH_CUDA_ARCH_LIST": "8.0; 9.0a 12.0+PTX"}) == (
        "8.0",
        "9.0a",
        "12.0+PTX",
    )
    with pytest.raises(BuildError, match=naming("'Hopper'")):
        _toolchain.cuda_archs(compiler, {"TORCH_CUDA_ARCH_LIST": "Hopper"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _toolchain.cuda_archs(compiler, {}) == ("8.0", "9.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: (9, 0))
    assert _toolchain.cuda_archs(compiler, {}) == ("9.0",)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: (7, 0))
    with pytest.raises(BuildError, match=naming("7.0")):
        _toolchain.cuda_archs(compiler, {})


def test_code_for_architectures():
    assert _toolchain.gencode("9.0") == ("-gencode=arch=compute_90,code=sm_90",)
    assert _toolchain.gencode("12.0+PTX")[1] == "-gencode=arch=compute_120,code=compute_120"
    runs = [("8.0", (8, 6)), ("8.0+PTX", (9, 0)), ("9.0a", (9, 0))]
    assert all(_prebuilt._runs_on(arch, device) for arch, device in runs)
    assert not any(
        _prebuilt._runs_on(a, d) for a, d in [("8.6", (8, 0)), ("8.0", (9, 0)), ("9.0+PTX", (8, 0)), ("9.0a", (9, 1))]
    )


TINY_CUDA = """
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>
__global__ void kernel(float* x) {{ *x = 0; }}
static torch::stable::Tensor scale(torch::stable::Tensor x, double by) {{
  kernel<<<1, 1>>>(x.mutable_data_ptr<float>());
  return x;
}}
STABLE_TORCH_LIBRARY_IMPL({namespace}, CUDA, m) {{ m.impl("scale", TORCH_BOX(&scale)); }}
"""


@pytest.mark.slow
def test_cuda_library_is_compiled_linked_and_loaded(tmp_path, csrc, namespace):
    environ = {**os.environ, "GLAD_OPS_CACHE": str(tmp_path), "GLAD_OPS": "reference", "TORCH_CUDA_ARCH_LIST": "9.0"}
    try:
        _toolchain.find_nvcc()
    except BuildError as error:
        pytest.skip(str(error))
    (csrc / "cuda").mkdir()
    (csrc / "cuda" / "scale.cu").write_text(TINY_CUDA.format(namespace=namespace))
    libraries = make_libraries(namespace, csrc, environ)
    libraries.load("cpu")
    environ["GLAD_OPS"] = "fused"
    libraries.load("cuda")
    assert libraries.served["cuda"].by == JIT
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"{namespace}::scale", "CUDA")
