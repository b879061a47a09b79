"""The table of known generators: nothing in it that is not published; and priors that need no download."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming
from fixtures import tiny_generator

import glad
from generators import catalog, models, official, store, weights
from generators.catalog import CATALOG
from generators.license import read_license
from glad.cli import main
from glad.data.notices import DataNotice
from glad.data.splits import load_data
from glad.priors.resolve import resolve_prior

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    return load_data("fashion-mini", limit=40).train


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GLAD_WEIGHTS_CACHE", str(tmp_path / "cache"))


def test_the_table_says_what_is_published_and_no_more():
    downloaded = {name: entry for name, entry in CATALOG.items() if entry.needs_download}
    assert CATALOG.keys() - downloaded.keys() == {*weights.EMBEDDED, "random"}
    taesd = downloaded.pop("taesd")
    assert (taesd.license.id, taesd.url, taesd.sha256, taesd.verified) == ("mit", None, None, False)
    assert downloaded.keys() == models.OFFICIAL.keys()
    for name, entry in downloaded.items():
        assert entry.url == f"https://s3.eu-central-1.amazonaws.com/avg-projects/stylegan_xl/models/{name}.pkl"
        assert entry.sha256 is None and store.expected_digest(entry) is None  # none is published
        assert entry.license.commercial is None and entry.license.redistribution is None
        assert not entry.verified and entry.resolution == int(re.sub(r"\D", "", name.replace("cifar10", "32")))
    assert {name: e.hub for name, e in downloaded.items() if e.hub} == {
        "ffhq256": "public-data/StyleGAN-XL:orig/ffhq256.pkl"
    }
    assert {name: CATALOG[name].classes for name in ("imagenet128", "cifar10", "ffhq256")} == {
        "imagenet128": 1000,
        "cifar10": 10,
        "ffhq256": None,
    }


@pytest.mark.parametrize("name", weights.EMBEDDED)
def test_an_embedded_generator_is_what_the_table_says(name):
    entry, path = CATALOG[name], weights.EMBEDDED[name]
    generator, metadata = weights.load(path)
    assert generator.mapping.c_dim == entry.classes
    assert generator.resolution - 2 * int(metadata.get("frame", 0)) == entry.resolution
    assert store.expected_digest(entry) == official.sha256(path)
    assert entry.license.text in path.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("text", "commercial", "redistribution"),
    [
        ("Apache-2.0", True, True),
        ("mit", True, True),
        ("cc-by-nc-4.0", False, True),
        ("CC-BY-NC-SA-4.0", False, True),
        ("cc-by-nc-nd-4.0", None, None),
        ("mit, but not for you", None, None),
        ("other", None, None),
        (catalog.UNSTATED.text, None, None),
        ("", None, None),
    ],
)
def test_a_license_allows_only_what_it_is_known_to_allow(text, commercial, redistribution):
    license = read_license(text)
    assert (license.commercial, license.redistribution) == (commercial, redistribution)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("org/repo:g.safetensors", ("org/repo", "g.safetensors", None)),
        ("org/re.po:orig/ffhq256.pkl@d54f493", ("org/re.po", "orig/ffhq256.pkl", "d54f493")),
        ("org/repo:g.safetensors@refs/pr/1", ("org/repo", "g.safetensors", "refs/pr/1")),
    ],
)
def test_references_to_the_hub(name, parts):
    match = catalog.REFERENCE.fullmatch(name)
    assert (match["repo"], match["file"], match["revision"]) == parts
    assert catalog.is_known(name) and catalog.find(name).hub == name


@pytest.mark.parametrize(
    "name", ["module:Class", "pixels", "a/b", "dir/g.safetensors", "org/repo:README.md", "a:b.pkl"]
)
def test_what_is_no_reference(name):
    assert not catalog.is_known(name)
    with pytest.raises(ValueError, match=naming(f"{name} fashion-mini random org/repo:file")):
        catalog.find(name)


def test_names_have_files_of_their_own():
    names = ["a/b:c.pkl", "a--b:c.pkl", "a/b:c.pkl@main", "imagenet16", "a/b:c.pkl@Main"]
    assert len({store.path_of(name, ".json").name.lower() for name in names}) == len(names)
    assert store.path_of("imagenet16", ".pkl").name == "imagenet16.pkl"


def test_the_embedded_generator_in_a_run(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolved = resolve_prior("fashion-mini", data, {}, CPU)
    assert resolved.weights.license == catalog.OURS
    assert resolved.weights.sha256 == resolved.digest and resolved.weights.source.startswith("comes with glad")
    assert resolve_prior("pixels", data, {}, CPU).weights is None


@pytest.mark.parametrize(
    ("stated", "note"),
    [({}, None), ({"license": "mit"}, None), ({"license": "cc-by-nc-4.0"}, "commercial use forbidden")],
)
def test_a_file_of_ones_own_in_a_run(tmp_path, data, stated, note):
    path = tmp_path / "g.safetensors"
    weights.save(path, tiny_generator(c_dim=0), **stated)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", ".* enlarged", DataNotice)
        resolved = resolve_prior(str(path), data, {}, CPU)
    assert [note in str(warning.message) for warning in notes] == ([True] if note else [])
    assert resolved.weights.file == str(path) and resolved.weights.source == "a file of one's own"
    assert resolved.weights.license.text == stated.get("license", "no license stated")
    assert resolved.digest == official.sha256(path)


@pytest.fixture
def tiny_configuration(monkeypatch):
    stages = (models.Stage(4, 8, 48, 6), models.Stage(4, 2, 48, 6))
    tiny = models.Configuration("tiny", stages, None, "for tests")
    monkeypatch.setitem(models.CONFIGURATIONS, "tiny", tiny)
    monkeypatch.setattr(models, "at_least", lambda resolution: tiny)


def test_a_random_generator_in_a_run(tmp_path, tiny_configuration):
    def run(out, **options):
        return glad.distill(
            prior="random",
            prior_options={"layer": 2, **options},
            limit=40,
            iterations=1,
            learning_rate=0.01,
            network_options={"width": 8},
            objective_options={"batch": 2},
            out=tmp_path / out,
            device="cpu",
        )

    first, again = run("a"), run("b", configuration="tiny", seed="0")
    other, conditional = run("c", seed=1), run("d", classes=10)
    digests = [r.inputs["hashes"]["weights"] for r in (first, again, other, conditional)]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    assert first.inputs["weights"]["source"] == "made from configuration=tiny, classes=0, seed=0"
    assert torch.equal(first.read_set()[0], again.read_set()[0])
    run("a")  # is the same run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prior", "random", "-p", "configuration=imagenet99"], "configuration 'imagenet99'"),
        (["--prior", "random", "-p", "seed=x"], "random.seed 'x'"),
        (["--prior", "randm"], "'randm' 'random'"),
        (["--prior", "imagnet1024"], "'imagnet1024' 'imagenet1024'"),
        (["--prior", "file.pkl"], "`glad weights import"),
    ],
)
def test_a_mistake_gives_one_line(arguments, message, tmp_path):
    result = CliRunner().invoke(main, ["distill", *arguments, "--out", str(tmp_path / "run")])
    assert result.exit_code == 1 and mentions(result.output, message)


def test_list_tells_all_of_one():
    stated = CliRunner().invoke(main, ["weights", "list", "ffhq256", "random"]).output
    for fact in (CATALOG["ffhq256"].url, CATALOG["ffhq256"].hub, catalog.UNSTATED.text, "issue 67", "not published"):
        assert fact in stated
    assert str(Path("generators") / "assets") not in stated and "no file" in stated
