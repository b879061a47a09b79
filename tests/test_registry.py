"""One registry for objectives, priors, networks and formats: names, proposals, refusals, and what is handed in."""

from pathlib import Path
from typing import Optional

import pytest
import torch
from distilled_sets import make_set
from errors import naming

import glad
from glad.formats import FORMATS, Format, list_formats, register_format
from glad.networks import NETWORKS, list_networks, make_network, register_network
from glad.objectives import OBJECTIVES, list_objectives, register_objective
from glad.priors import PRIORS, list_priors, register_prior
from glad.registry import Registry, construct, files_among, read_option
from glad.rng import rng_for

KINDS = {
    "objective": (OBJECTIVES, register_objective, list_objectives),
    "prior": (PRIORS, register_prior, list_priors),
    "network": (NETWORKS, register_network, list_networks),
    "format": (FORMATS, register_format, list_formats),
}


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """Registries that forget what a test registers."""
    for registry, _, _ in KINDS.values():
        monkeypatch.setattr(registry, "_entries", dict(registry))


class Entry:
    pass


class Other:
    pass


@pytest.mark.parametrize("kind", KINDS)
def test_registries_are_alike(kind):
    registry, register, names = KINDS[kind]
    before = names()
    assert before == sorted(before) and {*registry} <= {*before}
    assert register("a-new-one")(Entry) is Entry is registry["a-new-one"]
    assert names("a-new-*") == ["a-new-one"] and names() == sorted([*before, "a-new-one"])
    assert registry.name_of(Entry) == "a-new-one" and registry.name_of(Other) == ""
    assert register("a-new-one")(Entry) is Entry
    with pytest.raises(ValueError, match=naming(f"{kind} 'a-new-one' {__name__}:Entry")):
        register("a-new-one")(Other)
    with pytest.raises(ValueError, match=naming(f"{kind} 'a-new-two' 'a-new-one'")):
        registry.find("a-new-two")
    assert registry.find(f"{__name__}:Other") is Other
    with pytest.raises(ValueError, match=naming(f"{kind} 'nowhere:Thing'")):
        registry.find("nowhere:Thing")


def test_a_class_of_a_module_that_is_imported_anew_replaces_itself():
    registry = Registry("thing", {})
    first, again = (type("Thing", (), {"__module__": "m", "__qualname__": "Thing"}) for _ in range(2))
    registry.register("thing", first)
    assert registry.register("thing", again) is registry["thing"] is again


def test_a_network_of_ones_own_is_made_like_ours():
    @register_network("narrow")
    def narrow(channels, classes, resolution, norm, width=4):
        return NETWORKS["convnet"](
            channels=channels, classes=classes, resolution=resolution, norm=norm, width=width, depth=1
        )

    sizes = {"channels": 1, "classes": 2, "resolution": 16}
    network = make_network("narrow", rng=rng_for(0), width=3, **sizes)
    assert network(torch.zeros(5, 1, 16, 16)).shape == (5, 2)
    assert len(network.stages(torch.zeros(1, 1, 16, 16))) == 1
    same = make_network("glad.networks.convnet:convnet", rng=rng_for(0), width=3, **sizes)
    ours = make_network("convnet", rng=rng_for(0), width=3, **sizes)
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), ours.parameters(), strict=True))


def test_a_format_of_ones_own_is_written_and_read_again(tmp_path):
    source = make_set()
    npz = FORMATS["npz"]

    def write(source, card, path):
        inner = path.with_name("inner.npz")
        npz.write(source, card, inner)
        path.write_bytes(b"MINE" + inner.read_bytes())
        inner.unlink()

    def read(path):
        inner = path.with_name("again.npz")
        inner.write_bytes(path.read_bytes()[4:])
        return npz.read(inner)

    register_format("mine")(Format(npz.card, write, read, "export.mine", "for this test", (0, b"MINE")))
    written = glad.export(source, "mine", tmp_path / "set.mine")
    assert written.card.format == "mine"
    expected = glad.export(source, "npz", tmp_path / "set.npz")
    ours, theirs = (glad.load_distilled(found.path) for found in (written, expected))
    assert torch.equal(ours.pixels, theirs.pixels) and torch.equal(ours.labels, source.labels)
    assert glad.export(source, out=tmp_path / "other.mine").card.format == "mine"  # by the suffix


def test_options_are_read_by_their_annotation():
    def make(size: int, file: Path, rate: Optional[float] = None, on: bool = False):  # noqa: UP045 (as people write it)
        return size, file, rate, on

    assert construct(make, {}, {"size": "3", "file": "a/b.pt"}) == (3, Path("a/b.pt"), None, False)
    read = construct(make, {}, {"size": 3.0, "file": Path("b"), "rate": "1e-3", "on": "true"})
    assert read == (3, Path("b"), 1e-3, True)
    with pytest.raises(ValueError, match=naming("make.size '1e400' int")):
        construct(make, {}, {"size": "1e400", "file": "b"})
    with pytest.raises(ValueError, match=naming("make 'file'")):
        construct(make, {}, {"size": 1})
    with pytest.raises(ValueError, match=naming("make.on 2 bool")):
        construct(make, {}, {"size": 1, "file": "b", "on": 2})
    for rate in (float("nan"), "inf", "-1e400"):
        with pytest.raises(ValueError, match=naming("make.rate finite")):
            construct(make, {}, {"size": 1, "file": "b", "rate": rate})
    assert read_option("x", "none", int | None) is None


def test_what_is_handed_in_is_no_option():
    def make(real, weights: str, scale: float = 1.0):
        return real, weights, scale

    assert construct(make, {"real": 1, "weights": 2}, {}) == (1, 2, 1.0)
    with pytest.raises(ValueError, match=naming("make 'weights' scale")):
        construct(make, {"real": 1, "weights": 2}, {"weights": "x"})
    assert construct(make, {"real": 1}, {"weights": "x"}) == (1, "x", 1.0)
    with pytest.raises(ValueError, match=naming("make 'real' network")):
        construct(make, {"network": 1}, {"weights": "x"})


def test_files_among_options(tmp_path):
    file, bare = tmp_path / "a.pt", tmp_path / "noise"
    file.touch()
    bare.touch()

    def make(path: Path = bare, text: str = "", kind: str = str(bare), size: int = 3):
        return path, text, kind, size

    assert files_among(make, {}) == [bare]
    assert files_among(make, {"path": tmp_path / "absent", "text": str(file)}) == [file]
