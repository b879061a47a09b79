"""Run the tests under other versions of Python and torch, and write the table of docs/VERSIONS.md.

    python scripts/check_versions.py --folder ~/versions 3.10:2.6.0 3.11:2.10.0 3.13:2.14.1

Each pair is an interpreter, ``pythonX.Y`` on the PATH or under pyenv, and a version of torch, which brings its
torchvision. An environment of several gigabytes is made for each in the folder, once. The tests of ``make test`` run in
the checkout itself. The table has a line for each pair that was ever run there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "VERSIONS.md"
OUTCOME = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"


def torchvision(torch: str) -> str:
    """The torchvision that belongs to a version of torch: 0.21 to 2.6, and on in step."""
    major, minor, *_ = (int(part) for part in torch.split("."))
    if major != 2:
        raise click.UsageError(f"torch {torch}: the torchvision that belongs to it is known for 2.x only")
    patch = torch.split(".")[2] if torch.count(".") > 1 else "0"
    return f"0.{minor + 15}.{patch}"


def interpreter(version: str) -> str:
    """The path of Python ``version``, such as 3.10."""
    found = shutil.which(f"python{version}")
    if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
        return found
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in sorted(installed.glob(f"{version}.*/bin/python{version}")):
        return str(path)
    raise click.ClickException(f"there is no python{version}: put it on the PATH, or install it with pyenv or uv")


def environment(folder: Path, python: str, torch: str) -> Path:
    """The Python of an environment with ``torch`` and what the tests need, made if it is not there."""
    home = folder / f"python{python}-torch{torch}"
    executable, stamp = home / "bin" / "python", home / "installed"
    if not stamp.exists():
        subprocess.run([interpreter(python), "-m", "venv", "--clear", home], check=True)
        pip = [str(executable), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"torch=={torch}", f"torchvision=={torchvision(torch)}"], check=True)
        subprocess.run([*pip, "setuptools>=77", "-e", f"{ROOT}[test]"], check=True)  # which builds wheels for a test
        stamp.touch()
    return executable


def run_tests(executable: Path, log: Path) -> dict[str, int]:
    """Run the tests that ``make test`` runs, into ``log``; how many passed, failed, were skipped, were in error."""
    chosen = "not slow and not gpu and not sanitizers"
    command = [str(executable), "-m", "pytest", "-rs", "-m", chosen, "-p", "no:cacheprovider"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        subprocess.run([*command, "-o", "addopts=--strict-markers"], cwd=ROOT, env=environ, stdout=file, stderr=file)
    last = log.read_text(errors="replace").rstrip().rpartition("\n")[2]
    return {word: int(count) for count, word in OUTCOME.findall(last)}


def write_table(folder: Path) -> None:
    """Put a line for every outcome in ``folder`` into the page."""
    lines = ["| Python | torch | torchvision | passed | failed | skipped | commit |", "|" + " --- |" * 7]
    for path in sorted(folder.glob("*.json")):
        one = json.loads(path.read_text())
        found = one["outcome"]
        failed = found.get("failed", 0) + found.get("error", 0) + found.get("errors", 0)
        counts = f"{found.get('passed', 0):,} | {failed} | {found.get('skipped', 0)}"
        lines.append(f"| {one['python']} | {one['torch']} | {one['torchvision']} | {counts} | {one['commit']} |")
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])


@click.command()
@click.argument("pairs", nargs=-1, required=True, metavar="PYTHON:TORCH...")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Of the environments.")
def main(pairs: tuple[str, ...], folder: Path) -> None:
    """Run the tests under each pair and write the table."""
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    broken = 0
    for pair in pairs:
        python, colon, torch = pair.partition(":")
        if not colon:
            raise click.UsageError(f"{pair!r} is not PYTHON:TORCH, such as 3.10:2.6.0")
        click.echo(f"Python {python}, torch {torch}")
        executable, log = environment(folder, python, torch), folder / f"{python}-{torch}.log"
        outcome = run_tests(executable, log)
        about = {"python": python, "torch": torch, "torchvision": torchvision(torch), "commit": commit}
        log.with_suffix(".json").write_text(json.dumps({**about, "outcome": outcome}))
        click.echo(f"  {outcome}; {log}")
        broken += not outcome.get("passed") or any(word in outcome for word in ("failed", "error", "errors"))
    write_table(folder)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
