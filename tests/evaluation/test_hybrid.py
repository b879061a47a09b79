"""Shares of the real images: how many of each class, which, and that they are nested."""

import pytest
import torch
from click.testing import CliRunner
from errors import mentions, naming

from glad.cli import main
from glad.data.dataset import ImageData
from glad.evaluation.hybrid import join_sets, share_of
from glad.settings.evaluate import EvaluateSettings

COUNTS = (40, 10, 3)


def numbered():
    """Three classes of 40, 10 and 3 images, each of its own brightness."""
    count = sum(COUNTS)
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    labels = torch.arange(3).repeat_interleave(torch.tensor(COUNTS))
    return ImageData("numbered", images, labels, ("a", "b", "c"), (0, 1, 2), (0.0,), (1 / 255,), 2, 1)


def which(share):
    return share[0][:, 0, 0, 0].round().int().tolist()


@pytest.mark.parametrize(("percent", "counts"), [(1, [1, 1, 1]), (10, [4, 1, 1]), (50, [20, 5, 2]), (100, [40, 10, 3])])
def test_a_share_of_every_class_and_at_least_one(percent, counts):
    images, labels = share_of(numbered(), percent, 0)
    assert labels.bincount(minlength=3).tolist() == counts
    taken = which((images, labels))
    assert len(set(taken)) == len(taken)
    assert [int(numbered().labels[i]) for i in taken] == labels.tolist()


def test_shares_are_nested_and_a_function_of_the_seed():
    small, large = which(share_of(numbered(), 10, 3)), which(share_of(numbered(), 50, 3))
    assert set(small) < set(large)
    assert small == which(share_of(numbered(), 10, 3))
    assert large != which(share_of(numbered(), 50, 4))


def test_both_sets_are_there():
    share = share_of(numbered(), 10, 0)
    images, labels = join_sets((torch.full([2, 1, 2, 2], 7.5), torch.tensor([2, 0])), share)
    assert labels.tolist() == [2, 0, *share[1].tolist()]
    assert torch.equal(images[2:], share[0]) and float(images[0, 0, 0, 0]) == 7.5


def test_shares_are_percents():
    assert EvaluateSettings(hybrid=[1, 0.5, 100]).shares == [1, 0.5, 100] and EvaluateSettings().shares == []
    for share in (0, -1, 101, float("nan")):
        with pytest.raises(ValueError, match=naming("hybrid per cent")):
            EvaluateSettings(hybrid=[share])
    said = CliRunner().invoke(main, ["evaluate", "--hybrid", "1;5", "."])
    assert said.exit_code == 2 and mentions(said.output, "'1;5' 1,5,10")
