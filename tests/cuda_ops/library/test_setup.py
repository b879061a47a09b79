"""Building the operators ahead of time, with setup.py."""

import os
import shutil
import subprocess
import sys

import forked
import pytest
from errors import mentions
from tiny_operators import ROOT, make_sources

from cuda_ops import _prebuilt

SETUP = "import runpy, sys; sys.argv[0] = 'setup.py'; runpy.run_path('setup.py', run_name='__main__')"


def run_setup(folder, *arguments, **environ):
    """``python setup.py arguments`` in ``folder``, in an interpreter that has nothing imported."""
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
    pytest.importorskip("setuptools", minversion="77")
    changes = {**environ, "PYTHONPATH": "", "PYTHONWARNINGS": "default"}
    done = forked.run(SETUP, "bdist_wheel", cwd=project, **{**changes, "GLAD_BUILD_OPS": "1"})
    assert done.returncode == 0, done.stderr
    assert "the cuda operators are left out" in done.stderr
    (wheel,) = (project / "dist").glob("*.whl")
    assert wheel.name.startswith("tiny-1-py3-none-") and not wheel.name.endswith("any.whl")
    shutil.unpack_archive(wheel, project / "installed", "zip")
    installed = project / "installed" / "cuda_ops"
    assert (installed / "lib" / "libglad_cpu.so").read_text() == "made\n"
    assert _prebuilt.misfit("cpu", installed / "lib", installed / "csrc") is None
    done = forked.run(SETUP, "build_operators", cwd=project, **{**changes, "GLAD_BUILD_OPS": "cuda"})
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
    assert done.returncode != 0 and mentions(done.stderr, "GLAD_BUILD_OPS 1, cpu, cuda 0 'yes'")
