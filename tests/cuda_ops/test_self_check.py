"""The operators' own check on a machine: it sees what is right, and what is not."""

import pytest

from cuda_ops import self_check


def test_the_operators_here_are_right():
    found = {one.name: one for one in self_check.check_operators(seconds=0.0)}
    assert found.keys() == {"upfirdn2d", "bias_act", "filtered_lrelu", "norm_relu_pool"}
    assert all(one.right and one.seconds > 0 and one.reference > 0 for one in found.values())


@pytest.mark.parametrize("name", ["upfirdn2d", "bias_act", "filtered_lrelu", "norm_relu_pool"])
def test_a_wrong_operator_is_seen(name, monkeypatch):
    good = getattr(self_check, name)
    monkeypatch.setattr(self_check, name, lambda x, *rest, **named: good(x, *rest, **named) * 1.001)
    assert [one.name for one in self_check.check_operators(seconds=0.0) if not one.right] == [name]


def test_a_wrong_derivative_is_seen_where_the_result_is_right(monkeypatch):
    good = self_check.bias_act

    def halved(x, *rest, **named):
        y = good(x, *rest, **named)
        return y.detach() + (y - y.detach()) / 2

    monkeypatch.setattr(self_check, "bias_act", halved)
    assert [one.name for one in self_check.check_operators(seconds=0.0) if not one.right] == ["bias_act"]
