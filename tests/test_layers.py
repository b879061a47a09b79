"""The plan of the house: which room may import which, and how long files and functions get."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("glad", "generators", "cuda_ops", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
# The rooms from the ground up. A room imports rooms above its own line here only, so there is no circle.
FLOORS = (
    "cuda_ops",
    "generators",
    "glad.version",
    "glad.settings",
    "glad.rng",
    "glad.registry",
    "glad.optimizers",
    "glad.members",
    "glad.device",
    "glad.microbatch",
    "glad.metrics",
    "glad.data",
    "glad.networks",
    "glad.priors",
    "glad.runs",
    "glad.tasks",
    "glad.synthetic_set",
    "glad.objectives",
    "glad.distillation",
    "glad.ranks",
    "glad.formats",
    "glad.evaluation",
    "glad.experts",
    "glad.initialization",
    "glad.api",
    "glad.tuning",
    "glad.auditing",
    "glad.reports",
    "glad.hub",
    "glad.presets",
    "glad",
    "generators.training",
    "glad.cli",
    "glad.__main__",
    "scripts",
)
# Rooms and files that may import less than their floor allows, with all of this project that they may import.
KERNEL = ("glad.rng", "glad.microbatch", "glad.registry", "glad.members", "glad.settings")
BELOW_TRAINING = (
    "glad.data", "glad.evaluation", "glad.metrics", "glad.networks", "glad.rng", "glad.runs", "glad.settings",
)  # fmt: skip
NARROW = {
    "generators": ("generators", "cuda_ops"),
    "generators.training": ("generators", *BELOW_TRAINING),
    "glad.data": ("glad.data", *KERNEL),
    "glad.priors": ("glad.priors", "glad.data", "generators", *KERNEL),
    "glad.priors.base": (),
    **dict.fromkeys([f"glad.priors.{name}" for name in ("pixels", "idc", "fred", "ddif", "pyramid")], ("glad.rng",)),
    "glad.priors.inversion": ("glad.priors",),
    "glad.networks": ("glad.networks", "glad.data", "cuda_ops", *KERNEL),
    "glad.objectives": ("glad.objectives", *KERNEL),
    "glad.objectives.checks": ("glad.objectives", "glad.networks", *KERNEL),
    "glad.objectives.resolve": (
        "glad.objectives",
        "glad.data",
        "glad.networks",
        "glad.priors",
        "generators.official",
        *KERNEL,
    ),
    "glad.optimizers": (),
    "glad.synthetic_set": ("glad.priors.base", "glad.priors.description", "glad.runs.html"),
    "glad.members": ("glad.optimizers",),
    "glad.distillation": (
        "glad.synthetic_set",
        "glad.objectives.base",
        "glad.objectives.description",
        "glad.runs.interrupts",
        "glad.runs.storage",
        *KERNEL,
    ),
    "glad.runs.formatting": (),
    "glad.runs.charts": ("glad.runs.formatting",),
    "glad.runs.disk": (),
    "glad.runs.interrupts": (),
    "glad.runs.storage": ("glad.runs.disk",),
    "glad.runs.html": ("glad.runs.image_grid",),
    "glad.settings": ("glad.settings",),
}
PACKAGES = {"cuda_ops": {"torch"}, "generators": {"torch", "numpy", "safetensors"}}
PACKAGES["generators.hub"] = {*PACKAGES["generators"], "huggingface_hub"}
PACKAGES["glad.settings"] = set()  # a help text is there before torch is
PACKAGES["generators.training"] = PACKAGES["generators"]
OURS = ("glad", "generators", "cuda_ops", "scripts")


def within(module, names):
    """Whether ``module`` is one of ``names`` or inside one."""
    return any(module == name or module.startswith(name + ".") for name in names)


def longest(table, module):
    """The longest of the names in ``table`` that ``module`` is or lies in, or None."""
    return max((name for name in table if within(module, [name])), key=len, default=None)


def room(module):
    """The room of ``module``; what lies in ``glad`` itself has a room of its own."""
    found = longest(FLOORS, module)
    assert found != "glad" or module == "glad", f"{module} has no floor: name its room in FLOORS"
    return found


def imports(source):
    """The modules that ``source`` imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole module"
            yield from (found if (found := f"{node.module}.{a.name}") in FILES else node.module for a in node.names)


def broken(module, source):
    """The imports of ``module`` that go against the plan."""
    narrow, packages = longest(NARROW, module), longest(PACKAGES, module)
    for name in imports(source):
        top = name.split(".")[0]
        ours = top in OURS
        upward = ours and name in FILES and FLOORS.index(room(name)) > FLOORS.index(room(module))
        hidden = ours and narrow is not None and not within(name, NARROW[narrow])
        foreign = packages is not None and not ours and top not in {*PACKAGES[packages], *sys.stdlib_module_names}
        click = top == "click" and not within(module, ["glad.cli", "scripts"])
        if upward or hidden or foreign or click:
            yield name


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_follow_the_plan(floor):
    found = {m: list(broken(m, path.read_text())) for m, path in FILES.items() if room(m) == floor}
    assert not {module: names for module, names in found.items() if names}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cuda_ops.bias_act", "import numpy"),
        ("cuda_ops.bias_act", "import generators.prior"),
        ("generators.prior", "from glad import rng"),
        ("generators.prior", "import huggingface_hub"),
        ("generators.prior", "from generators.training.train import train_generator"),
        ("generators.training.train", "import click"),
        ("generators.training.train", "from glad.cli.options import progress_bar"),
        ("generators.training.measures", "from glad.api import distill"),
        ("glad.objectives.dm", "from glad.networks import make_network"),
        ("glad.objectives.dm", "from glad import networks"),
        ("glad.networks.vit", "def f():\n    from glad.experts import Experts"),
        ("glad.synthetic_set", "from glad.distillation import run"),
        ("glad.distillation", "from glad.data.augment import augment"),
        ("glad.distillation", "from generators import prior"),
        ("glad.settings.distill", "import torch"),
        ("glad.settings.fields", "from glad.networks import NETWORKS"),
        ("glad.reports", "import click"),
        ("glad.api", "from glad.cli import main"),
        ("glad.data.splits", "from glad.runs.storage import RunError"),
    ],
)
def test_a_broken_arrow_is_seen(module, source):
    assert list(broken(module, source))


def test_the_top_level_of_glad_is_small():
    assert len([path for path in (ROOT / "glad").iterdir() if path.is_file()]) < 15


def test_modules_import_each_other_in_no_circle():
    TopologicalSorter({module: FILES.keys() & imports(path.read_text()) for module, path in FILES.items()}).prepare()


def test_a_class_name_stands_in_one_module():
    modules = {}
    for module, path in FILES.items():
        for name in {n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef)}:
            modules.setdefault(name, []).append(module)
    assert len(modules) > 100
    assert not {name: found for name, found in modules.items() if len(found) > 1}


def lines(function):
    """The length of a function without its docstring, which is as long as its parameters need."""
    first = function.body[0]
    docstring = 0 if ast.get_docstring(function) is None else first.end_lineno - first.lineno + 1
    return function.end_lineno - function.lineno - docstring


@pytest.mark.parametrize("folder", ["glad", "generators", "cuda_ops", "scripts", "tests"])
def test_files_and_functions_stay_short(folder):
    long = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text()
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        long += [f"{path.name}: {n.name}" for n in functions if lines(n) >= 50 and folder != "tests"]
        long += [path.name] if len(text.splitlines()) > 300 else []
    assert not long


def test_no_two_files_of_tests_have_one_name():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert not {name for name in names if names.count(name) > 1}  # pytest imports them by name
