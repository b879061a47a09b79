"""ImageData: normalization, draws, digests; ZCA."""

from dataclasses import replace

import pytest
import torch
from errors import naming
from torchvision.transforms import functional

from glad.data.dataset import DataError, ImageData
from glad.data.zca import ZCA
from glad.rng import rng_for


def make(n=40, side=6, channels=3, seed=0, **changes):
    images = torch.randint(0, 256, (n, channels, side, side), generator=rng_for(seed), dtype=torch.uint8)
    data = ImageData(
        "toy",
        images,
        torch.arange(n) % 4,
        tuple("abcd"),
        (0, 1, 2, 3),
        (0.5,) * channels,
        (0.25,) * channels,
        side,
        channels,
    )
    return replace(data, **changes)


def whitened(data):
    return replace(data, whitening=ZCA.fit([data.raw(torch.arange(len(data))).float() / 255], data.digest))


def whitened_as_formerly(data):
    return replace(data, whitening=ZCA.fit([data.tensor()], data.digest, standardized=True))


WAYS = pytest.mark.parametrize(
    "prepare", [lambda d: d, whitened, whitened_as_formerly], ids=["plain", "zca", "former zca"]
)


@WAYS
def test_pixels_undoes_normalize_and_keeps_values_outside_the_range(prepare):
    data, pixels = prepare(make()), torch.rand(5, 3, 6, 6) * 3 - 1
    torch.testing.assert_close(data.pixels(data.normalize(pixels)), pixels, rtol=0, atol=2e-5)


@WAYS
def test_normalize_is_differentiable(prepare):
    data, pixels = prepare(make(side=2, channels=1)), torch.rand(2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(data.normalize, pixels)


def test_whitening_first_used_in_inference_mode_still_trains():
    data = whitened(make())
    with torch.inference_mode():
        data.normalize(torch.rand(1, 3, 6, 6))
    pixels = torch.rand(1, 3, 6, 6, requires_grad=True)
    data.normalize(pixels).sum().backward()
    assert pixels.grad is not None


def test_batch_tensor_and_select_agree():
    data = make()
    expected = (data.images.float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(data.tensor(), expected)
    indices = torch.tensor([7, 3, 3])
    assert data.batch(indices).dtype == torch.float32
    torch.testing.assert_close(data.batch(indices), expected[indices])
    torch.testing.assert_close(data.select(indices).tensor(), expected[indices])
    assert data.select(indices).labels.tolist() == [3, 3, 3] and len(data.select(indices)) == 3


def test_statistics_are_exact(monkeypatch):
    monkeypatch.setattr("glad.data.dataset.CHUNK", 7)
    data = make()
    pixels = data.images.double() / 255
    mean, std = data.statistics()
    torch.testing.assert_close(torch.tensor(mean).double(), pixels.mean((0, 2, 3)))
    torch.testing.assert_close(torch.tensor(std).double(), pixels.std((0, 2, 3), correction=0))
    assert make(images=torch.full((40, 3, 6, 6), 51, dtype=torch.uint8)).statistics() == ((0.2,) * 3, (1.0,) * 3)


def test_real_draws_distinct_images_of_the_class_as_a_function_of_the_generator():
    data = make()
    drawn = data.real(2, 10, rng_for(1))
    assert len(drawn.unique(dim=0)) == 10
    torch.testing.assert_close(drawn.sort(0).values, data.batch(data.of_class(2)).sort(0).values)
    assert torch.equal(data.real(2, 4, rng_for(1)), data.real(2, 4, rng_for(1)))
    assert not torch.equal(data.real(2, 4, rng_for(1)), data.real(2, 4, rng_for(2)))


def test_real_says_which_class_has_too_few():
    with pytest.raises(DataError, match=naming("'c' toy 10 images 11")):
        make().real(2, 11, rng_for(0))
    with pytest.raises(DataError, match=naming("4 toy 0 3")):
        make().of_class(4)


def test_digest_depends_on_the_content_and_nothing_else():
    data, images = make(), make().images.clone()
    images[0, 0, 0, 0] += 1
    changed = [
        make(images=images),
        make(labels=3 - make().labels),
        make(classes=tuple("abce")),
        make(mean=(0.5, 0.5, 0.4)),
        make(std=(0.5, 0.25, 0.25)),
        data.select(torch.arange(39)),
        whitened(data),
        whitened(make(seed=1, images=data.images, mean=(0.4,) * 3)),
        replace(data, whitening=ZCA.fit([data.tensor()], data.digest, eps=0.2)),
    ]
    assert len({data.digest, *(other.digest for other in changed)}) == 10
    assert data.digest == make(name="other").digest == data.select(torch.arange(40)).digest
    assert whitened(data).digest == whitened(make()).digest


def test_paths_are_decoded_on_demand_and_have_a_digest_that_moves_with_them(tmp_path):
    memory, digests = make(n=8), []
    for root in ("here", "there"):
        folder = tmp_path / root / "a"
        folder.mkdir(parents=True)
        paths = tuple(folder / f"{i}.png" for i in range(8))
        for path, image in zip(paths, memory.images, strict=True):
            functional.to_pil_image(image).save(path)
        data = replace(memory, images=paths)
        torch.testing.assert_close(data.tensor(), memory.tensor())
        torch.testing.assert_close(data.select(torch.tensor([5, 1])).tensor(), memory.batch(torch.tensor([5, 1])))
        assert data.statistics() == memory.statistics()
        digests.append(data.digest)
    assert data.batch(torch.tensor([], dtype=torch.int64)).shape == (0, 3, 6, 6)
    assert digests[0] == digests[1] != memory.digest
    (tmp_path / "there/a/0.png").write_bytes(b"no image")
    assert replace(memory, images=paths).digest != digests[0]
    with pytest.raises(DataError, match=naming("0.png")):
        data.batch(torch.tensor([0]))


def test_zca_whitens_by_the_regularized_spectrum():
    mixing = torch.randn(12, 12, generator=rng_for(3), dtype=torch.float64)
    rows = torch.randn(500, 12, generator=rng_for(4), dtype=torch.float64) @ mixing + 2
    images = rows.view(500, 3, 2, 2).float()
    values, vectors = torch.linalg.eigh(rows.T.cov())
    for eps, tolerance in ((0.1, 1e-4), (1e-6, 1e-3)):
        zca = ZCA.fit(images.split(100), "key", eps)
        out = zca.whiten(images).flatten(1).double()
        torch.testing.assert_close(out.mean(0), torch.zeros(12).double(), rtol=0, atol=1e-4)
        expected = (vectors * (values / (values + eps))) @ vectors.T
        torch.testing.assert_close(out.T.cov(), expected, rtol=0, atol=tolerance)
        torch.testing.assert_close(zca.matrix, zca.matrix.T, rtol=0, atol=1e-4)
        torch.testing.assert_close(zca.unwhiten(zca.whiten(images)), images, rtol=0, atol=1e-4)
    torch.testing.assert_close(out.T.cov(), torch.eye(12).double(), rtol=0, atol=1e-2)
    with pytest.raises(ValueError, match=naming("one image")):
        ZCA.fit([], "key")
