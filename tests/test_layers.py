"""The arrows of the architecture: which module may import which, and how long files and functions get."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("glad", "generators", "cuda_ops", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
EVERYWHERE = ("glad.batching", "glad.randomness", "glad.runs")  # within glad
DATA = ("glad.data", "glad.zca", "glad.readers", "glad.sources")
# The command line and the top-level convenience functions; publishing asks generators about licences, and for the Hub.
TOP = ("glad", "glad.api", "glad.opening", "glad.publishing", "glad.cli")
# A module and those inside it may import of this project only what its longest prefix here names.
ARROWS = {
    "cuda_ops": ("cuda_ops",),
    "generators": ("generators", "cuda_ops"),
    **dict.fromkeys(DATA, DATA),
    **{module: (module,) for module in ("glad.augment", "glad.synset", "glad.objectives")},
    "glad.networks": ("glad.networks", "cuda_ops"),
    **dict.fromkeys(EVERYWHERE, ()),
    "glad.distillation": ("glad.synset", "glad.objectives"),
    **dict.fromkeys(("glad.evaluation.summary", "glad.evaluation.tables"), ()),
    "glad.evaluation": (
        *DATA,
        *("glad.augment", "glad.networks", "glad.baselines", "glad.formats", "glad.loading", "glad.opening"),
        *("glad.run_folder", "glad.evaluation"),
    ),
    "glad.evaluation.protocol": (*DATA, "glad.augment", "glad.networks", "glad.evaluation.summary"),
    "glad.experts": (*DATA, "glad.augment", "glad.networks", "glad.experts"),
    "glad.inversion": ("glad.synset",),
    "glad.feature_distances": (),
    "glad.comparison": (
        *DATA,
        *("glad.augment", "glad.networks", "glad.evaluation", "glad.feature_distances", "glad.inversion"),
        "glad.synset",
    ),
    "glad.initialise": (
        *DATA,
        *("glad.augment", "glad.networks", "glad.experts", "glad.synset", "glad.baselines", "glad.inversion"),
    ),
}
PACKAGES = {"cuda_ops": {"torch"}, "generators": {"torch", "numpy", "safetensors"}}
PACKAGES["generators.hub"] = {*PACKAGES["generators"], "huggingface_hub"}


def within(module, names):
    """Whether ``module`` is one of ``names`` or inside one."""
    return any(module == name or module.startswith(name + ".") for name in names)


def rule(table, module):
    """The entry of the longest prefix of ``module``, or None."""
    return table.get(max((name for name in table if within(module, [name])), key=len, default=None))


def imports(source):
    """The modules that ``source`` imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole module"
            yield from (found if (found := f"{node.module}.{a.name}") in FILES else node.module for a in node.names)


def broken(module, source):
    """The imports of ``module`` that go against the arrows."""
    allowed, packages = rule(ARROWS, module), rule(PACKAGES, module)
    for name in imports(source):
        top = name.split(".")[0]
        if (
            (within(name, ["glad.cli"]) and not within(module, ["glad.cli", "glad.__main__", "scripts"]))
            or (top == "click" and not within(module, ["glad.cli", "scripts"]))
            or (top == "generators" and module not in TOP and not within(module, ["glad.cli", "generators", "scripts"]))
            or (
                top in ("glad", "generators", "cuda_ops")
                and allowed is not None
                and not permitted(module, name, allowed)
            )
            or (
                packages is not None
                and top not in {*packages, "glad", "generators", "cuda_ops", *sys.stdlib_module_names}
            )
        ):
            yield name


def permitted(module, name, allowed):
    """Whether a project's ``module`` with a rule may import the project's ``name``."""
    return within(name, allowed) or (module.startswith("glad.") and name in EVERYWHERE)


@pytest.mark.parametrize("module", FILES)
def test_imports_follow_the_arrows(module):
    assert not list(broken(module, FILES[module].read_text()))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cuda_ops.bias_act", "import numpy"),
        ("cuda_ops.bias_act", "import generators.prior"),
        ("generators.prior", "from glad import randomness"),
        ("generators.prior", "import huggingface_hub"),
        ("glad.objectives.dm", "from glad.networks import make_network"),
        ("glad.objectives.dm", "from glad import networks"),
        ("glad.networks.vit", "def f():\n    from glad.data import ImageData"),
        ("glad.synset", "from glad.distillation import run"),
        ("glad.distillation", "from glad.augment import augment"),
        ("glad.distillation", "from generators import prior"),
        ("glad.report", "import generators.prior"),
        ("glad.report", "import click"),
        ("glad.api", "from glad.cli import main"),
    ],
)
def test_a_broken_arrow_is_seen(module, source):
    assert list(broken(module, source))


@pytest.mark.parametrize("module", FILES)
def test_files_and_functions_stay_short(module):
    text = FILES[module].read_text()
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if node.end_lineno - node.lineno >= 50]
    assert len(text.splitlines()) <= 300
    assert not long
