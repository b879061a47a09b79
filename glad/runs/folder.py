"""The folder of one run: what it was asked, what it depends on, how far it is, what it gave."""

import json
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from generators.license import NOT_RECORDED
from generators.provenance import Weights
from glad.runs.arithmetic import arithmetic, resume_arithmetic
from glad.runs.disk import sweep
from glad.runs.iterations import require_no_fewer
from glad.runs.storage import (
    RunError,
    read_json,
    read_step_size,
    read_tensors,
    write_durably,
    write_json,
    write_tensors,
    writing,
)
from glad.settings.distill import DistillSettings
from glad.settings.fields import read, rename_old

YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # that of libyaml is ten times as fast
MAY_CHANGE = {"iterations", "save_every", "grid_every", "chunk", "memory", "root", "device", "out", "experts", "conv",
    "rank_timeout", "offload"}  # fmt: skip
"""Settings that may differ when a run is continued: they do not change what an iteration computes."""
FILE = "file "
"""What stands before the path of a file that an option names, among the hashes of ``inputs.json``."""


@dataclass(frozen=True)
class Run:
    """A run folder by its path.

    ``config.yaml`` the resolved settings, ``inputs.json`` hashes, versions, and source and license of the weights,
    ``metrics.jsonl`` a line per iteration, ``state.safetensors`` where it stands, ``initial.safetensors`` and
    ``synset.safetensors`` the set before and after, ``grid_*.png`` pictures and ``snapshot_*.safetensors`` their
    images, ``tensorboard/`` curves, ``results.json`` accuracies.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))  # a name does as well

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def state(self) -> Path:
        """The file that a run continues from."""
        return self.path / "state.safetensors"

    @property
    def config(self) -> dict[str, Any]:
        """What ``config.yaml`` holds, under the present names; ``RunError`` when the folder is no run."""
        try:
            content = yaml.load((self.path / "config.yaml").read_text(), YAML)
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path} is not the folder of a run: {error}") from error
        if not isinstance(content, dict):
            raise RunError(f"{self.path}/config.yaml holds no settings")
        return _rename_objective(rename_old(DistillSettings, content))

    @property
    def settings(self) -> DistillSettings:
        """The resolved settings; ``RunError`` when the folder is no run.

        Settings that folders of older versions do not name have their defaults, which is what these versions did.
        """
        try:
            return read(DistillSettings, self.config, f"{self.path}/config.yaml")
        except ValueError as error:
            raise RunError(str(error)) from error

    @property
    def inputs(self) -> dict[str, Any]:
        """Hashes of data and weights, class names, normalization, versions."""
        content: dict[str, Any] = read_json(self.path / "inputs.json")
        hashes = content.get("hashes") if isinstance(content, dict) else None
        if not isinstance(hashes, dict) or not all(isinstance(digest, str) for digest in hashes.values()):
            raise RunError(
                f"{self.path}/inputs.json: its hashes {reprlib.repr(hashes)} are not those of a run: damaged"
            )
        for key, fits in FITS.items():
            if key in content and not fits(content[key]):
                raise RunError(
                    f"{self.path}/inputs.json: its {key} {reprlib.repr(content[key])} are not those of a run: damaged"
                )
        return content

    @property
    def data_digest(self) -> str:
        """The digest of the training images that the run was made of; empty where the folder is not yet a run."""
        return self.inputs["hashes"].get("data", "") if (self.path / "inputs.json").exists() else ""

    @property
    def weights(self) -> Weights | None:
        """Provenance of the weights behind the prior; None where the prior has none.

        Where the run recorded nothing, the license is ``NOT_RECORDED``. Raises ``RunError`` for a damaged record.
        """
        inputs, prior = self.inputs, str(self.config["prior"])
        recorded = inputs.get("weights", {})
        if recorded is None:  # the prior itself says that it has none
            return None
        if recorded:
            try:
                return Weights.read(recorded)
            except (ValueError, AttributeError) as error:
                raise RunError(f"{self.path}/inputs.json: its weights cannot be read: {error}") from error
        if prior == "pixels":
            return None
        return Weights(prior, "not recorded", str(inputs["hashes"].get("weights", "")), NOT_RECORDED)

    def begin(
        self,
        settings: DistillSettings,
        inputs: dict[str, Any],
        old_names: Mapping[str, str] | None = None,
        added_options: Mapping[str, Any] | None = None,
        here: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write settings and inputs, or check that the folder's are the same: True when there is work to continue.

        ``old_names`` maps former names of the objective's options and tensors to the present ones; a folder may have
        either. ``added_options`` are options that folders of older versions do not have, with the value that did what
        those versions did. A run that continues takes the number of threads that it began with
        (``glad.runs.arithmetic``, which also makes ``here``). Raises ``RunError`` naming what differs.
        """
        if (self.path / "config.yaml").exists() and (self.path / "inputs.json").exists():
            before = self.settings
            before = replace(before, objective_options={**(added_options or {}), **before.objective_options})
            old, new = (_select_compared(each, old_names or {}) for each in (before, settings))
            if "prior_classes" not in self.inputs and new["class_map"] == {**old["class_map"], "*": "guess"}:
                new["class_map"] = old["class_map"]  # a version that guessed where nothing said which class was meant
            pairs = [(key, old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys())]
            if different := [
                f"{key} {there!r} there, {now!r} now"
                for key, there, now in [*pairs, *_pair_hashes(self.inputs, inputs)]
                if _number_or_text(there) != _number_or_text(now)
            ]:
                raise RunError(
                    f"{self.path} holds another run ({'; '.join(different)}): ask for that, or choose another --out"
                )
        require_no_fewer(settings.iterations, self.path)
        recorded = self.inputs.get("arithmetic") if (continues := self.state.exists()) else None
        if continues:
            resume_arithmetic(recorded, str(self.path), here)
        inputs = {**inputs, "arithmetic": recorded or {**(here or {}), **arithmetic()}}
        sweep(self.path)  # of what a killed process was writing
        text = _weights_comment(inputs.get("weights")) + yaml.safe_dump(settings.plain(), sort_keys=False)
        write_durably(self.path / "config.yaml", text.encode())
        write_json(self.path / "inputs.json", inputs)
        return continues

    def write_set(self, kind: str, images: Tensor, labels: Tensor, latents: dict[str, Tensor]) -> None:
        """Write a set (``kind`` is ``initial`` or ``synset``).

        Args:
            images: Normalized, float32 [N, C, H, W].
            labels: int64 [N], or soft ones float32 [N, K].
            latents: By name, a row per image.
        """
        tensors = {"images": images, "labels": labels, **{f"latents/{name}": t for name, t in latents.items()}}
        write_tensors(self.path / f"{kind}.safetensors", tensors)

    def read_set(self, kind: str = "synset") -> tuple[Tensor, Tensor]:
        """Normalized images [N, C, H, W] and labels, int64 [N] or float [N, K], of the ``initial`` or the final set.

        Raises ``RunError`` telling to finish the run when there is none.
        """
        path = self.path / f"{kind}.safetensors"
        if not path.exists():
            raise RunError(f"{self.path} has no {path.name}: the run is not finished; start it again to continue it")
        tensors, _ = read_tensors(path)
        return tensors["images"], tensors["labels"]

    @property
    def step_size(self) -> float | None:
        """The student's step size that the objective learned along with the set (MTT, AST), if it did."""
        return read_step_size(self.state)

    def _repr_html_(self) -> str:
        """What a notebook shows: how far the run is, its newest pictures, and its loss."""
        from glad.runs.run_html import run_html  # matplotlib takes its time

        return run_html(self.path, lambda: self.config)

    def keep_metrics_before(self, iteration: int) -> None:
        """Drop the metrics of iterations that will be computed again, and a line that a kill cut off."""
        path = self.path / "metrics.jsonl"
        kept = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # only the last line can be incomplete
            if check_metrics(entry, path)["iteration"] < iteration:
                kept.append(line + "\n")
        write_durably(path, "".join(kept).encode())

    def add_metrics(self, iteration: int, metrics: dict[str, float]) -> None:
        """Append the metrics of one iteration."""
        path = self.path / "metrics.jsonl"
        with writing(path, f"the state of the last save is kept in {self.state.name}"), path.open("a") as file:
            file.write(json.dumps({"iteration": iteration, **metrics}) + "\n")


def _rename_objective(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run, with its objective under the present name.

    ``cf`` was called ``ncfm`` by versions that had no calibration; since, every run of ``ncfm`` records its weight.
    """
    options = config.get("objective_options")
    if config.get("objective") == "ncfm" and isinstance(options, dict) and "calibration" not in options:
        return {**config, "objective": "cf"}
    return config


def bare_hashes(hashes: Mapping[str, str]) -> dict[str, str]:
    """``hashes`` of ``inputs.json`` by names that say of a file what it is called, not where it lay."""
    return {FILE + Path(name).name if name.startswith(FILE) else name: digest for name, digest in hashes.items()}


def _numbers(values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


FITS: dict[str, Callable[[Any], bool]] = {
    "classes": lambda value: isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value),
    "mean": lambda value: isinstance(value, list) and bool(value) and _numbers(value),
    "std": lambda value: isinstance(value, list) and bool(value) and _numbers(value),
    "versions": lambda value: isinstance(value, dict),
    "learning_rates": lambda value: isinstance(value, dict) and _numbers(value.values()),
}
"""Whether a value of ``inputs.json`` is of its kind."""


def check_metrics(entry: Any, path: Path) -> dict[str, float]:
    """One line of the metrics at ``path``; ``RunError`` where it does not hold numbers and their iteration."""
    numbers = isinstance(entry, dict) and all(isinstance(value, int | float) for value in entry.values())
    if not numbers or not isinstance(entry.get("iteration"), int):
        raise RunError(f"{path}: {reprlib.repr(entry)} are no iteration's metrics: damaged; delete the file or mend it")
    return dict(entry)


def _weights_comment(recorded: dict[str, Any] | None) -> str:
    """A comment that says to a reader of the settings which weights they need, and under what license."""
    if not recorded:
        return ""
    weights = Weights.read(recorded)
    parts = {"name": weights.name, "source": weights.file or weights.source, "sha256": weights.sha256}
    parts["license"] = weights.license.in_words()
    return f"# weights: {'; '.join(f'{key} {chr(32).join(value.split())}' for key, value in parts.items())}\n"


def _number_or_text(value: Any) -> Any:
    """``value`` as it is compared: folders of older versions hold numbers of the command line as texts."""
    if isinstance(value, dict):
        return {key: _number_or_text(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_number_or_text(entry) for entry in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _select_compared(settings: DistillSettings, renamed: Mapping[str, str]) -> dict[str, Any]:
    """The settings that must be the same when a run is continued."""
    plain = {key: value for key, value in settings.plain().items() if key not in MAY_CHANGE}
    nested = {key: plain[key] for key in ("objective_options", "learning_rate") if isinstance(plain[key], dict)}
    now = {key: {renamed.get(name, name): value for name, value in values.items()} for key, values in nested.items()}
    return {**plain, **now}


def _pair_hashes(
    recorded: Mapping[str, Any], inputs: Mapping[str, Any]
) -> Iterator[tuple[str, str | None, str | None]]:
    """What is hashed, the hash in a folder and that of now, short enough to print; None where there is none."""
    old, new = recorded["hashes"], inputs["hashes"]
    for name in sorted(old.keys() | new.keys()):
        if name == "weights" and recorded.get("weights") == {}:
            continue  # a version that did not look at what a prior of one's own loads
        if name not in old and name.startswith(FILE):
            continue  # nor at files of options
        of = f" {inputs['weights']['name']}" if name == "weights" and inputs.get("weights") else ""
        there, now = (hashes[name][:12] if name in hashes else None for hashes in (old, new))
        yield f"hash of {name}{of}", there, now
