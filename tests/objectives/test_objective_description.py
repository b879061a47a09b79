"""What an objective says of itself, read with a default for all that it does not say."""

import pytest
import torch
from errors import naming

from glad.objectives import OBJECTIVES, ObjectiveDescription


class Bare:
    """Has what an objective must have."""

    def terms(self, images, labels, step):
        yield images.sum()

    def tensors(self):
        return {"own": torch.zeros(1)}


def having(**members):
    """A bare objective with ``members``."""
    made = Bare()
    for name, value in members.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("objective", [Bare, Bare()])
def test_an_objective_that_says_nothing(objective):
    stated = ObjectiveDescription(objective)
    assert stated.learning_rates == stated.options_for_codes == stated.optimizers == stated.old_names == {}
    assert stated.learned_step_size is None and not stated.soft_labels and stated.name == "bare"
    assert stated.tensor_names() == ([] if objective is Bare else ["own"])
    stated.require_usable_labels(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=naming("bare soft [3, 2]")):
        stated.require_usable_labels(torch.zeros(3, 2))


def test_a_function_that_makes_one_is_described_by_its_name():
    def moments(real):
        return Bare()

    assert ObjectiveDescription(moments).name == "moments"


def test_what_ours_say():
    stated = {name: ObjectiveDescription(made) for name, made in OBJECTIVES.items()}
    assert {name for name, one in stated.items() if one.learned_step_size} == {"mtt", "ast", "datm"}
    assert {name for name, one in stated.items() if one.options_for_codes} == {"dc"}
    assert all(
        "pixels" in one.learning_rates and not {"w", "f", "g"} & {*one.learning_rates} for one in stated.values()
    )


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("learning_rates", {"pixels": "fast"}),
        ("learning_rates", {"pixels": -1}),
        ("learning_rates", [1.0]),
        ("options_for_codes", {1: 2}),
        ("optimizers", {"own": "rmsprop"}),
        ("soft_labels", "yes"),
        ("learned_step_size", 3),
        ("old_names", {"alpha": None}),
    ],
)
def test_what_cannot_be_is_an_error_that_names_it(member, value):
    with pytest.raises(ValueError, match=rf"objective bare: {member} cannot be .*; it is "):
        ObjectiveDescription(having(**{member: value}))


def test_what_only_objects_compute_is_absent_in_their_class():
    class Computed(Bare):
        @property
        def learning_rates(self):
            return {"pixels": 2.0}

    assert ObjectiveDescription(Computed).learning_rates == {}
    assert ObjectiveDescription(Computed()).learning_rates == {"pixels": 2.0}


def test_former_names_are_replaced_and_said():
    stated = ObjectiveDescription(having(old_names={"alpha": "step_size"}))
    with pytest.warns(UserWarning, match=naming("alpha step_size")):
        assert stated.present_names({"alpha": 1, "batch": 2}) == {"step_size": 1, "batch": 2}


def test_its_own_check_of_labels_is_asked():
    def refuse(labels):
        raise ValueError("not these")

    with pytest.raises(ValueError, match="not these"):
        ObjectiveDescription(having(check_labels=refuse)).require_usable_labels(torch.zeros(1, dtype=torch.int64))
