"""Which code serves an operator: built ahead of time, compiled here, or the reference, and how that is said."""

import os
import shutil
import threading
import warnings

import forked
import pytest
import torch
from errors import naming
from tiny_operators import BARE, NO_BUILD, make_libraries, needs_compiler, needs_libraries, run_python

from cuda_ops import _build, _cache, _library, _prebuilt
from cuda_ops._library import JIT, PREBUILT, REFERENCE, Operator, OperatorsUnavailableError


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
    plan = _build.cpu_plan(csrc, environ, local=True)
    assert _cache.obtain(plan, NO_BUILD, environ) == served.file


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


@needs_libraries
def test_fused_on_demand_raises_every_time_instead_of_warning(csrc, namespace):
    libraries = make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "fused"})
    for _ in range(2):
        with pytest.raises(OperatorsUnavailableError, match=naming("C++ PATH g++")):
            libraries.load("cpu")
    assert not libraries.served and not hasattr(getattr(torch.ops, namespace), "scale")


def test_unknown_mode_is_refused(csrc, namespace):
    with pytest.raises(ValueError, match=naming("GLAD_OPS fused reference 'slow'")):
        make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "slow"}).load("cpu")
    with pytest.raises(ValueError, match=naming("GLAD_ISA baseline avx2 avx512 'sse'")):
        make_libraries(namespace, csrc, {**BARE, "GLAD_ISA": "sse"}).load("cpu")


@needs_libraries
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


@needs_libraries
def test_cpu_build_of_torch_serves_cuda_by_the_reference_with_a_warning(csrc, namespace, environ, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    libraries = make_libraries(namespace, csrc, {**environ, "GLAD_OPS": "reference"})
    libraries.load("cpu")
    libraries.environ = environ
    with pytest.warns(_library.SlowOperatorsWarning, match=naming("cuda CUDA")) as caught:
        libraries.load("cuda")
        libraries.load("cuda")
    assert len(caught) == 1


def test_old_torch_is_a_cause(csrc, namespace, environ, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.warns(_library.SlowOperatorsWarning, match=naming("torch 2.9.1+cpu 2.10")):
        make_libraries(namespace, csrc, environ).load("cpu")


def test_other_devices_are_served_by_the_reference(csrc, namespace):
    libraries = make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "reference"})
    libraries.load("cpu")
    libraries.environ = {"GLAD_OPS": "fused"}
    libraries.load("meta")
    with pytest.raises(OperatorsUnavailableError, match=naming("mps cpu cuda")):
        libraries.load("mps")


def test_threads_load_once(csrc, namespace):
    libraries = make_libraries(namespace, csrc, {**BARE, "GLAD_OPS": "reference"})
    threads = [threading.Thread(target=libraries.load, args=["cpu"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(RuntimeError, match=naming("late")):
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
    done = forked.run(code, tool, GLAD_OPS="reference", PYTHONWARNINGS="ignore")
    assert done.returncode == 0, done.stderr


@needs_libraries
def test_diagnosis_says_what_serves_and_why():
    code = "from cuda_ops.diagnosis import diagnose; print(*diagnose(), sep=chr(10))"
    done = forked.run(code, PATH="", CXX="", GLAD_OPS="", GLAD_OPS_CACHE="/dev/null/cache", CUDA_VISIBLE_DEVICES="")
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
from cuda_ops._progress import BuildProgress
csrc = Path(sys.argv[1])
torch.ops.load_library(_cache.obtain(_build.cpu_plan(csrc), BuildProgress("cpu", 1)))
found = list(_library.schemas(csrc / "ops.cpp"))
defined = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("glad::")}
assert defined == {"glad::" + text.partition("(")[0] for text in found} and len(found) == len(defined)
for text in found:
    parsed = torch._C.parse_schema("glad::" + text)
    assert str(torch._C._get_schema(parsed.name, "")) == str(parsed)
"""
    (tmp_path / "csrc").mkdir()
    shutil.copy(_build.CSRC / "ops.cpp", tmp_path / "csrc")
    done = forked.run(code, tmp_path / "csrc", GLAD_OPS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
