"""Snapshots hold what the set looked like, in few bytes, and a damaged one is an error with its path."""

import pytest
import torch
from distilled_sets import distill
from errors import naming

from glad.rng import rng_for
from glad.runs.image_grid import eight_bit
from glad.runs.snapshots import BYTES, COUNT, find_snapshots, read_snapshot, write_snapshot
from glad.runs.storage import RunError, write_tensors


def pixels_of(count, channels, side):
    return torch.rand(count, channels, side, side, generator=rng_for("snapshots")) * 1.2 - 0.1


@pytest.mark.parametrize("labels", [torch.arange(6), torch.eye(6)])
def test_a_small_set_is_kept_as_eight_bits(tmp_path, labels):
    pixels = pixels_of(6, 3, 9)
    write_snapshot(tmp_path, 40, pixels, labels)
    assert list(find_snapshots(tmp_path)) == [40]
    found = read_snapshot(tmp_path / "snapshot_000040.safetensors")
    assert found.iteration == 40 and torch.equal(found.images, eight_bit(pixels))
    assert torch.equal(found.labels, labels) and found.numbers.tolist() == list(range(6))


def test_of_many_images_some_are_kept_evenly_apart(tmp_path):
    write_snapshot(tmp_path, 0, pixels_of(2 * COUNT + 150, 1, 2), torch.arange(2 * COUNT + 150))
    found = read_snapshot(find_snapshots(tmp_path)[0])
    assert len(found.images) == COUNT and torch.equal(found.labels, found.numbers)
    assert found.numbers[0] == 0 and set(found.numbers.diff().tolist()) == {2, 3}


def test_large_images_become_means_of_their_pixels(tmp_path):
    pixels = pixels_of(10, 3, 512).clamp(0, 1)
    write_snapshot(tmp_path, 0, pixels, torch.arange(10))
    found = read_snapshot(find_snapshots(tmp_path)[0]).images
    assert found.shape == (10, 3, 256, 256) and found.numel() <= BYTES
    means = pixels.view(10, 3, 256, 2, 256, 2).mean((3, 5))
    assert (found.int() - eight_bit(means)).abs().max() <= 1  # rounded from another order of summation


def test_snapshots_are_in_order_whatever_the_number(tmp_path):
    for iteration in (1_000_000, 0, 20):
        write_snapshot(tmp_path, iteration, pixels_of(1, 1, 2), torch.zeros(1).long())
    assert list(find_snapshots(tmp_path)) == [0, 20, 1_000_000]


def test_a_run_keeps_one_beside_each_grid(tmp_path):
    run = distill(
        tmp_path / "run", iterations=5, grid_every=2, limit=60, objective_options={"batch": 4}, prior="pixels"
    )
    assert list(find_snapshots(run.path)) == [0, 2, 4, 5]
    last = read_snapshot(find_snapshots(run.path)[5])
    images, labels = run.read_set()
    assert torch.equal(last.images, eight_bit(images * run.inputs["std"][0] + run.inputs["mean"][0]))
    assert torch.equal(last.labels, labels)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [({}, "'images'"), ({"images": torch.zeros(1, 1, 2, 2)}, "images torch.float32")],
)
def test_what_is_no_snapshot_is_refused(tmp_path, tensors, said):
    path = tmp_path / "snapshot_000001.safetensors"
    rest = {"labels": torch.zeros(1), "numbers": torch.zeros(1)} if tensors else {}
    write_tensors(path, {**tensors, **rest}, iteration="1")
    with pytest.raises(RunError, match=naming(f"snapshot_000001.safetensors {said}")):
        read_snapshot(path)
    path.write_bytes(b"x")
    with pytest.raises(RunError, match=naming("snapshot_000001.safetensors read")):
        read_snapshot(path)
