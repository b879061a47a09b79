"""What may not be passed on, stays here."""

import pytest
from distilled_sets import distill, fails
from errors import mentions
from fixtures import tiny_generator
from pushed_sets import SMALL, card_of, change, front_of, push, pushed

from generators import catalog, weights
from generators.license import License, read_license
from glad.runs.folder import Run

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client, of how it sends files


def refused(run, *options):
    output = fails("push", run.path, "me/x", "--dry-run", *options)
    assert output.startswith("Error: ")
    return output


def test_data_of_unknown_license_need_one(server, foreign):
    message = "the license of the data ./my data is not known here: say with --license"
    assert message in refused(foreign)
    assert "license: other license_name: ask-me-first " in push(foreign, "--license", "Ask me: first", "--dry-run")


@pytest.mark.filterwarnings("ignore:.* enlarged")
def test_weights_that_state_no_license_keep_the_set_here(server, tmp_path):
    (tmp_path / "home").mkdir()
    weights.save(tmp_path / "home" / "mine.safetensors", tiny_generator(), data="digits")
    prior = str(tmp_path / "home" / "mine.safetensors")
    given = {
        "classes": [0, 1, 2],
        "class_map": {"T-shirt/top": 0, "Trouser": 1, "Pullover": 2},
        "iterations": 1,
        "learning_rate": 0.01,
    }
    run = distill(tmp_path / "home" / "run", prior=prior, **given, **SMALL)
    for license in ((), ("--license", "mit"), ("--permission", " ")):
        message = refused(run, *license)
        assert mentions(message, "license ./mine.safetensors")
        assert mentions(message, "not stated") and "--permission" in message
    assert not server.log
    push(run, "--permission", "they are my *own*")
    files = pushed(server)
    assert "| permission | they are my \\*own\\* (so says who published the set) |" in files["README.md"].decode()
    assert "codes.safetensors" in files
    for name, content in files.items():
        assert str(tmp_path).encode() not in content, name


MIT = read_license("mit").fields()
WORDS = read_license("mit").in_words()


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"license": catalog.UNSTATED.fields()}, "license of the weights unstated"),
        ({"license": License(None, "strict", redistribution=False).fields()}, "passing on forbidden"),
        ({"license": {**MIT, "redistribution": None}}, "(commercial use allowed, passing on not stated)"),
        ({"license": {**MIT, "redistribution": None, "text": WORDS}}, "passing on not stated"),  # words decide nothing
        ({"licence": catalog.UNSTATED.in_words()}, "license of the weights unstated"),  # of older runs
        ({"licence": "passing on allowed"}, "passing on allowed (commercial use not stated"),
        ({}, "not recorded"),
        (None, "not recorded"),
    ],
)
def test_only_fields_that_allow_passing_on_count(copy, stated, said):
    kept = {key: value for key, value in copy.inputs["weights"].items() if key != "license"}
    change(copy, "inputs.json", weights={} if stated is None else {**kept, **stated})
    for options in ((), ("--license", "mit"), ("--format", "parquet")):
        message = refused(copy, *options)
        assert "fashion-mini" in message and said in message


def test_non_commercial_weights_make_no_commercial_set(copy):
    license = read_license("cc-by-nc-4.0")
    change(copy, "inputs.json", weights={**copy.inputs["weights"], "license": license.fields()})
    for options in ((), ("--license", "cc-by-4.0"), ("--license", "my own")):
        message = refused(copy, *options)
        assert mentions(message, "commercial fashion-mini")
    card = card_of(copy, license="CC-BY-NC-4.0")
    assert front_of(card)["license"] == "cc-by-nc-4.0" and license.in_words() in card
    assert front_of(card_of(copy, permission="their author"))["license"] == "mit"


def test_what_is_no_finished_run_is_refused(copy, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "is not the folder of a run" in refused(Run(tmp_path / "empty"))
    (tmp_path / "empty" / "config.yaml").write_text("color: red")
    assert "the run is not finished" in refused(Run(tmp_path / "empty"))
    inputs = (copy.path / "inputs.json").read_text()
    (copy.path / "inputs.json").unlink()
    assert "inputs.json: cannot be read" in refused(copy)
    (copy.path / "inputs.json").write_text(inputs)
    change(copy, "config.yaml", iterations=5)
    assert "has done 2 of 5 iterations" in refused(copy)
