"""Find or make the environment that the Makefile uses; print its Python, and on stderr one line that names it.

    python3 scripts/environment.py [extra ...]

The active environment (VIRTUAL_ENV or CONDA_PREFIX) is used as it is when it has every distribution that
pyproject.toml and its ``extras`` ask for, and is never installed into. Otherwise ``.venv`` is made, repaired after an
interrupted installation, or brought up to date. Nothing here touches the network when nothing is missing.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "installing"  # there while an installation runs, and after one that was cut off
STAMP = VENV / "installed"  # of the last complete installation: hash of pyproject.toml, extras, choice of torch
OLDEST = (3, 10)
TORCH = "torch==2.14.1 torchvision==0.29.1"
NEEDED = 7 * 10**9  # bytes of .venv with everything in it


def requirements(extras: list[str]) -> list[str]:
    """What pyproject.toml asks for; Python 3.10 has no reader of TOML, and lists of strings need none."""
    text = (ROOT / "pyproject.toml").read_text()
    names = ["dependencies", *extras]
    found = [re.search(rf"^{name} = (\[.*?\])$", text, re.MULTILINE | re.DOTALL) for name in names]
    return [line for match in found if match for line in ast.literal_eval(match[1])]


def missing(extras: list[str]) -> list[str]:
    """The requirements that the running Python does not meet; only ``name`` and ``name>=version`` are known."""
    absent = [] if sys.version_info >= OLDEST else ["python>=3.10"]
    for requirement in requirements(extras):
        name, _, least = requirement.partition(">=")
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(requirement)
            continue
        if _numbers(version) < _numbers(least):
            absent.append(f"{requirement} (is {version})")
    return absent


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0]))


def say(line: str) -> None:
    """Tell the reader; stdout is for the Makefile."""
    print(line, file=sys.stderr, flush=True)


def active(extras: list[str]) -> Path | None:
    """The Python of the active environment when it meets the requirements."""
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        python = Path(os.environ.get(variable) or os.devnull) / "bin" / "python"
        if python.exists() and python.parent.parent.resolve() != VENV:
            check = subprocess.run([python, __file__, "--missing", *extras], stdout=subprocess.PIPE, text=True)
            if check.returncode == 0 and not check.stdout.strip():
                say(f"environment: {python.parent.parent} ({variable})")
                return python
            say(f"environment: not {python.parent.parent} ({variable}), it lacks {check.stdout.strip() or 'a Python'}")
    return None


def project() -> str:
    """The hash of pyproject.toml."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()


def up_to_date(extras: list[str]) -> bool:
    """Whether ``.venv`` was completely installed from this pyproject.toml, with these extras and this torch."""
    if UNFINISHED.exists() or not (PYTHON.exists() and STAMP.exists()):
        return False
    digest, had, torch = STAMP.read_text().split("\n")
    chosen = os.environ.get("TORCH") or torch  # without a choice the torch that is there stays
    return digest == project() and set(extras) <= set(had.split()) and chosen == torch


def install(extras: list[str]) -> None:
    """Make ``.venv``, or bring it up to date; what an interrupted installation left is removed first."""
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise SystemExit(
            f"{sys.executable} cannot make virtual environments: its venv and ensurepip modules are a package of "
            "their own here. On Debian and Ubuntu: apt install python3-venv. Then call make again"
        )
    if UNFINISHED.exists():
        for child in set(VENV.iterdir()) - {UNFINISHED}:  # which goes last, whenever this is cut off
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    had, torch = STAMP.read_text().split("\n")[1:] if STAMP.exists() else ("test", "")
    extras, torch = sorted({*had.split(), *extras}), os.environ.get("TORCH") or torch
    say(f"environment: installing into {VENV}, once")
    VENV.mkdir(exist_ok=True)
    UNFINISHED.touch()
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True, stdout=sys.stderr)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install"]
    if os.environ.get("TORCH") or not STAMP.exists():
        subprocess.run([*pip, *(torch or TORCH).split()], check=True, stdout=sys.stderr)
    subprocess.run([*pip, "-e", f"{ROOT}[{','.join(extras)}]"], check=True, stdout=sys.stderr)
    STAMP.write_text("\n".join([project(), " ".join(extras), torch]))
    UNFINISHED.unlink()


def short_of_space() -> str:
    """What to say of the disk where it has too little room for an installation; nothing where it has enough."""
    free = shutil.disk_usage(ROOT).free
    if free >= NEEDED:
        return ""
    return (
        f". The disk of {ROOT} has {free / 1e9:.1f} GB left, and a CUDA build of PyTorch with the rest takes "
        f'{NEEDED / 1e9:.0f}: free some, or name a CPU build (TORCH="torch torchvision --index-url URL")'
    )


def main(extras: list[str]) -> None:
    """Print the Python to use."""
    if sys.version_info < OLDEST:
        version = ".".join(str(part) for part in sys.version_info[:3])
        raise SystemExit(
            f"Python 3.10 or newer is needed, {sys.executable} is {version}: install one, and name it if it is not "
            "python3 (make test PYTHON3=python3.12)"
        )
    python = active(extras)
    if python is None:
        with (ROOT / "pyproject.toml").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once: the second waits, and finds everything there
            if not up_to_date(extras):
                try:
                    install(extras)
                except subprocess.CalledProcessError as error:
                    if STAMP.exists():  # pip undoes what it cannot finish, so what was there before still is
                        UNFINISHED.unlink()
                    raise SystemExit(
                        f"exit {error.returncode} of the installation; the next call tries again{short_of_space()}"
                    ) from None
        python = PYTHON
        say(f"environment: {VENV}")
    print(python)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--missing"]:
        print(", ".join(missing(sys.argv[2:])))
    else:
        main(sys.argv[1:])
