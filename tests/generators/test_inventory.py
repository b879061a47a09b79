"""What each latent space of a generator takes, against the generator itself."""

import torch
from fixtures import tiny_generator

from generators.inventory import costs, spaces
from generators.prior import StyleGANPrior


def test_spaces_are_those_that_the_prior_opens():
    generator = tiny_generator()
    found = spaces(generator)
    assert [space.name for space in found] == ["W+", *(f"F_{n}" for n in range(8))]
    for space in found:
        prior = StyleGANPrior(generator, lambda x: x, 16, 3, [0], layer=space.layer, learn_g=1)
        latents = prior.init(torch.tensor([0]), torch.Generator().manual_seed(0))
        assert space.latent_bytes == sum(tensor.numel() * 4 for tensor in latents.values())
        assert space.shape == (tuple(latents["f"].shape[1:]) if "f" in latents else None)
        assert space.parameters == sum(tensor.numel() for tensor in prior.tensors().values())
        generator.requires_grad_(False)
    assert found[-1].enters == "the image" and found[3].enters == generator.synthesis.layer_names[2]


def test_later_layers_hold_less_and_the_weights_do_not_count():
    generator = tiny_generator().requires_grad_(False)
    found = list(costs(generator, spaces(generator), torch.device("cpu")))
    held = [cost.graph_bytes for cost in found]
    assert all(cost.seconds > 0 for cost in found)
    assert all(held[i] > held[i + 1] for i in range(1, 7))
    assert held[0] >= held[1] > 10 * 28 * 28 * 4  # several maps of the first layers
