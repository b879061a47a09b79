"""The state of a sharded run: every rank writes the rows of its classes, and rank 0 what says that they are whole.

``state.safetensors`` holds what all classes share and, for each class, the digest of its rows, which lie in
``rows_ITERATION_RANKofRANKS.safetensors``. It is written last and gets its name at once, so whatever is killed, the
rows of the save before it are there. A run goes on with another number of ranks: each reads the rows of its classes.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from glad.distillation import SKIPPED, DistillationError, Metrics, require_same_shapes
from glad.objectives.base import Objective, Step
from glad.objectives.description import ObjectiveDescription
from glad.ranks.group import Ranks
from glad.ranks.sharded_set import ShardedSet
from glad.ranks.step import compute_gradients
from glad.runs.storage import RunError, below, open_tensors, read_number, read_tensors, write_tensors

ROWS = "rows_*of*.safetensors"


@dataclass
class ShardedState:
    """A sharded run between iterations, as one rank has it."""

    synset: ShardedSet
    objective: Objective
    optimizer: torch.optim.Optimizer
    iteration: int = 0
    seconds: float = 0.0
    _clock: float = field(default_factory=time.monotonic)

    @property
    def ranks(self) -> Ranks:
        """Who shares it."""
        return self.synset.ranks

    def iterate(self, step: Step) -> Metrics:
        """One iteration: the metrics of the set as it was, and an update. ``DistillationError`` changes nothing."""
        metrics = compute_gradients(self.synset, self.objective, self.optimizer, step)
        if SKIPPED not in metrics:
            self.synset.step(self.optimizer)
        return metrics

    def save(self, path: Path) -> None:
        """Write the rows of this rank, and on rank 0 then ``path``; every rank must ask."""
        ranks, count = self.ranks, len(self.synset.sizes)
        rows = {c: self._rows(c) for c in self.synset.parts}
        named = {f"{c}/{name}": tensor for c, tensors in rows.items() for name, tensor in tensors.items()}
        write_tensors(_rows_path(path, self.iteration, ranks.rank, ranks.world), named)
        digests = ranks.gather({c: _digest(tensors) for c, tensors in rows.items()}, [1] * count)
        self.synset.rows.rest()
        shared = self._shared()
        if len({bytes(d.flatten().tolist()) for d in ranks.all_gather(_digest(shared))}) > 1:
            raise DistillationError(
                f"iteration {self.iteration}: the ranks have come to different {', '.join(shared)}, which all classes "
                "share: an objective that is by_class keeps nothing that depends on the classes it was asked for, and "
                "all ranks need processors or devices of one kind"
            )
        if ranks.rank == 0:
            seconds, learned = self.seconds + time.monotonic() - self._clock, self._learned_step_size
            about = {"iteration": str(self.iteration), "seconds": f"{seconds:.3f}", "ranks": str(ranks.world)}
            step_size = {} if learned is None else {"step_size": f"objective/{learned}"}
            write_tensors(path, {**shared, "digests": torch.cat(digests)}, **about, **step_size)
            current = {_rows_path(path, self.iteration, rank, ranks.world) for rank in range(ranks.world)}
            for old in {*path.parent.glob(ROWS)} - current:
                old.unlink()

    @property
    def _learned_step_size(self) -> str | None:
        return ObjectiveDescription(self.objective).learned_step_size

    def _rows(self, c: int) -> dict[str, Tensor]:
        """All that belongs to class ``c``, by name."""
        part, place = self.synset.parts[c], list(self.synset.parts).index(c)
        moments = {name: state for name, i, state in self._moments() if i == place and name in self.synset.tensors()}
        return {
            **{f"latents/{name}": tensor for name, tensor in part.latents.items()},
            "labels": part.label_parameters,
            **{f"moments/{name}/{key}": value for name, state in moments.items() for key, value in state.items()},
        }

    def _shared(self) -> dict[str, Tensor]:
        """All that belongs to no class, by name."""
        rows = self.synset.tensors()
        moments = {name: state for name, _, state in self._moments() if name not in rows}
        return {
            **self._offered(),
            **{f"moments/{name}/{key}": value for name, state in moments.items() for key, value in state.items()},
        }

    def _offered(self) -> dict[str, Tensor]:
        offered = {"prior": self.synset.prior.tensors(), "objective": self.objective.tensors()}
        return {f"{part}/{name}": tensor for part, tensors in offered.items() for name, tensor in tensors.items()}

    def _moments(self) -> Iterator[tuple[str, int, dict[str, Tensor]]]:
        """Of each tensor that the optimizer holds: its name, its place among those of that name, and its state."""
        for group in self.optimizer.param_groups:
            for place, tensor in enumerate(group["params"]):
                state = self.optimizer.state.get(tensor, {})
                yield group["name"], place, {key: t for key, t in state.items() if isinstance(t, Tensor)}

    def restore(self, path: Path) -> None:
        """Put back, in place, what ``save`` wrote on any number of ranks.

        Raises:
            DistillationError: The file belongs to another run.
            RunError: Rows are missing or damaged.
        """
        saved, metadata = read_tensors(path)
        numbers = {name: read_number(metadata, name, path) for name in ("iteration", "seconds", "ranks")}
        done, world = int(numbers["iteration"]), int(numbers["ranks"])
        rows = {}
        for c in self.synset.parts:
            file = _rows_path(path, done, c % world, world)
            rows[c] = _read_rows(file, c)
            if "digests" not in saved or not torch.equal(_digest(rows[c])[0], saved["digests"][c]):
                raise RunError(f"{file}: the rows of class {c} are not those that {path.name} names: damaged")
            require_same_shapes(file, {n: t for n, t in self._rows(c).items() if not n.startswith("moments/")}, rows[c])
        require_same_shapes(path, self._offered(), saved)
        for c, tensors in rows.items():
            for name, tensor in self._rows(c).items():
                if not name.startswith("moments/"):
                    tensor.data.copy_(tensors[name])
        for name, tensor in self._offered().items():
            tensor.data.copy_(saved[name])
        self._restore_moments(rows, below("moments", saved))
        self.synset.rows.rest()
        self.iteration, self.seconds = done, numbers["seconds"]
        self._clock = time.monotonic()

    def _restore_moments(self, rows: dict[int, dict[str, Tensor]], shared: dict[str, Tensor]) -> None:
        learned, classes = self.synset.tensors(), list(self.synset.parts)
        for group in self.optimizer.param_groups:
            name = group["name"]
            for place, tensor in enumerate(group["params"]):
                given = below("moments", rows[classes[place]]) if name in learned else shared
                found = below(name, given)
                # A count of steps has no size, and stays on the CPU as the optimizers have it.
                keep = self.synset.rows.keep_moment
                moved = {key: t.clone() if t.ndim == 0 else keep(tensor, key, t) for key, t in found.items()}
                self.optimizer.state[tensor].update(moved)


def _rows_path(path: Path, iteration: int, rank: int, world: int) -> Path:
    """The file of the rows of ``rank``, beside the state at ``path``."""
    return path.with_name(f"rows_{iteration:06d}_{rank}of{world}.safetensors")


def _read_rows(file: Path, c: int) -> dict[str, Tensor]:
    with open_tensors(file) as read:
        names = [name for name in read.keys() if name.startswith(f"{c}/")]  # noqa: SIM118 (not a dict)
        return {name.removeprefix(f"{c}/"): read.get_tensor(name) for name in names}


def _digest(tensors: dict[str, Tensor]) -> Tensor:
    """SHA-256 of tensors with their names, types and shapes, uint8 [1, 32]."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        plain = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {list(plain.shape)}".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().data)
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)[None]
