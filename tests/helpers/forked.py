"""Processes of their own for tests, forked from one that has torch imported.

A fresh interpreter spends two seconds of CPU time on importing torch; a fork of one that has done so spends none. What
belongs to this project is imported by each process itself, and no thread runs where the fork happens.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

IMPORTED = ("torch", "torch._dynamo", "torch.utils.tensorboard", "PIL.Image", "click", "rich.progress", "hypothesis")
PATIENCE = 120  # seconds
HELPERS = Path(__file__).resolve().parent
OURS = os.pathsep.join([str(HELPERS.parents[1]), str(HELPERS)])
GLAD = "import runpy; runpy.run_module('glad', run_name='__main__', alter_sys=True)"  # code for ``python -m glad``


@dataclass
class Forked:
    """A process that runs; what it writes goes to files in ``folder``."""

    pid: int
    folder: Path
    code: int | None = field(default=None, init=False)

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    @property
    def returncode(self) -> int:
        """Its exit status once it has ended, below 0 the number of the signal that ended it; waits for that."""
        limit = time.monotonic() + PATIENCE
        while self.runs():
            if time.monotonic() > limit:
                self.kill()
                raise AssertionError(f"still running after {PATIENCE} s: {self.stderr}")
            time.sleep(0.005)
        assert self.code is not None
        return self.code

    def runs(self) -> bool:
        if self.code is None:
            self.code = _ask(ended=self.pid)
        return self.code is None

    def kill(self) -> None:
        if self.runs():
            os.kill(self.pid, signal.SIGKILL)


def start(code: str, *arguments: object, cwd: Path | None = None, **environ: str) -> Forked:
    """Start ``python -c code arguments`` without waiting for it.

    Warnings are errors unless PYTHONWARNINGS differs; this project is that of the checkout unless PYTHONPATH differs.
    """
    folder = Path(tempfile.mkdtemp(dir=_server()[1]))
    for name in ("stdout", "stderr"):
        (folder / name).touch()
    environ = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": OURS, **environ}
    request = {
        "code": code,
        "arguments": [str(a) for a in arguments],
        "cwd": str(cwd or Path.cwd()),
        "environ": environ,
    }
    return Forked(_ask(start=request, folder=str(folder)), folder)


def run(code: str, *arguments: object, cwd: Path | None = None, **environ: str) -> Forked:
    """:func:`start`, and wait for the end."""
    process = start(code, *arguments, cwd=cwd, **environ)
    _ = process.returncode
    return process


@cache
def _server() -> tuple[subprocess.Popen[str], str]:
    folder = tempfile.TemporaryDirectory(prefix="glad-tests-")
    environ = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    )
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)  # first of the two: it ends when its input does
    return server, folder.name


def _ask(**request: Any) -> Any:
    server, _ = _server()
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


# ---- the process that forks


def _serve() -> dict[str, Any]:
    """Answer requests; return only in a fork, with what it is to run."""
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer: int | None = os.fork()
            if not answer:
                return request
        else:
            found, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else None
        print(json.dumps(answer), flush=True)
    sys.exit()


def _become(request: dict[str, Any]) -> CodeType:
    """Make this process look as if started for ``request``, and return its code."""
    for number, path, flags in (
        (0, "/dev/null", os.O_RDONLY),
        (1, "stdout", os.O_WRONLY | os.O_APPEND),
        (2, "stderr", os.O_WRONLY | os.O_APPEND),
    ):
        file = os.open(Path(request["folder"]) / path, flags)
        os.dup2(file, number)
        os.close(file)
    asked = request["start"]
    os.environ.clear()
    os.environ.update(asked["environ"])
    os.chdir(asked["cwd"])
    sys.argv = ["-c", *asked["arguments"]]
    sys.path[0] = ""  # in place of the folder of this file
    sys.path[1:1] = asked["environ"]["PYTHONPATH"].split(os.pathsep)
    warnings.simplefilter(asked["environ"]["PYTHONWARNINGS"])
    warnings.filterwarnings("ignore", "glad: the operators run in plain torch")  # as under torch 2.6 to 2.9
    return compile(asked["code"], "<code>", "exec")


def _execute(code: CodeType) -> int:
    """The exit status that ``python -c code`` would have."""
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for name in IMPORTED:
        with contextlib.suppress(ImportError):  # not all are needed, nor always there
            importlib.import_module(name)
    gc.freeze()  # a collection in a fork would touch, and so copy, all that was imported
    status = _execute(_become(_serve()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # taking an interpreter with torch down costs as much as importing it
