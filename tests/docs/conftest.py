"""Fewer held-out images: nothing here depends on how many there are."""

import pytest
from few_images import few_held_out


@pytest.fixture(autouse=True, scope="module")
def few():
    with few_held_out():
        yield
