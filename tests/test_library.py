"""How the operators' libraries are found, built, kept and replaced, on sources and compilers small enough for tests."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch

from cuda_ops import _build, _cache, _library, _prebuilt, _toolchain
from cuda_ops._library import JIT, PREBUILT, REFERENCE, Libraries, Operator, OperatorsUnavailableError
from cuda_ops._toolchain import BuildError, Compiler

ROOT = Path(__file__).parent.parent
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
case "$*" in *--version*) echo '{version}'; exit;; esac
echo "$*" >> '{log}'
{body}
while [ $# -gt 1 ]; do if [ "$1" = -o ]; then echo made > "$2"; fi; shift; done
"""


def has_compiler():
    try:
        return bool(_toolchain.find_cxx())
    except BuildError:
        return False


needs_compiler = pytest.mark.skipif(not has_compiler(), reason="there is no C++20 compiler")


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


def make_compiler(folder, version="g++ (Debian 12.2.0-14) 12.2.0", body="", name="c++"):
    """A program that passes for a compiler; what it was asked for goes to the file ``log`` beside it."""
    return make_program(folder / name, COMPILER.format(version=version, body=body, log=folder / "log"))


def compilations(folder):
    return (folder / "log").read_text().count(" -c ") if (folder / "log").exists() else 0


def setup_context(ctx, inputs, output):
    ctx.by = inputs[1]


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


@pytest.fixture
def namespace(request):
    return f"glad_{request.node.name}".replace("[", "_").replace("]", "").replace("-", "_")


@pytest.fixture
def csrc(tmp_path, namespace):
    return make_sources(tmp_path / "csrc", namespace)


@pytest.fixture
def environ(tmp_path):
    """A machine with a compiler that pretends, and a cache."""
    compiler = make_compiler(tmp_path / "bin")
    path = f"{compiler.parent}:{os.environ['PATH']}"
    return {"PATH": path, "CXX": str(compiler), "GLAD_OPS_CACHE": str(tmp_path / "cache")}


def run_python(code, *arguments, **environ):
    environ = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environ}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environ}, timeout=120)


# What is chosen


def test_importing_starts_nothing_and_loads_nothing():
    code = """
import sys, torch
def watch(event, arguments):
    assert event not in ("subprocess.Popen", "ctypes.dlopen", "os.mkdir"), (event, arguments)
sys.addaudithook(watch)
import cuda_ops
from cuda_ops import _library
assert not _library.status() and not torch.ops.loaded_libraries
assert "torch._dynamo" not in sys.modules and "torch.utils.cpp_extension" not in sys.modules
assert not torch.cuda.is_initialized()
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@needs_compiler
def test_library_is_compiled_kept_and_used(tmp_path, csrc, namespace, capfd):
    environ = {**os.environ, "GLAD_OPS": "", "GLAD_OPS_CACHE": str(tmp_path)}
    libraries = make_libraries(namespace, csrc, environ)
    libraries.load("cpu")
    x = torch.arange(4.0, requires_grad=True)
    y = getattr(torch.ops, namespace).scale(x, 3.0)
    y.backward(torch.ones(4))
    assert y.tolist() == [0, 3, 6, 9] and x.grad.tolist() == [3] * 4
    served = libraries.served["cpu"]
    assert (served.by, served.isa) == (JIT, "tiny")
    assert served.file.is_relative_to(tmp_path) and "setup.py was not asked" in served.why
    assert capfd.readouterr().err.count("glad: compiling the cpu operators for this machine, once (about") == 1
    recipe = _build.cpu_recipe(csrc, environ)
    assert _cache.obtain(recipe, lambda: pytest.fail("built again"), environ) == served.file


@needs_compiler
def test_library_built_ahead_of_time_comes_first(tmp_path, csrc, namespace):
    file = _prebuilt.make("cpu", tmp_path / "lib", tmp_path / "log", csrc)
    libraries = make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "fused"}, tmp_path / "lib")
    libraries.load("cpu")
    assert (libraries.served["cpu"].by, libraries.served["cpu"].file) == (PREBUILT, file)
    assert getattr(torch.ops, namespace).scale(torch.ones(2), 3.0).tolist() == [3, 3]
    (csrc / "cpu" / "scale.h").touch()
    assert "the sources have changed" in _prebuilt.misfit("cpu", tmp_path / "lib", csrc)


@pytest.mark.parametrize("record", [None, "{", "{}", '{"sources": "other"}'])
def test_prebuilt_library_with_another_record_is_not_loaded(tmp_path, csrc, record):
    (tmp_path / "libglad_cpu.so").write_text("no library")
    if record:
        (tmp_path / "libglad_cpu.json").write_text(record)
    assert _prebuilt.misfit("cpu", tmp_path, csrc)


def test_reference_on_demand_is_silent(csrc, namespace, environ):
    libraries = make_libraries(namespace, csrc, {**environ, "GLAD_OPS": "reference"})
    for device in ("cpu", "cuda", "meta"):
        libraries.load(device)
    x = torch.ones(2, requires_grad=True)
    y = getattr(torch.ops, namespace).scale(x, 3.0)
    y.sum().backward()
    assert y.tolist() == [4, 4] and x.grad.tolist() == [4, 4]
    assert libraries.served["cpu"] == _library.Served(REFERENCE, "GLAD_OPS=reference asks for it")


def test_fused_on_demand_raises_every_time_instead_of_warning(csrc, namespace):
    libraries = make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "fused"})
    for _ in range(2):
        with pytest.raises(OperatorsUnavailableError, match="no C\\+\\+ compiler on PATH\nTo mend it: install g\\+\\+"):
            libraries.load("cpu")
    assert not libraries.served and not hasattr(getattr(torch.ops, namespace), "scale")


def test_unknown_mode_is_refused(csrc, namespace):
    with pytest.raises(ValueError, match="GLAD_OPS must be fused or reference, or not set, not 'slow'"):
        make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "slow"}).load("cpu")


def test_one_warning_with_both_causes_and_the_remedy(csrc, namespace):
    libraries = make_libraries(namespace, csrc, BARE)
    with pytest.warns(_library.SlowOperatorsWarning) as caught:
        for _ in range(3):
            libraries.load("cpu")
    text = str(caught.pop().message)
    assert not caught.list
    assert "No prebuilt library: setup.py was not asked to build one" in text
    assert "No library compiled here: there is no C++ compiler on PATH" in text
    assert "To mend it: install g++ or clang++, or set CXX" in text
    assert getattr(torch.ops, namespace).scale(torch.ones(1), 3.0).item() == 4


def test_operators_are_there_when_the_warning_is_an_error(csrc, namespace):
    libraries = make_libraries(namespace, csrc, BARE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(_library.SlowOperatorsWarning):
            libraries.load("cpu")
        libraries.load("cpu")
    assert getattr(torch.ops, namespace).scale(torch.ones(1), 3.0).item() == 4


def test_cpu_build_of_torch_serves_cuda_by_the_reference_with_a_warning(csrc, namespace, environ, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    libraries = make_libraries(namespace, csrc, {**environ, "GLAD_OPS": "reference"})
    libraries.load("cpu")
    libraries.environ = environ
    with pytest.warns(_library.SlowOperatorsWarning, match="on cuda(.|\n)*torch is built without CUDA") as caught:
        libraries.load("cuda")
        libraries.load("cuda")
    assert len(caught) == 1


def test_old_torch_is_a_cause(csrc, namespace, environ, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.warns(_library.SlowOperatorsWarning, match=r"torch 2.9.1\+cpu is too old .*: 2.10 needed"):
        make_libraries(namespace, csrc, environ).load("cpu")


def test_other_devices_are_served_by_the_reference(csrc, namespace):
    libraries = make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "reference"})
    libraries.load("cpu")
    libraries.environ = {"GLAD_OPS": "fused"}
    libraries.load("meta")
    with pytest.raises(
        OperatorsUnavailableError, match=r"on mps there are none.\nthere are kernels for cpu and cuda only"
    ):
        libraries.load("mps")


def test_threads_load_once(csrc, namespace):
    libraries = make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "reference"})
    threads = [threading.Thread(target=libraries.load, args=["cpu"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(RuntimeError, match="late comes after"):
        libraries.register(Operator("late", torch.clone, torch.empty_like))
    assert getattr(torch.ops, namespace).scale(torch.ones(1), 3.0).item() == 4


@pytest.mark.parametrize("tool", ["compile", "export"])
def test_tracing_loads_and_goes_through(tool):
    code = """
import sys, torch, cuda_ops
from cuda_ops import _library
class Net(torch.nn.Module):
    def forward(self, x):
        return cuda_ops.bias_act(x, act="relu")
x = torch.randn(2, 3)
assert not _library.status()
if sys.argv[1] == "compile":
    net = torch.compile(Net(), fullgraph=True, backend="eager")
else:
    net = torch.export.export(Net(), (x,)).module()
assert torch.allclose(net(x), x.relu() * 2**0.5)
"""
    done = run_python(code, tool, GLAD_OPS="reference", PYTHONWARNINGS="ignore")
    assert done.returncode == 0, done.stderr


def test_diagnosis_says_what_serves_and_why():
    code = "from cuda_ops.diagnosis import diagnose; print(*diagnose(), sep=chr(10))"
    done = run_python(code, PATH="", CXX="", GLAD_OPS="", GLAD_OPS_CACHE="/dev/null/cache", CUDA_VISIBLE_DEVICES="")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and not done.stderr
    if (_prebuilt.FOLDER / "libglad_cpu.so").exists():
        pytest.skip("a library was built ahead of time")
    assert lines[0] == "cpu: reference in plain torch"
    assert lines[1:3] == [
        "  No prebuilt library: setup.py was not asked to build one",
        "  No library compiled here: there is no C++ compiler on PATH",
    ]
    assert lines[3:5] == ["  to mend it: install g++ or clang++, or set CXX", "cuda: not loaded, as there is no device"]
    assert lines[5].startswith("compiler: there is no C++ compiler on PATH; ")
    assert lines[6] == "compiled libraries: /dev/null/cache"


@needs_compiler
def test_schemas_read_are_those_that_the_library_defines(tmp_path):
    code = """
import sys, torch
from pathlib import Path
from cuda_ops import _build, _cache, _library
csrc = Path(sys.argv[1])
torch.ops.load_library(_cache.obtain(_build.cpu_recipe(csrc), lambda: None))
found = list(_library.schemas(csrc / "ops.cpp"))
defined = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("glad::")}
assert defined == {"glad::" + text.partition("(")[0] for text in found} and len(found) == 8
for text in found:
    parsed = torch._C.parse_schema("glad::" + text)
    assert str(torch._C._get_schema(parsed.name, "")) == str(parsed)
"""
    (tmp_path / "csrc").mkdir()
    shutil.copy(_build.CSRC / "ops.cpp", tmp_path / "csrc")
    done = run_python(code, tmp_path / "csrc", GLAD_OPS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr


# Compilers


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
    with pytest.raises(BuildError, match=r"^g\+\+ 9.4.0 is too old: C\+\+20 needed, set CXX$"):
        _toolchain.find_cxx({"PATH": str(tmp_path)})
    newer = make_compiler(tmp_path, "clang version 16.0.6", name="clang++")
    assert _toolchain.find_cxx({"PATH": str(tmp_path)}).command == (str(newer),)
    with pytest.raises(BuildError, match="too old"):
        _toolchain.find_cxx({"PATH": str(tmp_path), "CXX": "c++ -m64"})
    with pytest.raises(BuildError, match="CXX=icc is not a program"):
        _toolchain.find_cxx({"PATH": str(tmp_path), "CXX": "icc"})


def test_compiler_that_does_not_run_is_a_cause(tmp_path):
    make_program(tmp_path / "c++", "#!/bin/sh\nexit 3\n")
    with pytest.raises(BuildError, match=r"does not run: .*exit status 3"):
        _toolchain.find_cxx({"PATH": str(tmp_path)})


def test_no_ninja_is_a_cause(tmp_path, csrc, namespace, environ, monkeypatch):
    monkeypatch.setitem(sys.modules, "ninja", None)
    environ = {**environ, "PATH": str(tmp_path / "bin")}
    with pytest.warns(_library.SlowOperatorsWarning, match="there is no ninja\nTo mend it: pip install ninja"):
        make_libraries(namespace, csrc, environ).load("cpu")


def test_first_error_of_the_compiler_is_shown_with_the_log(tmp_path, csrc, namespace, environ):
    body = "echo 'In file included from here'; echo 'scale.cpp:3:1: error: no such thing'; exit 1"
    make_compiler(tmp_path / "bin", body=body)
    with pytest.warns(_library.SlowOperatorsWarning, match="scale.cpp:3:1: error: no such thing") as caught:
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


def test_kernels_are_compiled_once_per_instruction_set(tmp_path, csrc, environ, monkeypatch):
    (csrc / "cpu" / "kernels.cpp").touch()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    objects = _build.cpu_recipe(csrc, environ).objects
    # An inline function that several objects contain is linked from the first: it must run everywhere.
    assert list(objects)[-3:] == [f"cpu_kernels.cpp.{isa}.o" for isa in ("baseline", "avx2", "avx512")]
    assert [any(flag.startswith("-mavx") for flag in command) for command in objects.values()] == [0, 0, 0, 1, 1]
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    objects = _build.cpu_recipe(csrc, environ).objects
    assert list(objects)[-1] == "cpu_kernels.cpp.baseline.o" and len(objects) == 3
    assert all("-DGLAD_BASELINE_ONLY" in command for command in objects.values())


def test_names_with_spaces_and_dollars_are_compiled(tmp_path, environ):
    csrc = make_sources(tmp_path / "a $b 'c'", "glad_names")
    assert _cache.obtain(_build.cpu_recipe(csrc, environ), lambda: None, environ).is_file()
    assert f"-c {csrc}/ops.cpp " in (tmp_path / "bin" / "log").read_text()


# Libraries that were compiled


def test_key_follows_what_a_library_depends_on(tmp_path, csrc, environ):
    key = _build.cpu_recipe(csrc, environ).key
    shutil.copytree(csrc, tmp_path / "elsewhere")
    assert _build.cpu_recipe(tmp_path / "elsewhere", environ).key == key
    make_compiler(tmp_path / "bin", "g++ (Debian 13.1.0-1) 13.1.0")
    assert _build.cpu_recipe(csrc, environ).key != key
    make_compiler(tmp_path / "bin")
    assert _build.cpu_recipe(csrc, environ).key == key
    (csrc / "cpu" / "new.h").write_text("// new")
    assert _build.cpu_recipe(csrc, environ).key != key


@pytest.mark.parametrize("damage", ["truncated", "record", "gone"])
def test_damaged_library_is_built_again(tmp_path, csrc, environ, damage):
    recipe = _build.cpu_recipe(csrc, environ)
    library = _cache.obtain(recipe, lambda: None, environ)
    if damage == "truncated":
        library.write_bytes(library.read_bytes()[:2])
    elif damage == "record":
        library.with_suffix(".sha256").write_bytes(b"\xff")
    else:
        library.unlink()
    assert _cache.obtain(recipe, lambda: None, environ).read_text() == "made\n"
    assert compilations(tmp_path / "bin") == 2 * len(recipe.objects)
    _cache.obtain(recipe, lambda: pytest.fail("built a third time"), environ)


def test_library_that_does_not_load_is_built_again_once(tmp_path, csrc, namespace, environ):
    libraries = make_libraries(namespace, csrc, environ)
    with pytest.warns(_library.SlowOperatorsWarning, match="No library compiled here: .*libglad_cpu.so"):
        libraries.load("cpu")
    assert compilations(tmp_path / "bin") == 2 * 2


def test_home_that_cannot_be_written_to_leaves_a_private_folder(tmp_path, csrc, environ):
    (tmp_path / "home").touch()
    del environ["GLAD_OPS_CACHE"]
    environ |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    recipe = _build.cpu_recipe(csrc, environ)
    library = _cache.obtain(recipe, lambda: None, environ)
    folder = tmp_path / f"glad-ops-{os.getuid()}"
    assert library.is_relative_to(folder) and folder.stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o1777)
    assert _cache.obtain(recipe, lambda: pytest.fail("built again"), environ) == library
    folder.chmod(0o777)  # as if somebody else had made it
    with pytest.raises(BuildError, match=r"no folder for compiled libraries: .*this user alone"):
        _cache.obtain(recipe, lambda: None, environ)


def test_cache_folders():
    temporary = Path(f"/t/glad-ops-{os.getuid()}")
    assert _cache.folders({"HOME": "/h", "TMPDIR": "/t"}) == [Path("/h/.cache/glad/ops"), temporary]
    assert _cache.folders({"HOME": "/h", "XDG_CACHE_HOME": "/x", "TMPDIR": "/t"}) == [Path("/x/glad/ops"), temporary]
    assert _cache.folders({"HOME": "/h", "GLAD_OPS_CACHE": "/c"}) == [Path("/c")]
    assert _cache.folders({"TMPDIR": "/t"}) == [temporary]


def test_chosen_folder_that_cannot_be_written_to_is_a_cause(tmp_path, csrc, environ):
    environ["GLAD_OPS_CACHE"] = "/dev/null/cache"
    with pytest.raises(BuildError, match=r"/dev/null/cache \(Not a directory\)"):
        _cache.obtain(_build.cpu_recipe(csrc, environ), lambda: None, environ)


OBTAIN = """
import sys
from pathlib import Path
from cuda_ops import _build, _cache
print(_cache.obtain(_build.cpu_recipe(Path(sys.argv[1])), lambda: None).read_text())
"""


def start(csrc, environ):
    command = [sys.executable, "-c", OBTAIN, str(csrc)]
    environ = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, start_new_session=True)


def test_processes_that_start_together_build_once(tmp_path, csrc, environ):
    make_compiler(tmp_path / "bin", body="sleep 1")
    processes = [start(csrc, environ) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [b"made\n\n"] * 2
    assert compilations(tmp_path / "bin") == 2


def test_killed_builder_blocks_nobody(tmp_path, csrc, environ):
    make_compiler(tmp_path / "bin", body="if [ -e '" + str(tmp_path / "slow") + "' ]; then sleep 60; fi")
    (tmp_path / "slow").touch()
    process = start(csrc, environ)
    try:
        limit = time.monotonic() + 60
        while not compilations(tmp_path / "bin"):
            assert time.monotonic() < limit and process.poll() is None
            time.sleep(0.05)
        process.kill()  # it alone: its compilers live on, and hold no lock
        process.communicate()
        (tmp_path / "slow").unlink()
        recipe = _build.cpu_recipe(csrc, environ)
        entry = tmp_path / "cache" / recipe.key
        assert len(list(entry.glob("build-*"))) == 1
        assert _cache.obtain(recipe, lambda: None, environ).read_text() == "made\n"
        assert not list(entry.glob("build-*"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_file_system_without_locks(tmp_path, csrc, environ, monkeypatch):
    def flock(file, operation):
        raise OSError("no locks available")

    monkeypatch.setattr(_cache.fcntl, "flock", flock)
    assert _cache.obtain(_build.cpu_recipe(csrc, environ), lambda: None, environ).read_text() == "made\n"


# CUDA


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
    with pytest.raises(BuildError, match=r"torch is built for CUDA 13.0, but there is nvcc 12.8"):
        _toolchain.find_nvcc({"PATH": str(old)})
    with pytest.raises(BuildError, match="there is no nvcc"):
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
    with pytest.raises(BuildError, match="'Hopper', which is no compute capability"):
        _toolchain.cuda_archs(compiler, {"TORCH_CUDA_ARCH_LIST": "Hopper"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _toolchain.cuda_archs(compiler, {}) == ("8.0", "9.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: (9, 0))
    assert _toolchain.cuda_archs(compiler, {}) == ("9.0",)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: (7, 0))
    with pytest.raises(BuildError, match=r"does not compile for a device of compute capability 7.0"):
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


# setup.py


def run_setup(folder, *arguments, **environ):
    pytest.importorskip("setuptools", minversion="77")
    command = [sys.executable, "setup.py", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environ}, timeout=120
    )


@pytest.fixture
def project(tmp_path):
    project = tmp_path / "project"
    (project / "cuda_ops").mkdir(parents=True)
    for path in (ROOT / "cuda_ops").glob("*.py"):
        shutil.copy(path, project / "cuda_ops")
    make_sources(project / "cuda_ops" / "csrc", "glad_setup")
    shutil.copy(ROOT / "setup.py", project)
    packages = 'packages = ["cuda_ops"]\n[tool.setuptools.package-data]\ncuda_ops = ["csrc/*", "csrc/*/*"]\n'
    (project / "pyproject.toml").write_text(f'[project]\nname = "tiny"\nversion = "1"\n[tool.setuptools]\n{packages}')
    return project


def test_setup_makes_a_wheel_for_this_platform_and_any_python(project, environ):
    # There are no CUDA sources: they are left out where that is allowed.
    done = run_setup(project, "bdist_wheel", GLAD_BUILD_OPS="1", **environ)
    assert done.returncode == 0, done.stderr
    assert "the cuda operators are left out" in done.stderr
    (wheel,) = (project / "dist").glob("*.whl")
    assert wheel.name.startswith("tiny-1-py3-none-") and not wheel.name.endswith("any.whl")
    shutil.unpack_archive(wheel, project / "installed", "zip")
    installed = project / "installed" / "cuda_ops"
    assert (installed / "lib" / "libglad_cpu.so").read_text() == "made\n"
    assert _prebuilt.misfit("cpu", installed / "lib", installed / "csrc") is None
    done = run_setup(project, "build_operators", GLAD_BUILD_OPS="cuda", **environ)
    assert done.returncode != 0 and "the cuda operators cannot be built" in done.stderr


def test_setup_needs_torch_only_when_it_builds(project, environ):
    (project / "without").mkdir()
    (project / "without" / "torch.py").write_text("raise ImportError('no torch')")
    environ |= {"PYTHONPATH": str(project / "without")}
    done = run_setup(project, "bdist_wheel", GLAD_BUILD_OPS="1", **environ)
    assert done.returncode != 0 and "--no-build-isolation" in done.stderr.splitlines()[-1]
    done = run_setup(project, "bdist_wheel", GLAD_BUILD_OPS="", **environ)
    assert done.returncode == 0, done.stderr
    (wheel,) = (project / "dist").glob("*.whl")
    assert wheel.name == "tiny-1-py3-none-any.whl"
    done = run_setup(project, "--version", GLAD_BUILD_OPS="yes", **environ)
    assert done.returncode != 0 and "GLAD_BUILD_OPS must be 1, cpu, cuda or 0, not 'yes'" in done.stderr
