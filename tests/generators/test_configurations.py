"""The official configurations against the published table, and generators with random weights."""

import pytest
import torch
from errors import naming
from fixtures import tiny_generator

from generators import models, weights
from generators.configurations import blank, random_generator
from generators.models import CONFIGURATIONS, OFFICIAL, Configuration, Stage

# name: resolution, layers, codes, millions of parameters; section "Official model configurations" of the design
TABLE = {
    "imagenet16": (16, 11, 12, 18.0),
    "imagenet32": (32, 16, 17, 84.6),
    "imagenet64": (64, 21, 22, 134.4),
    "imagenet128": (128, 26, 27, 158.7),
    "imagenet256": (256, 31, 32, 166.3),
    "imagenet512": (512, 36, 37, 168.4),
    "imagenet1024": (1024, 41, 42, 169.0),
    "cifar10": (32, 16, 17, 84.6),
    "cifar10-small": (32, 10, 11, 24.8),
    "ffhq256": (256, 31, 32, 166.2),
    "ffhq512": (512, 36, 37, 168.3),
    "ffhq1024": (1024, 41, 42, 168.9),
    "ffhq256-small": (256, 16, 17, 34.0),
    "ffhq512-small": (512, 18, 19, 34.7),
    "ffhq1024-small": (1024, 20, 21, 34.9),
    "pokemon256": (256, 31, 32, 166.2),
    "pokemon512": (512, 36, 37, 168.3),
    "pokemon1024": (1024, 41, 42, 168.9),
    "pokemon256-3x3": (256, 31, 32, 233.3),
    "pokemon512-3x3": (512, 36, 37, 235.4),
    "pokemon1024-3x3": (1024, 41, 42, 236.1),
}
TINY = Configuration("tiny", (Stage(4, 8, 48, 6, kernel=1, radial=True), Stage(4, 2, 48, 6)), 3, "for tests")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_layers_codes_and_parameters_are_those_of_the_table(name):
    configuration = CONFIGURATIONS[name]
    with torch.device("meta"):
        generator = blank(name, configuration.classes or 0)
    parameters = sum(parameter.numel() for parameter in generator.parameters()) / 1e6
    synthesis = generator.synthesis
    counted = (generator.resolution, len(synthesis.layer_names), synthesis.num_ws, round(parameters, 1))
    assert counted == TABLE[name]
    assert configuration.resolution == generator.resolution and configuration.name == name
    assert (generator.mapping.z_dim, generator.mapping.w_dim, generator.mapping.layers) == (64, 512, 2)


def test_every_official_name_is_there_and_doubt_is_said():
    sizes = {"imagenet": (16, 32, 64, 128, 256, 512, 1024), "ffhq": (256, 512, 1024), "pokemon": (256, 512, 1024)}
    assert list(OFFICIAL) == [
        *(f"imagenet{size}" for size in sizes["imagenet"]),
        "cifar10",
        *(f"{data}{size}" for data in ("ffhq", "pokemon") for size in sizes[data]),
    ]
    said = {name: configuration.status.split()[0].strip(":;") for name, configuration in CONFIGURATIONS.items()}
    assert {said[name] for name in said if name.startswith(("ffhq", "cifar"))} == {"unknown"}
    assert {said[name] for name in OFFICIAL if name.startswith(("imagenet", "pokemon"))} == {"inferred"}
    published = [name for name, c in OFFICIAL.items() if "parameters is the published one" in c.status]
    assert published == ["imagenet64", "imagenet128", "imagenet256", "imagenet512"]


def test_names_and_kernels_of_both_readings():
    large, small = CONFIGURATIONS["imagenet32"].specs(), CONFIGURATIONS["cifar10-small"].specs()
    stem, first_head = [f"L{i}_36_1024" for i in range(8)], ["L9_36_1024", "L10_52_1024"]
    assert [spec.name for spec in large][:10] == [*stem, *first_head] and large[-1].name == "L16_32_3"
    assert [spec.kernel for spec in large] == [1] * 8 + [3] * 7 + [1]
    assert [spec.name for spec in small][:6] == [*(f"L{i}_36_512" for i in range(5)), "L6_36_512"]
    assert {spec.kernel for spec in small[:-1]} == {3}


def test_equal_seeds_give_equal_weights():
    first, again, other = random_generator(TINY, 3, 5), random_generator(TINY, 3, 5), random_generator(TINY, 3, 6)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    for name, parameter in first.named_parameters():  # those that are constant at the start are zeros and ones
        assert parameter.unique().numel() < 3 or not torch.equal(parameter, other.get_parameter(name)), name
    assert not first.training and not any(parameter.requires_grad for parameter in first.parameters())


@pytest.mark.parametrize("classes", [0, 3])
def test_random_generators_with_and_without_classes_survive_a_file(tmp_path, classes):
    generator = random_generator(TINY, classes)
    assert generator.mapping.c_dim == classes and generator.mapping.w_avg.shape == (512,)
    z, labels = torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0])
    images = generator(z, labels)
    assert images.shape == (2, 3, 16, 16) and images.isfinite().all()
    assert torch.equal(generator(z, labels.flip(0)), images) == (not classes)  # classes matter where there are some
    weights.save(tmp_path / "g.safetensors", generator)
    assert torch.equal(weights.load(tmp_path / "g.safetensors")[0](z, labels), images)


def test_the_model_for_a_resolution():
    chosen = {size: models.at_least(size).name for size in (1, 16, 28, 128, 129, 4000)}
    assert list(chosen.values()) == [f"imagenet{size}" for size in (16, 16, 32, 128, 256, 1024)]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: models.find("imagenet99"), "'imagenet99' imagenet16"),
        (lambda: random_generator("imagenet"), "configuration"),
        (lambda: random_generator(TINY, 1001), "0 1000 1001"),
        (lambda: random_generator(TINY, -1), "classes -1"),
        (lambda: random_generator(TINY, 0, 2**63), "seed 0"),
    ],
)
def test_errors_name_what_there_is(function, message):
    with pytest.raises(ValueError, match=naming(message)):
        function()


def test_a_configuration_has_the_tensors_of_a_generator():
    assert random_generator(TINY, 3).state_dict().keys() == tiny_generator().state_dict().keys()
