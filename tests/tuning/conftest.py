"""The search is quiet."""

import optuna
import pytest
from few_images import few_held_out


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(autouse=True, scope="module")
def few():
    with few_held_out():
        yield
