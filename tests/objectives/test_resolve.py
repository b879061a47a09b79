"""Options of an objective as they are used: typed, lowered to the smallest class, in settings of their own."""

import warnings

import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming

import glad
from glad.cli import main
from glad.data.splits import load_data
from glad.objectives.resolve import resolve_objective
from glad.priors.description import PriorDescription
from glad.priors.resolve import resolve_prior
from glad.settings.distill import DistillSettings

CPU = torch.device("cpu")
NARROW = {"network_options": {"width": 4}, "limit": 60}  # six images a class


@pytest.fixture(scope="module")
def data():
    return load_data("fashion-mini", limit=60).train


def resolved(data, prior="pixels", objective="dm", **options):
    description = resolve_prior(prior, data, {}, CPU).description
    settings = DistillSettings(**NARROW, objective=objective, objective_options=options)
    made, used = resolve_objective(objective, data, description, None, settings, CPU)
    assert settings.objective_options == options  # its own settings are as they were
    return made, used


@pytest.mark.parametrize("asked", [{}, {"batch": 256}, {"batch": "7"}])
def test_a_batch_beyond_the_smallest_class_is_lowered_and_said(data, asked):
    said = asked.get("batch", 64)
    with pytest.warns(UserWarning, match=naming(f"batch {said} 6 T-shirt")):
        made, used = resolved(data, **asked)
    assert made.batch == 6 and used.objective_options == {"batch": 6}


def test_a_batch_that_fits_stays_as_it_is(data, recwarn):
    made, used = resolved(data, batch="6")
    assert made.batch == 6 and used.objective_options == {"batch": 6} and not recwarn.list


def test_options_that_are_published_for_codes_are_recorded_where_there_are_codes(data):
    _, used = resolved(data, "fashion-mini", "dc", batch=2)
    assert used.objective_options == {"outer": 1, "inner": 1, "batch": 2}
    _, used = resolved(data, "fashion-mini", "dc", batch=2, inner="3")
    assert used.objective_options == {"outer": 1, "inner": 3, "batch": 2}
    _, used = resolved(data, "pixels", "dc", batch=2)
    assert used.objective_options == {"batch": 2}


def test_an_objective_that_is_an_object_leaves_the_settings_as_they_are(data):
    class Own:
        def terms(self, images, labels, step):
            yield images.sum()

        def tensors(self):
            return {}

    own, settings = Own(), DistillSettings(objective="object:Own", objective_options={"batch": 300})
    description = PriorDescription(resolve_prior("pixels", data, {}, CPU).prior)
    assert resolve_objective(own, data, description, None, settings, CPU) == (own, settings)


def test_a_preset_runs_on_few_images_with_a_note(tmp_path):
    """Its batch of 256 is more than a class has."""
    command = ["distill", "--preset", "dm-fashionmnist-pixels", "--data", "fashion-mini", "--limit", "60"]
    small = ["--iterations", "1", "--network-option", "width=4", "--device", "cpu", "--out", str(tmp_path / "run")]
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as it is outside tests
        result = CliRunner().invoke(main, [*command, *small])
    assert result.exit_code == 0, result.output
    assert mentions(result.stderr, "Note: batch 256 6")
    assert glad.Run(tmp_path / "run").settings.objective_options["batch"] == 6
