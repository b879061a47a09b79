"""Where the tests of the CUDA kernels find them: emulated on the host, or on a device."""

import fcntl
import gc
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import emulation
import pytest
import torch
from kernel_cases import NEEDS_COMPILER
from torch import Tensor

from cuda_ops import _library

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as of a job in the background, which tests of Ctrl-C are not
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Garbage is collected rarely, and what was imported is no part of it: else that takes a twentieth of the time.


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20)
    gc.enable()


NAMES = ("upfirdn2d", "bias_act", "bias_act_grad", "filtered_lrelu", "filtered_lrelu_jacobian")


@pytest.fixture(scope="session")
def build_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kept from run to run, unless pytest's cache is switched off."""
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("emulation")) if cache else tmp_path_factory.mktemp("emulation")


@pytest.fixture(scope="session")
def library(build_folder: Path) -> Path:
    """Built by the first of the processes that test side by side."""
    with (build_folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return emulation.build_library(build_folder)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread of torch, whatever the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def emulator(library: Path) -> Iterator[emulation.Emulator]:
    emulator = emulation.Emulator(library)
    yield emulator
    emulator.schedule("forward")
    emulator.plant(0)


@pytest.fixture(scope="session")
def registered(library: Path) -> SimpleNamespace:
    torch.ops.load_library(library)
    return SimpleNamespace(**{name: getattr(torch.ops.glad_emulated, name) for name in NAMES})


def _on_device(name: str) -> Callable[..., Tensor]:
    def call(*arguments: Any) -> Tensor:
        moved = [a.cuda() if isinstance(a, Tensor) else a for a in arguments]
        return getattr(torch.ops.glad, name)(*moved).cpu()

    return call


@pytest.fixture(scope="session")
def device() -> SimpleNamespace:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    _library.load("cuda")
    served = _library.status()["cuda"]
    assert served.by != _library.REFERENCE, f"there is a CUDA device, but no CUDA kernels: {served.why}"
    return SimpleNamespace(**{name: _on_device(name) for name in NAMES})


REGISTERED = [pytest.param("registered", marks=NEEDS_COMPILER), pytest.param("device", marks=pytest.mark.gpu)]


@pytest.fixture(params=[pytest.param("emulator", marks=NEEDS_COMPILER), *REGISTERED])
def kernels(request: pytest.FixtureRequest) -> Any:
    """The operators with the signatures of ``torch.ops.glad``.

    ``emulator`` is their launchers, ``registered`` all of them on emulated kernels, ``device`` the real thing.
    """
    return request.getfixturevalue(request.param)


@pytest.fixture(params=REGISTERED)
def operators(request: pytest.FixtureRequest) -> SimpleNamespace:
    """:func:`kernels` with the checks of the arguments."""
    return request.getfixturevalue(request.param)
