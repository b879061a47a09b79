"""Damaged files through the command line: each is used, or refused in one line; never a traceback, a hang or a kill.

    python scripts/fuzz_files.py --minutes 10 [--kind weights] [--seed 0] [--out runs/fuzz]

Kinds: weights, configs, runs, data (npz), sets (every form that ``glad export`` writes), results. A case takes genuine
files, damages one of them (bytes flipped, cut, doubled; a value of its JSON, YAML or metadata replaced by one of
another kind, an entry left out) and calls the commands that read it, each in a process of its own with a limit of
seconds and memory. A command may succeed, or exit with 1 or 2 and one line. What breaks this is kept in --out with its
command and output. Cases are drawn from the seed.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import yaml

SECONDS, MEMORY = 60, 12 * 2**30  # of CPU time; on the clock ten times as many, for a busy machine
QUICK = ["--iterations", "1", "--limit", "20", "-o", "batch=2", "--network-option", "width=4", "--device", "cpu"]
TRIAL = ["--networks", "convnet", "--network-option", "convnet.width=4", "--seeds", "1", "--epochs", "1"]
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    10**9,
    2**70,
    0.5,
    1e308,
    "",
    "x",
    "../x",
    "1e400",
    [],
    [1, "a"],
    {},
    {"a": 1},
    [[]],
]
Command = list[str]


def corpus(folder: Path) -> dict[str, list[tuple[Path, list[Command]]]]:
    """Genuine files of each kind, with the commands that read them; FILE stands for the damaged one."""
    import glad
    from generators import weights
    from glad.formats import FORMATS

    run = folder / "run"
    settings = {"network_options": {"width": 4}, "objective_options": {"batch": 2}, "limit": 20, "device": "cpu"}
    glad.distill(out=run, iterations=1, **settings)  # type: ignore[arg-type]
    glad.evaluate(run, networks=["convnet"], seeds=1, epochs=1, network_options={"convnet": {"width": 4}})
    pixels = folder / "pixels.npz"
    labels = np.arange(40) % 2
    images = (np.arange(40 * 256).reshape(40, 16, 16) * 37 % 256).astype(np.uint8)
    np.savez(pixels, x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
    own = folder / "generator.safetensors"
    shutil.copy(weights.EMBEDDED["fashion-mini"], own)
    continued = ["distill", *QUICK[2:], "--iterations", "2", "--out"]
    sets = []
    for kind, form in FORMATS.items():
        path = folder / form.name
        glad.export(run, kind, path)
        read: list[Command] = [["render", "FILE", "--out", "OUT"]] if kind == "codes" else []
        read += [] if kind == "codes" else [["evaluate", "FILE", "--data", "fashion-mini", *TRIAL]]
        sets.append((path, read))
    return {
        "weights": [(own, [["weights", "show", "FILE"], ["distill", "--prior", "FILE", "--out", "OUT", *QUICK]])],
        "configs": [(run / "config.yaml", [["distill", "--config", "FILE", *QUICK, "--out", "OUT"]])],
        "runs": [(run, [[*continued, "FILE"], ["evaluate", "FILE", *TRIAL], ["report", "FILE"], ["export", "FILE"]])],
        "data": [(pixels, [["distill", "--data", "FILE", "--prior", "pixels", *QUICK, "--out", "OUT"]])],
        "sets": sets,
        "results": [(run, [["evaluate", "FILE", *TRIAL], ["report", "FILE"], ["push", "FILE", "me/set", "--dry-run"]])],
    }


def damage(path: Path, rng: random.Random, only: str = "") -> str:
    """Damage a file, or one inside a folder, in place; what was done, in words."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and only in p.name)
    chosen = rng.choice(files)
    content = chosen.read_bytes()
    changed, how = _in_structure(chosen, content, rng) if rng.random() < 0.6 else (None, "")
    if changed is None:
        changed, how = _in_bytes(content, rng)
    chosen.write_bytes(changed)
    return f"{chosen.name}: {how}"


def _in_bytes(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    place = rng.randrange(max(1, min(len(content), 4096 if rng.random() < 0.5 else len(content))))
    length = rng.choice([1, 2, 8, 64])
    way = rng.choice(["flipped", "cut", "doubled", "overwritten"])
    if way == "cut":
        return content[:place], f"cut at {place}"
    part = content[place : place + length]
    new = {
        "flipped": bytes(byte ^ (1 << rng.randrange(8)) for byte in part),
        "doubled": part * 2,
        "overwritten": bytes(rng.randrange(256) for _ in part),
    }[way]
    return content[:place] + new + content[place + length :], f"{length} bytes {way} at {place}"


def _in_structure(path: Path, content: bytes, rng: random.Random) -> tuple[bytes | None, str]:
    """The content with one entry of its JSON, YAML or safetensors header changed; None where it has none."""
    if path.suffix in (".json", ".yaml"):
        tree = yaml.safe_load(content) if path.suffix == ".yaml" else json.loads(content)
        how = _change(tree, rng)
        written = yaml.safe_dump(tree) if path.suffix == ".yaml" else json.dumps(tree)
        return written.encode(), how
    if path.suffix == ".safetensors":
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        about = header.get("__metadata__", {})
        how = _change(about if about and rng.random() < 0.7 else header, rng)
        if about and rng.random() < 0.9:
            header["__metadata__"] = {str(key): _text(value) for key, value in about.items()}
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + size :], how
    return None, ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _change(tree: Any, rng: random.Random) -> str:
    """Replace, leave out or double one entry of nested dicts and lists, in place, at any depth; JSON in strings too."""
    if isinstance(tree, dict) and tree:
        key: Any = rng.choice(list(tree))
    elif isinstance(tree, list) and tree:
        key = rng.randrange(len(tree))
    else:
        return "nothing"
    value = tree[key]
    inside = value
    if isinstance(value, str) and value[:1] in "[{":
        try:
            inside = json.loads(value)
        except ValueError:
            inside = value
    if isinstance(inside, dict | list) and inside and rng.random() < 0.7:
        how = _change(inside, rng)
        tree[key] = json.dumps(inside) if isinstance(value, str) else inside
        return f"{key}.{how}"
    if rng.random() < 0.2:
        del tree[key]
        return f"{key} left out"
    tree[key] = rng.choice(ODD)
    return f"{key} = {tree[key]!r}"


def call(arguments: Command, folder: Path) -> tuple[int | None, str]:
    """Run a command of glad in a child; its exit status, None for a traceback, and its output."""
    log = folder / "output.txt"
    child = os.fork()
    if not child:
        status = 99
        try:
            status = _child(arguments, folder, log)
        finally:
            os._exit(status)
    end = time.monotonic() + 10 * SECONDS
    while time.monotonic() < end:
        done, found = os.waitpid(child, os.WNOHANG)
        if done:
            output = log.read_text(errors="replace") if log.exists() else ""
            code = os.waitstatus_to_exitcode(found)
            return (None if code == 99 or code < 0 else code), output + (f"\nsignal {-code}" if code < 0 else "")
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, f"still running after {10 * SECONDS} seconds"


def _child(arguments: Command, folder: Path, log: Path) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    stream = log.open("w", buffering=1)
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
    sys.stdout = sys.stderr = stream
    from glad.cli import main as command

    try:
        command(arguments)
    except SystemExit as end:
        return int(end.code) if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc(file=stream)
    return 99


def refused_well(status: int | None, output: str) -> bool:
    """Whether a command ended as it should: with 0, or with 1 or 2 and its reason in one last line."""
    if status == 0:
        return True
    last = output.rstrip().rpartition("\n")[2]
    return status in (1, 2) and last.startswith("Error: ") and "Traceback" not in output


def cases(kinds: dict[str, Any], seed: int, end: float) -> Iterator[tuple[str, Path, list[Command], int]]:
    """Kinds in turn until the time is over."""
    number = 0
    while time.monotonic() < end:
        kind = list(kinds)[number % len(kinds)]
        path, commands = random.Random(f"{seed} {kind} {number}").choice(kinds[kind])
        yield kind, path, commands, number
        number += 1


@click.command()
@click.option("--minutes", default=10.0, help="How long.")
@click.option("--kind", "kinds", multiple=True, help="Only these kinds; give it several times.")
@click.option("--seed", default=0, help="Of the cases.")
@click.option("--out", type=click.Path(path_type=Path), default="runs/fuzz", help="Where cases that break are kept.")
def main(minutes: float, kinds: tuple[str, ...], seed: int, out: Path) -> None:
    """Damage files and call the commands that read them."""
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    out = out.absolute()
    with tempfile.TemporaryDirectory() as made:
        found = corpus(Path(made))
        chosen = {kind: found[kind] for kind in kinds or found}
        for kind, path, commands, number in cases(chosen, seed, time.monotonic() + 60 * minutes):
            with tempfile.TemporaryDirectory() as place:
                _try(kind, path, commands, random.Random(f"{seed} {kind} {number} damage"), Path(place), out, counts)
    click.echo(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    sys.exit(bool(counts["broken"]))


def _try(
    kind: str, path: Path, commands: list[Command], rng: random.Random, place: Path, out: Path, counts: Counter[str]
) -> None:
    copy: Callable[[Path, Path], Any] = shutil.copytree if path.is_dir() else shutil.copyfile
    copy(path, place / path.name)
    how = damage(place / path.name, rng, "results" if kind == "results" else "")
    damaged = place / f"damaged-{path.name}"
    copy(place / path.name, damaged)
    for number, command in enumerate(commands):
        names = {"FILE": path.name, "OUT": f"out{number}"}
        arguments = [names.get(word, word) for word in command]
        status, output = call(arguments, place)
        fine = refused_well(status, output)
        counts["used" if status == 0 else "refused" if fine else "broken"] += 1
        if not fine:
            kept = out / f"{kind}-{counts['broken']}"
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            copy(damaged, kept / path.name)
            (kept / "case.txt").write_text(f"glad {' '.join(arguments)}\n{how}\nexit {status}\n\n{output}")
            last = output.rstrip().rpartition("\n")[2][:150]
            click.echo(f"broken: {kept}: glad {arguments[0]}: {how}: {last}", err=True)


if __name__ == "__main__":
    main()
