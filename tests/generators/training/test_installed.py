"""Training a prior works from an installed package, with no checkout around it."""

import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from image_files import write_images

ROOT = Path(__file__).parents[3]
PROJECT = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
QUICK = "--batch 8 --channels 8 --channel-base 64 --layers 4 --w-dim 16 --feature-steps 1 --steps 1"


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


def test_a_prior_is_trained_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    where = output(installed, tmp_path, "import generators.training.train as t; print(t.__file__)")
    assert Path(where).is_relative_to(installed)
    help_text = glad(installed, tmp_path, "weights", "train", "--help")
    assert "--minutes" in help_text and "training images of a data set" in help_text
    for seed, name in enumerate("ab"):
        write_images(tmp_path / "images" / name, 8, (16, 16), seed=seed)
    said = glad(installed, tmp_path, "weights", "train", "--data", "images", "--out", "prior", *QUICK.split())
    assert "use it with `glad distill --data images --prior prior/generator.safetensors`" in said
    assert (tmp_path / "prior" / "generator.safetensors").exists()
