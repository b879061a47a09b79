import warnings

import pytest
from errors import naming

import glad
from glad.api.monitor import IN_A_ROW, Fading
from glad.distillation import DistillationError


class Flat:
    """Steep near zero, flat far from it."""

    def terms(self, images, labels, step):
        yield images.tanh().sum()

    def tensors(self):
        return {}


def look_at(gradients):
    fading = Fading()
    for iteration, gradient in enumerate(gradients):
        fading.look(iteration, gradient)


def test_a_gradient_that_is_gone_is_said_once():
    with pytest.warns(UserWarning, match=r"since iteration 2 .*\(1\.0e-09, 8\.0e\+03 before\)") as said:
        look_at([260.0, 8e3] + 3 * IN_A_ROW * [1e-9])
    assert len(said) == 1


@pytest.mark.parametrize(
    "gradients",
    [[1.0] + 50 * [1e-5], [1.0] + (IN_A_ROW - 1) * [1e-9] + [1.0] + (IN_A_ROW - 1) * [1e-9], 50 * [0.0]],
    ids=["smaller", "now and then", "never any"],
)
def test_a_gradient_that_comes_back_or_is_only_small_is_not(gradients):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look_at(gradients)


def test_a_run_whose_images_are_blown_away_says_so(tmp_path):
    with pytest.warns(UserWarning, match=naming("hardly")):
        glad.distill(
            "fashion-mini",
            limit=50,
            ipc=1,
            prior="pixels",
            objective=Flat(),
            learning_rate={"pixels": 1e6},
            iterations=IN_A_ROW + 3,
            network_options={"width": 4},
            out=tmp_path,
            device="cpu",
        )
    assert (tmp_path / "synset.safetensors").exists()  # said, not refused


class Steep:
    """Throws the images out of all bounds in one update."""

    def terms(self, images, labels, step):
        yield images.sum() * 1e15

    def tensors(self):
        return {}


def test_a_set_that_the_last_update_broke_is_no_result(tmp_path):
    with pytest.raises(DistillationError, match=r"not finite after 1 iterations.*--lr"):
        glad.distill(prior="pixels", objective=Steep(), learning_rate=1e30, iterations=1, out=tmp_path / "run")
    assert not (tmp_path / "run" / "synset.safetensors").exists()
