"""docs/TRAIN_A_PRIOR.md, followed from an installed package in an empty folder, with less of everything."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from image_files import write_images

ROOT = Path(__file__).parents[3]
PROJECT = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
LESS = {
    "--resolution 32": "--resolution 16",
    "--minutes 60": "--batch 8 --channels 8 --channel-base 64 --layers 4 --w-dim 16 --feature-steps 1 --steps 1",
    "--out runs/my-prior/measured": "--out runs/my-prior/measured --images 10 --seeds 1 --epochs 1 --width 4",
    "--prior runs": "--iterations 2 -o batch=2 --network-option width=4 --out run --prior runs",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed a copy of the project into, without network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in PROJECT:
        shutil.copy(ROOT / name, source / name)
    for package in ("glad", "generators", "cuda_ops"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__", "lib"))
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def output(installed: Path, folder: Path, code: str, *arguments: str) -> str:
    """What ``python -c code arguments`` prints in ``folder`` where this project is the installed one."""
    done = forked.run(code, *arguments, cwd=folder, PYTHONPATH=str(installed), PYTHONWARNINGS="default")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def glad(installed: Path, folder: Path, *arguments: str) -> str:
    return output(installed, folder, forked.GLAD, *arguments)


def page() -> list[str]:
    """The commands of the page, with less of everything."""
    text = (ROOT / "docs" / "TRAIN_A_PRIOR.md").read_text()
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    for words, fewer in LESS.items():
        assert words in block
        block = block.replace(words, fewer)
    return str(block).splitlines()


def test_a_prior_is_trained_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    where = output(installed, tmp_path, "import generators.training.train as t; print(t.__file__)")
    assert Path(where).is_relative_to(installed)
    for seed, name in enumerate("ab"):
        write_images(tmp_path / "my" / "folder" / name, 8, (16, 16), seed=seed)
    said = [glad(installed, tmp_path, *shlex.split(line)[1:]) for line in page()]
    command = "glad distill --data my/folder --resolution 16 --prior runs/my-prior/generator.safetensors"
    assert f"use it with `{command}`" in said[0]
    assert (tmp_path / "runs" / "my-prior" / "measured" / "measure.json").exists()
    assert "finished after 2 iterations" in said[-1]
