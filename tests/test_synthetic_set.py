"""A synthetic set gives the gradient of rendering everything at once, in the memory it was allowed."""

from pathlib import Path

import forked
import pytest
import torch

from generators import geometry
from generators.mapping import Mapping
from generators.prior import StyleGANPrior
from generators.stylegan_xl import Generator, Synthesis
from glad.priors.pixels import Pixels
from glad.rng import rng_for
from glad.synthetic_set import SyntheticSet

KEPT, AGAIN = 2**40, 0
CLASSES = torch.tensor([2, 0, 2, 1, 0])


def normal(*shape, key="normal"):
    return torch.randn(shape, generator=rng_for(key), dtype=torch.float64)


class Nonlinear:
    """Two latents to [N, 3, 4, 4] through a learned and a frozen matrix; counts its calls."""

    def __init__(self):
        self.learned = normal(6, 9, key="learned").requires_grad_()
        self.frozen = normal(9, 48, key="frozen")
        self.calls = 0

    def __call__(self, z, scale):
        self.calls += 1
        return (torch.tanh(z @ self.learned) * scale.exp()).sin().matmul(self.frozen).tanh().view(-1, 3, 4, 4)

    def tensors(self):
        return {"g": self.learned}


def nonlinear():
    return Nonlinear(), {"z": normal(5, 6, key="z"), "scale": normal(5, 9, key="scale")}


def stylegan():
    """The real prior in F_2, 16 pixels, in double precision."""
    specs = geometry.stem(16, 5, 64, 8)
    network = Generator(Mapping(len(specs) + 1, 4, 3, 6, embedding=(3, 8)), Synthesis(specs, 6))
    network.initialize(rng_for("weights")).double().requires_grad_(False)
    prior = StyleGANPrior(network, lambda x: (x - 0.3) / 0.4, 16, 3, range(3), layer=2)
    shape = network.synthesis.feature_shape(2)
    return prior, {"w": normal(5, len(specs) + 1, 6, key="w"), "f": normal(5, *shape, key="f")}


def gradients(images, leaves):
    images.backward(normal(*images.shape, key="cotangent"))
    return [images.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("memory", [KEPT, AGAIN])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("make", [nonlinear, stylegan])
def test_images_and_gradients_are_those_of_the_whole(make, chunk, memory):
    prior, latents = make()
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in latents.items()}
    expected = gradients(prior(**leaves), [*leaves.values(), *prior.tensors().values()])
    prior, latents = make()
    synset = SyntheticSet(prior, latents, CLASSES, chunk, memory)
    actual = gradients(synset.images(), [*synset.tensors().values(), *prior.tensors().values()])
    assert synset.keeps_graphs() == (memory == KEPT)
    assert all(tensor.norm() > 0 for tensor in expected)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("memory", [KEPT, AGAIN])
def test_frozen_weights_get_no_gradient_and_keep_their_values(memory):
    prior, latents = stylegan()
    before = {name: tensor.clone() for name, tensor in prior.generator.state_dict().items()}
    SyntheticSet(prior, latents, CLASSES, 2, memory).images().sum().backward()
    assert all(weight.grad is None for weight in prior.generator.parameters())
    torch.testing.assert_close(prior.generator.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("memory", "backward"), [(KEPT, 0), (AGAIN, 3)])
def test_chunks_are_rendered_again_only_without_memory(memory, backward):
    prior, latents = nonlinear()
    synset = SyntheticSet(prior, latents, CLASSES, 2, memory)
    synset.keeps_graphs()
    for _ in range(2):
        prior.calls = 0
        images = synset.images()
        assert prior.calls == 3
        images.sum().backward()
        assert prior.calls == 3 + backward


def test_without_gradient_chunks_are_rendered_once_and_leave_no_graph():
    prior, latents = nonlinear()
    with torch.no_grad():
        images = SyntheticSet(prior, latents, CLASSES, 2, AGAIN).images()
    assert prior.calls == 3
    assert images.grad_fn is None


@pytest.mark.parametrize(("scaled", "memory", "kept"), [(False, 0, True), (True, 9e6, False), (True, 11e6, True)])
def test_only_what_a_chunk_holds_for_itself_counts(scaled, memory, kept):
    class Linear(Nonlinear):
        def __call__(self, z):
            weights = 2 * self.weights if scaled else self.weights  # a copy for each chunk, or one for all
            return (z @ weights).view(-1, 1, 10, 10)

    prior = Linear()
    prior.weights = torch.ones(1250, 100, dtype=torch.float64)  # 1 MB
    synset = SyntheticSet(prior, {"z": torch.ones(10, 1250, dtype=torch.float64)}, torch.zeros(10).long(), 1, memory)
    assert synset.keeps_graphs() == kept


PEAK = """
import ctypes, sys
from pathlib import Path
import torch
from glad.synthetic_set import SyntheticSet

M_MMAP_THRESHOLD = -3
assert ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 65536)  # what is freed goes back, whatever lies behind it

class Wide:
    def __call__(self, z):
        x = z[:, :, None, None].expand(-1, 8, 128, 128)
        for _ in range(8):  # 3.5 MB of activations per image
            x = torch.sin(x)
        return x.mean(1, keepdim=True)

for n in (8, 40):
    SyntheticSet(Wide(), {"z": torch.ones(n, 8)}, torch.zeros(n).long(), 2, int(sys.argv[1])).images().sum().backward()
    print(1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("memory", [KEPT, AGAIN])
def test_peak_memory_is_that_of_a_chunk_when_graphs_are_not_kept(memory):
    result = forked.run(PEAK, memory)
    assert result.returncode == 0, result.stderr
    few, many = map(int, result.stdout.split())
    graphs = 32 * 3.5 * 2**20  # of the images more
    assert many - few > graphs / 2 if memory == KEPT else many - few < graphs / 4


def test_latents_are_leaves_of_the_sets_own():
    prior, latents = nonlinear()
    synset = SyntheticSet(prior, latents, CLASSES)
    assert len(synset) == 5
    assert all(tensor.is_leaf and tensor.requires_grad for tensor in synset.tensors().values())
    synset.tensors()["z"].data.zero_()
    assert latents["z"].norm() > 0


@pytest.mark.parametrize(
    ("rows", "chunk", "message"),
    [(4, 10, r"rows: \{'z': 4, 'scale': 5, 'labels': 5\}"), (5, 0, "at least 1 row, not 0")],
)
def test_what_does_not_fit_is_an_error_with_the_numbers(rows, chunk, message):
    prior, latents = nonlinear()
    with pytest.raises(ValueError, match=message):
        SyntheticSet(prior, latents | {"z": latents["z"][:rows]}, CLASSES, chunk)


def real(c, n, rng):
    """n of 50 distinct images [n, 1, 2, 2] of class c, whose pixels are 100 * c and their number."""
    return (100.0 * c + torch.randperm(50, generator=rng)[:n])[:, None, None, None].expand(n, 1, 2, 2)


def start(init, *key, classes=CLASSES):
    return Pixels(real, init).init(classes, rng_for(*key))["pixels"]


@pytest.mark.parametrize("classes", [CLASSES, CLASSES.sort().values, CLASSES.flip(0), torch.tensor([1])])
def test_real_starts_are_distinct_images_in_the_order_of_classes(classes):
    pixels = start("real", 0, classes=classes)
    assert pixels.shape == (len(classes), 1, 2, 2)
    assert (pixels[:, 0, 0, 0] // 100).tolist() == classes.tolist()
    assert len(pixels.unique(dim=0)) == len(classes)


def test_noise_starts_are_standard_normal_in_the_shape_of_images():
    noise = start("noise", 0, classes=torch.arange(50).repeat(50))
    assert noise.shape == (2500, 1, 2, 2)
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05


def test_noise_needs_no_more_than_one_real_image_of_a_class():
    def one(c, n, rng):
        assert n == 1
        return real(c, n, rng)

    noise = Pixels(one).init(CLASSES, rng_for(0))["pixels"]
    assert noise.shape == (len(CLASSES), 1, 2, 2) and torch.equal(noise, start("noise", 0))


@pytest.mark.parametrize("init", ["noise", "real"])
def test_starts_are_a_function_of_the_seed(init):
    assert torch.equal(start(init, 0), start(init, 0))
    assert not torch.equal(start(init, 0), start(init, 1))


def test_pixels_are_their_own_images():
    pixels = start("noise", 0).requires_grad_()
    assert Pixels(real)(pixels=pixels) is pixels
    assert Pixels(real).tensors() == {}


def test_an_unknown_start_is_an_error_with_its_name():
    with pytest.raises(ValueError, match="not 'reel'"):
        Pixels(real, "reel")
