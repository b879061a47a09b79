"""Every derivative of the operators, by every mode and transform of torch, against the reference in plain torch."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from kernel_cases import NEEDS_COMPILER, TOO_OLD, random
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from cuda_ops import _library, bias_act, filtered_lrelu, norm_relu_pool, upfirdn2d
from cuda_ops.bias_act import bias_act_ref
from cuda_ops.filtered_lrelu import filtered_lrelu_ref
from cuda_ops.upfirdn2d import upfirdn2d_ref
from generators.winograd import conv3x3 as generators_conv3x3

Tensors = tuple[Tensor, ...]
EMULATED = ("upfirdn2d", "bias_act", "bias_act_grad", "filtered_lrelu", "filtered_lrelu_jacobian")


@pytest.fixture(params=["served", "reference", pytest.param("emulated", marks=NEEDS_COMPILER)])
def by(request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """The operators on the CPU as they are served here, by the references, or by the CUDA kernels on the host.

    What is yielded fails unless the operator of that name has been called, and by those kernels.
    """
    _library.load("cpu")
    if request.param == "served":
        yield lambda name: None
        return
    if TOO_OLD:
        pytest.skip("this torch is served by the references, and cannot put kernels in place of others")
    called = set()

    def noted(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: called.add(name) or kernel(*arguments)

    def check(name: str) -> None:
        assert name in called or name not in kernels

    kernels = {operator.name: operator.reference for operator in _library.LIBRARIES._operators}
    if request.param == "emulated":
        registered = request.getfixturevalue("registered")
        kernels = {name: getattr(registered, name) for name in EMULATED}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Overriding a previously registered kernel", UserWarning)
        library = torch.library.Library("glad", "IMPL")
        for name, kernel in kernels.items():
            library.impl(name, noted(name, kernel), "CPU", allow_override=True)
    yield check
    library._destroy()


@dataclass(frozen=True)
class Case:
    """An operator and its reference, as functions of the tensors in which they are differentiated."""

    function: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    shapes: tuple[tuple[int, ...], ...]

    def tensors(self, seed: int = 0, calls: tuple[int, ...] = ()) -> Tensors:
        """One tensor a shape; with ``calls`` many of each, in front."""
        shapes = [(*calls, *shape) for shape in self.shapes]
        return tuple(random(shape, torch.float64, seed + 10 * i) for i, shape in enumerate(shapes))


def smooth(taps: int) -> Tensor:
    """A filter without symmetry, as a reversed one would go unnoticed otherwise."""
    t = torch.arange(taps, dtype=torch.float64)
    return (torch.sin((t + 1) / (taps + 1) * torch.pi) * (1 + t / taps)).float() / taps


def case(function: Callable[..., Tensor], reference: Callable[..., Tensor], *shapes: Any, **numbers: Any) -> Case:
    return Case(lambda *t: function(*t, **numbers), lambda *t: reference(*t, **numbers), shapes)


def norm_relu_pool_plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """By hand, as torch's own norm lacks the tangent of its gradient."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    normal = (x - mean) * (variance + 1e-5).rsqrt()
    return F.avg_pool2d(F.relu(normal * weight[:, None, None] + bias[:, None, None]), 2)


def with_bias(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, b, **numbers: function(x, b=b, **numbers)


IMAGE, CHANNELS = (2, 2, 4, 2), (2,)
LRELU = {"fu": smooth(6), "fd": smooth(4), "up": 2, "down": 2, "padding": [4, 3, 3, 5], "clamp": 0.8}
CASES = {
    "upfirdn2d": case(upfirdn2d, upfirdn2d_ref, IMAGE, f=smooth(4), up=2, padding=[2, 3, 1, 2], gain=4.0),
    "upfirdn2d in two dimensions": case(
        upfirdn2d, upfirdn2d_ref, IMAGE, f=smooth(6).view(2, 3), down=[1, 2], padding=1
    ),
    "bias_act swish": case(bias_act, bias_act_ref, IMAGE, CHANNELS, act="swish", clamp=1.5),
    "bias_act lrelu": case(bias_act, bias_act_ref, IMAGE, (4,), dim=2, act="lrelu", gain=1.3),
    "bias_act tanh": case(bias_act, bias_act_ref, (3, 4), (3,), dim=0, act="tanh"),
    "filtered_lrelu": case(with_bias(filtered_lrelu), with_bias(filtered_lrelu_ref), IMAGE, CHANNELS, **LRELU),
    "filtered_lrelu without bias": case(filtered_lrelu, filtered_lrelu_ref, IMAGE, **LRELU),
    "norm_relu_pool": case(norm_relu_pool, norm_relu_pool_plain, IMAGE, CHANNELS, CHANNELS),
    "conv3x3": case(
        lambda *t: torch.ops.glad.conv3x3(*t), partial(F.conv2d, padding=1), (1, 2, 3, 2), (2, 2, 3, 3), CHANNELS
    ),
    "generators' conv3x3": case(
        lambda x, w: generators_conv3x3(x, w, 1), partial(F.conv2d, padding=1), (1, 2, 3, 2), (1, 2, 3, 3)
    ),
}


def loss(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A scalar that has all derivatives in all tensors, some of them through what comes before and after."""
    return lambda *tensors: (function(*(t + 0.1 * t.pow(3) for t in tensors)) + 0.3).pow(3).sum()


def every(tensors: Tensors) -> tuple[int, ...]:
    return tuple(range(len(tensors)))


def tangents_of_gradients(f: Callable[..., Tensor], t: Tensors, v: Tensors) -> Any:
    return jvp(lambda *t: grad(f, every(t))(*t), t, v)[1]


def dual(f: Callable[..., Any], t: Tensors, v: Tensors) -> Any:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(*(forward_ad.make_dual(a, b) for a, b in zip(t, v, strict=True)))).tangent


def backward_of_dual(f: Callable[..., Tensor], t: Tensors, v: Tensors) -> Any:
    leaves = [a.clone().requires_grad_() for a in t]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(a, b) for a, b in zip(leaves, v, strict=True)]
        return torch.autograd.grad(forward_ad.unpack_dual(f(*duals)).tangent, leaves)


def dual_of_backward(f: Callable[..., Tensor], t: Tensors, v: Tensors) -> Any:
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(a.clone().requires_grad_(), b) for a, b in zip(t, v, strict=True)]
        gradients = torch.autograd.grad(f(*duals), duals, create_graph=True)
        return [forward_ad.unpack_dual(gradient).tangent for gradient in gradients]


def gradients(f: Callable[..., Tensor], t: Tensors, order: int) -> Any:
    """Backward mode, each gradient's squares summed for the next."""
    leaves = [a.clone().requires_grad_() for a in t]
    value, found = f(*leaves), []
    for _ in range(order):
        found.append(torch.autograd.grad(value, leaves, create_graph=True))
        value = sum(gradient.square().sum() for gradient in found[-1])
    return found


ONE_CALL: dict[str, Callable[[Callable[..., Tensor], Tensors, Tensors], Any]] = {
    "jvp": jvp,
    "jvp in the first alone": lambda f, t, v: jvp(lambda x: f(x, *t[1:]), t[:1], v[:1]),
    "jvp in the last alone": lambda f, t, v: jvp(lambda x: f(*t[:-1], x), t[-1:], v[-1:]),
    "grad": lambda f, t, v: grad(f, every(t))(*t),
    "vjp, called later": lambda f, t, v: vjp(f, *t)[1](torch.tensor(2.0, dtype=torch.float64)),
    "jacfwd": lambda f, t, v: jacfwd(f, every(t))(*t),
    "jacrev": lambda f, t, v: jacrev(f, every(t))(*t),
    "hessian": lambda f, t, v: hessian(f, every(t))(*t),
    "jacfwd of jacfwd": lambda f, t, v: jacfwd(jacfwd(f, every(t)), every(t))(*t),
    "jacrev of jacrev": lambda f, t, v: jacrev(jacrev(f, every(t)), every(t))(*t),
    "grad of jvp": lambda f, t, v: grad(lambda *t: jvp(f, t, v)[1], every(t))(*t),
    "jvp of grad": tangents_of_gradients,
    "jvp of jvp": lambda f, t, v: jvp(lambda *t: jvp(f, t, v)[1], t, v)[1],
    "jvp of jvp of jvp": lambda f, t, v: jvp(lambda *t: jvp(lambda *t: jvp(f, t, v)[1], t, v)[1], t, v)[1],
    "jvp of jvp of grad": lambda f, t, v: jvp(lambda *t: tangents_of_gradients(f, t, v), t, v)[1],
    "grad of jvp of grad": lambda f, t, v: grad(
        lambda *t: sum(g.square().sum() for g in tangents_of_gradients(f, t, v)), every(t)
    )(*t),
    "dual numbers": dual,
    "dual numbers of backward": dual_of_backward,
    "backward of dual numbers": backward_of_dual,
    "three gradients": lambda f, t, v: gradients(f, t, 3),
}


def in_one_call(name: str, transform: str, function: Callable[..., Tensor]) -> Any:
    return ONE_CALL[transform](loss(function), CASES[name].tensors(), CASES[name].tensors(seed=5))


@cache
def expected_in_one_call(name: str, transform: str) -> Any:
    """In plain torch, once for all kernels."""
    return in_one_call(name, transform, CASES[name].reference)


@pytest.mark.parametrize("transform", ONE_CALL)
@pytest.mark.parametrize("name", CASES)
def test_every_derivative_is_that_of_the_reference(by, name, transform):
    found = in_one_call(name, transform, CASES[name].function)
    torch.testing.assert_close(found, expected_in_one_call(name, transform), rtol=1e-9, atol=1e-9)
    by(name.partition(" ")[0])


MANY_CALLS: dict[str, Callable[[Callable[..., Tensor]], Callable[..., Any]]] = {
    "value": lambda f: f,
    "gradient": lambda f: lambda *t: grad(loss(f), every(t))(*t),
    "tangent": lambda f: lambda *t: jvp(f, t, tuple(a.cos() for a in t))[1],
    "tangent of the gradient": lambda f: lambda *t: tangents_of_gradients(loss(f), t, tuple(a.cos() for a in t)),
}


ALIKE = [(name, alike) for name in CASES for alike in ("none", "the first", "the others")]


def many_calls(name: str, alike: str) -> tuple[list[Tensor], tuple[int | None, ...]]:
    """Tensors of three calls, of which some are the same in all, and the dimension of the calls, where there is one."""
    many, one = CASES[name].tensors(calls=(3,)), CASES[name].tensors()
    mixed = [one[i] if alike == ("the others" if i else "the first") else many[i] for i in every(one)]
    return mixed, tuple(None if a is b else 0 for a, b in zip(mixed, one, strict=True))


@cache
def expected_one_by_one(name: str, alike: str, what: str) -> Any:
    """In plain torch, once for all kernels."""
    mixed, dims = many_calls(name, alike)
    calls = [[a if d is None else a[i] for a, d in zip(mixed, dims, strict=True)] for i in range(3)]
    results = [MANY_CALLS[what](CASES[name].reference)(*call) for call in calls]
    together = isinstance(results[0], tuple)
    return tuple(map(torch.stack, zip(*results, strict=True))) if together else torch.stack(results)


@pytest.mark.parametrize("what", MANY_CALLS)
@pytest.mark.parametrize(("name", "alike"), [(n, a) for n, a in ALIKE if a == "none" or len(CASES[n].shapes) > 1])
def test_many_calls_as_one_are_the_calls_one_by_one(by, name, alike, what):
    mixed, dims = many_calls(name, alike)
    found = vmap(MANY_CALLS[what](CASES[name].function), dims)(*mixed)
    torch.testing.assert_close(found, expected_one_by_one(name, alike, what), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_calls_within_calls_and_gradients_through_them(by, name):
    case = CASES[name]
    tensors = tuple(t.movedim(0, -1) for t in case.tensors(calls=(2, 3)))
    results = []
    for function in (case.function, case.reference):
        within = vmap(vmap(function, in_dims=0, out_dims=1), in_dims=-1)
        results.append((within(*tensors), grad(loss(within), every(tensors))(*tensors)))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:var_mean:UserWarning")  # of an empty batch, in plain torch
@pytest.mark.parametrize("name", CASES)
def test_of_no_calls_the_result_is_empty(by, name):
    """As in the Jacobian of an empty batch."""
    if name == "norm_relu_pool" and torch.__version__.startswith("2.6."):
        pytest.skip("torch 2.6 loses a dimension of an instance norm of no calls")
    case = CASES[name]
    tensors = case.tensors()
    for dims in {(0,) * len(tensors), (0, *(None,) * (len(tensors) - 1))}:
        given = [t if dim is None else t.new_empty(0, *t.shape) for t, dim in zip(tensors, dims, strict=True)]
        assert vmap(case.function, dims)(*given).shape == (0, *case.reference(*tensors).shape)
    if name != "bias_act tanh":  # whose bias is as long as the batch
        empty = tensors[0][:0]
        y = case.reference(empty, *tensors[1:])
        assert jacrev(lambda x: case.function(x, *tensors[1:]))(empty).shape == (*y.shape, *empty.shape)
        assert jacfwd(lambda x: case.function(x, *tensors[1:]))(empty).shape == (*y.shape, *empty.shape)
