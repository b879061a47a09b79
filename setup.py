"""Everything is declared in pyproject.toml; this file builds the operators' libraries ahead of time when asked.

``GLAD_BUILD_OPS=1 pip install --no-build-isolation .`` builds for the CPU, and for CUDA where there is an nvcc that
fits torch; ``cpu`` builds for the CPU alone, ``cuda`` insists on both. Without it nothing is compiled.
"""

import os
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

ROOT = Path(__file__).parent
ASKED = os.environ.get("GLAD_BUILD_OPS", "0")
CHOICES = {"": (), "0": (), "1": ("cpu", "cuda"), "cpu": ("cpu",), "cuda": ("cpu", "cuda")}

if ASKED not in CHOICES:
    raise SystemExit(f"GLAD_BUILD_OPS must be 1, cpu, cuda or 0, not {ASKED!r}")


class BuildOperators(Command):
    """Compile the operators' libraries into the package, in place for an editable install."""

    description = "compile the operators of cuda_ops"
    user_options: ClassVar = [
        ("build-lib=", "b", "folder to build the package in"),
        ("build-temp=", "t", "folder for the compilers' logs"),
    ]

    def initialize_options(self):
        """Set what :meth:`finalize_options` fills in."""
        self.build_lib = None
        self.build_temp = None
        self.editable_mode = False

    def finalize_options(self):
        """Take the folders of the command ``build``."""
        self.set_undefined_options("build", ("build_lib", "build_lib"), ("build_temp", "build_temp"))

    def run(self):
        """Build each library that is asked for; the CUDA one may be left out unless it was insisted on."""
        prebuilt, failure = self._builder()
        log = Path(self.build_temp).absolute()
        log.mkdir(parents=True, exist_ok=True)
        for device in CHOICES[ASKED]:
            try:
                made = prebuilt.make(device, self._folder(), log / f"{device}.log")
            except failure as error:
                if device == "cpu" or ASKED == "cuda":
                    raise SystemExit(
                        f"the {device} operators cannot be built: {error}\nTo mend it: {error.remedy}"
                    ) from error
                print(f"the {device} operators are left out: {error}", file=sys.stderr)
            else:
                print(f"built {made}", file=sys.stderr)

    def _builder(self):
        sys.path.insert(0, str(ROOT))
        try:
            import torch  # noqa: F401
        except ImportError as error:
            hint = "GLAD_BUILD_OPS=1 pip install --no-build-isolation ."
            raise SystemExit(f"building the operators needs the torch that they will run with: {hint}") from error
        from cuda_ops import _prebuilt
        from cuda_ops._toolchain import BuildError

        return _prebuilt, BuildError

    def _folder(self):
        return (ROOT if self.editable_mode else Path(self.build_lib)) / "cuda_ops" / "lib"

    def get_outputs(self):
        """Every file that was made."""
        return [str(path) for path in self._folder().glob("libglad_*")]

    def get_output_mapping(self):
        """Of the files made, those that are copies: none."""
        return {}

    def get_source_files(self):
        """What ``pyproject.toml`` does not name already: nothing."""
        return []


class Build(build):
    """The usual steps and, if asked, the operators."""

    sub_commands = (*build.sub_commands, ("build_operators", lambda self: bool(CHOICES[ASKED])))


class NativeDistribution(Distribution):
    """A distribution with libraries, which serves one platform."""

    def has_ext_modules(self):
        """Whether the wheel is for one platform, which puts it into ``platlib``."""
        return True


class PlatformWheel(bdist_wheel):
    """A wheel with libraries: its tag names the platform, and no Python since they know none."""

    def get_tag(self):
        """The parts of the wheel's name that say where it can be installed."""
        return "py3", "none", super().get_tag()[2]


NATIVE = {
    "distclass": NativeDistribution,
    "cmdclass": {"build": Build, "build_operators": BuildOperators, "bdist_wheel": PlatformWheel},
}
setup(**(NATIVE if CHOICES[ASKED] else {}))
