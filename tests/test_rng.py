"""Draws are a function of their key."""

import itertools

import torch

from glad.rng import rng_for

# sha256 of "int:0", "str:distill", "int:3", "str:network" joined by zero bytes: 63 bits of its first 8 bytes.
GOLDEN = 6527976864112049289


def draw(*key):
    return torch.randint(2**62, (4,), generator=rng_for(*key)).tolist()


def test_equal_keys_give_equal_draws_whatever_was_drawn_before():
    first = draw(0, "distill", 3, "network")
    torch.manual_seed(1)
    draw(5, "other")
    assert draw(0, "distill", 3, "network") == first


def test_different_keys_give_different_draws():
    keys = [
        (),
        (0,),
        (1,),
        ("0",),
        (0, 0),
        (0, "a"),
        ("a", 0),
        ("a",),
        ("b",),
        ("ab",),
        ("a", "b"),
        ("a b",),
        (12, 3),
        (1, 23),
    ]
    for one, other in itertools.combinations(keys, 2):
        assert draw(*one) != draw(*other), (one, other)


def test_the_global_generator_is_neither_read_nor_moved():
    before = torch.get_rng_state()
    draw(0, "distill")
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_are_those_of_every_machine_and_version():
    assert rng_for(0, "distill", 3, "network").initial_seed() == GOLDEN
