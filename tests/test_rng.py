"""Draws are a function of their key."""

import itertools

import forked
import torch
from scipy.stats import kstest, truncnorm

from glad.rng import normal, rng_for, truncated_normal, uniform

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


DRAWN = """
import hashlib, sys
import torch
from scipy.stats import kstest, truncnorm
from glad.data.augment import augment
from glad.networks import NETWORKS, make_network
from glad.rng import normal, rng_for, truncated_normal, uniform

torch.set_num_threads(int(sys.argv[1]))
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())

def show(name, tensor):
    print(name, hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest())

for size in (1, 15, 16, 10_000):
    show("normal", normal([size], rng_for("n", size)))
    show("uniform", uniform([size], -0.3, 0.7, rng_for("u", size)))
    show("cut", truncated_normal([size], 0.02, rng_for("t", size)))
    show("order", torch.randperm(size, generator=rng_for("o", size)))
for name in NETWORKS:
    network = make_network(name, channels=3, classes=5, resolution=32, rng=rng_for("network"), **(
        {} if name == "vit" else {"width": 8}))
    show(name, torch.cat([p.detach().flatten() for p in network.parameters()]))
images = normal([6, 3, 32, 32], rng_for("images"))
for name in ("color", "crop", "cutout", "flip"):
    show(name, augment(images, rng_for(name), False, name))
"""


def drawn(isa, threads):
    done = forked.run(DRAWN, threads, ATEN_CPU_CAPABILITY=isa, GLAD_OPS="reference", PYTHONWARNINGS="default")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_draws_are_the_same_bits_under_any_instruction_set_and_number_of_threads():
    (first, *rest), (second, *others) = drawn("default", 1), drawn("avx2", 2)
    lately = not torch.__version__.startswith("2.6.")  # which has chosen before a forked process says what it wants
    if lately and torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        assert (first, second) == ("DEFAULT 1", "AVX2 2")
    assert len(rest) == 25
    assert rest == others


def test_normal_numbers_are_normal():
    x = normal([200_000], rng_for("normal")).double()
    assert abs(x.mean()) < 0.01 and abs(x.std() - 1) < 0.01
    assert kstest(x.numpy(), "norm").pvalue > 1e-3


def test_truncated_normal_numbers_end_at_two_deviations():
    x = truncated_normal([200_000], 0.5, rng_for("cut")).double()
    assert x.abs().max() <= 1.0
    assert kstest(x.numpy(), truncnorm(-2, 2, scale=0.5).cdf).pvalue > 1e-3


def test_uniform_numbers_fill_their_range_and_no_more():
    x = uniform([200_000], -3.0, 1.0, rng_for("uniform")).double()
    assert x.min() >= -3 and x.max() < 1
    assert kstest(x.numpy(), "uniform", (-3, 4)).pvalue > 1e-3


def test_numbers_of_one_stream_are_not_those_of_the_next():
    rng = rng_for("stream")
    one, two = normal([100], rng), normal([100], rng)
    assert not torch.equal(one, two) and torch.equal(one, normal([100], rng_for("stream")))
