"""Libraries that were compiled: kept, found again, replaced when damaged, built by one process of many."""

import os
import shutil
import signal
import time
from pathlib import Path

import forked
import pytest
from errors import naming
from tiny_operators import NO_BUILD, compilations, make_compiler, make_libraries, needs_libraries

from cuda_ops import _build, _cache, _library
from cuda_ops._progress import BuildProgress
from cuda_ops._toolchain import BuildError


def test_key_follows_what_a_library_depends_on(tmp_path, csrc, environ):
    key = _build.cpu_plan(csrc, environ).key
    shutil.copytree(csrc, tmp_path / "elsewhere")
    assert _build.cpu_plan(tmp_path / "elsewhere", environ).key == key
    make_compiler(tmp_path / "bin", "g++ (Debian 13.1.0-1) 13.1.0")
    assert _build.cpu_plan(csrc, environ).key != key
    make_compiler(tmp_path / "bin")
    assert _build.cpu_plan(csrc, environ).key == key
    (csrc / "cpu" / "new.h").write_text("// new")
    assert _build.cpu_plan(csrc, environ).key != key


@pytest.mark.parametrize("damage", ["truncated", "record", "gone"])
def test_damaged_library_is_built_again(tmp_path, csrc, environ, damage):
    plan = _build.cpu_plan(csrc, environ)
    library = _cache.obtain(plan, BuildProgress("cpu", 1), environ)
    if damage == "truncated":
        library.write_bytes(library.read_bytes()[:2])
    elif damage == "record":
        library.with_suffix(".sha256").write_bytes(b"\xff")
    else:
        library.unlink()
    assert _cache.obtain(plan, BuildProgress("cpu", 1), environ).read_text() == "made\n"
    assert compilations(tmp_path / "bin") == 2 * len(plan.objects)
    _cache.obtain(plan, NO_BUILD, environ)


@needs_libraries
def test_library_that_does_not_load_is_built_again_once(tmp_path, csrc, namespace, environ):
    libraries = make_libraries(namespace, csrc, environ)
    with pytest.warns(_library.SlowOperatorsWarning, match=naming("libglad_cpu.so")):
        libraries.load("cpu")
    assert compilations(tmp_path / "bin") == 2


def test_home_that_cannot_be_written_to_leaves_a_private_folder(tmp_path, csrc, environ):
    (tmp_path / "home").touch()
    del environ["GLAD_OPS_CACHE"]
    environ |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    plan = _build.cpu_plan(csrc, environ)
    library = _cache.obtain(plan, BuildProgress("cpu", 1), environ)
    folder = tmp_path / f"glad-ops-{os.getuid()}"
    assert library.is_relative_to(folder) and folder.stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o1777)
    assert _cache.obtain(plan, NO_BUILD, environ) == library
    folder.chmod(0o777)  # as if somebody else had made it
    with pytest.raises(BuildError, match=naming("folder user")):
        _cache.obtain(plan, BuildProgress("cpu", 1), environ)


def test_cache_folders():
    temporary = Path(f"/t/glad-ops-{os.getuid()}")
    assert _cache.folders({"HOME": "/h", "TMPDIR": "/t"}) == [Path("/h/.cache/glad/ops"), temporary]
    assert _cache.folders({"HOME": "/h", "XDG_CACHE_HOME": "/x", "TMPDIR": "/t"}) == [Path("/x/glad/ops"), temporary]
    assert _cache.folders({"HOME": "/h", "GLAD_OPS_CACHE": "/c"}) == [Path("/c")]
    assert _cache.folders({"TMPDIR": "/t"}) == [temporary]


def test_chosen_folder_that_cannot_be_written_to_is_a_cause(tmp_path, csrc, environ):
    environ["GLAD_OPS_CACHE"] = "/dev/null/cache"
    with pytest.raises(BuildError, match=naming("/dev/null/cache (Not a directory)")):
        _cache.obtain(_build.cpu_plan(csrc, environ), BuildProgress("cpu", 1), environ)


OBTAIN = """
import os, sys
os.setsid()  # its compilers end with it where a whole group is killed
from pathlib import Path
from cuda_ops import _build, _cache
from cuda_ops._progress import BuildProgress
print(_cache.obtain(_build.cpu_plan(Path(sys.argv[1])), BuildProgress("cpu", 1)).read_text())
"""


def test_processes_that_start_together_build_once(tmp_path, csrc, environ):
    make_compiler(tmp_path / "bin", body="sleep 1")
    processes = [forked.start(OBTAIN, csrc, **environ) for _ in range(2)]
    assert [(process.returncode, process.stdout) for process in processes] == [(0, "made\n\n")] * 2
    assert compilations(tmp_path / "bin") == 1


def test_killed_builder_blocks_nobody(tmp_path, csrc, environ):
    make_compiler(tmp_path / "bin", body="if [ -e '" + str(tmp_path / "slow") + "' ]; then sleep 60; fi")
    (tmp_path / "slow").touch()
    process = forked.start(OBTAIN, csrc, **environ)
    try:
        limit = time.monotonic() + 60
        while not compilations(tmp_path / "bin"):
            assert time.monotonic() < limit and process.runs(), process.stderr
            time.sleep(0.05)
        process.kill()  # it alone: its compilers live on, and hold no lock
        assert process.returncode == -signal.SIGKILL
        (tmp_path / "slow").unlink()
        plan = _build.cpu_plan(csrc, environ)
        entry = tmp_path / "cache" / plan.key
        assert len(list(entry.glob("build-*"))) == 1
        assert _cache.obtain(plan, BuildProgress("cpu", 1), environ).read_text() == "made\n"
        assert not list(entry.glob("build-*"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_file_system_without_locks(tmp_path, csrc, environ, monkeypatch):
    def flock(file, operation):
        raise OSError("no locks available")

    monkeypatch.setattr(_cache.fcntl, "flock", flock)
    assert _cache.obtain(_build.cpu_plan(csrc, environ), BuildProgress("cpu", 1), environ).read_text() == "made\n"
