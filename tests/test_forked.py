"""What ``forked`` starts ends and speaks as a fresh interpreter would: other tests believe it."""

import signal
from pathlib import Path

import forked
import pytest


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("pass", 0, ""),
        ("assert False, 'no'", 1, "AssertionError: no"),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('a message')", 1, "a message"),
        ("import warnings; warnings.warn('a warning')", 1, "UserWarning: a warning"),
    ],
)
def test_the_end_is_told(code, status, said):
    done = forked.run(code)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr if said else not done.stderr


def test_arguments_folder_and_environment_are_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("OURS", "1")
    code = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['OURS'], os.environ['THEIRS'])"
    done = forked.run(code, "a", 2, cwd=tmp_path, THEIRS="x y")
    assert done.stdout == f"['a', '2'] {tmp_path} 1 x y\n"
    modules = "import sys; print([m for m in sys.modules if m.split('.')[0] in ('glad', 'generators', 'cuda_ops')])"
    assert forked.run(modules).stdout == "[]\n"


def test_several_run_at_once_and_one_is_killed():
    slow, quick = forked.start("import time; time.sleep(100)"), forked.start("pass")
    assert quick.returncode == 0 and slow.runs()
    slow.kill()
    assert slow.returncode == -signal.SIGKILL


def test_the_project_is_that_of_the_python_path(tmp_path):
    other, here = tmp_path / "other" / "glad" / "__init__.py", tmp_path / "here"
    other.parent.mkdir(parents=True)
    other.touch()
    here.mkdir()

    def where(**environ):
        return Path(forked.run("import glad; print(glad.__file__, end='')", cwd=here, **environ).stdout)

    assert where() == Path(__file__).parents[1] / "glad" / "__init__.py"
    assert where(PYTHONPATH=str(tmp_path / "other")) == other
