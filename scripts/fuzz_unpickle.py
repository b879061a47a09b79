"""Damaged and changed pickles against the reader of published files: each is read, or refused with one exception.

    python scripts/fuzz_unpickle.py --minutes 10

Three kinds of cases, all drawn from a seed: bytes of genuine files flipped, cut, doubled, spliced, or overwritten with
opcodes and lengths; objects of a genuine file replaced by others before it is pickled; streams of random opcodes. None
may execute anything, take 512 MB or 5 seconds of a processor, or raise anything but WeightsError (PickleError from the
interpreter alone); what is read must be writable and readable again. What breaks this is written to --out.
"""

import argparse
import contextlib
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import hostile_pickles
import official_pickles
from fixtures import tiny_generator
from official_pickles import Writer, attributes, chain
from pickled_calls import Call, Global, dumps

from generators import geometry, official, weights
from generators.inert import PickleError
from generators.unpickle import OPCODES, load
from generators.weights import WeightsError

SECONDS, MEMORY = 5, 512 * 2**20
EXECUTES = re.compile("os.(system|exec|fork|posix_spawn|spawn)|subprocess|pickle|ctypes|socket")
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    3,
    2**31,
    2**63,
    2**70,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    b"",
    b"abc",
    (),
    (1,),
    [],
    [1, "a"],
]
ODD += [
    {},
    {"a": 1},
    {(1, 2): 3},
    {4},
    Global("torch", "x"),
    Call(Global("a", "b"), 1),
    Call(Global("collections", "OrderedDict")),
]
ODD += [Call(Global("numpy", "dtype"), "O8", False, True), Call(Global("dill._dill", "_get_attr"), 1, 2), [[[[]]]] * 2]


class ExecutionError(Exception):
    """The reader did something that reading does not need."""


class TooLongError(Exception):
    """Reading took too long."""


def genuine() -> list[bytes]:
    """Small files in the forms that were published."""
    network = tiny_generator(specs=geometry.stem(8, 4, 24, 3, kernel=1, radial=True))
    files = []
    for protocol, choices in (
        (3, {"numpy": "indirect"}),
        (4, {"numpy": "create_array"}),
        (4, {"ordered": False}),
        (3, {}),
    ):
        contents = {"D": official_pickles.discriminator(), "G_ema": Writer(**choices, source="pass").generator(network)}
        files.append(dumps(contents, protocol))
    return [*files, dumps({"G": Writer(source="pass").generator(tiny_generator(specs=chain()))})]


def flipped(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Overwrite a few bytes: by chance, with opcodes, or with a length."""
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data))
        length = rng.choice((0, 1, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)).to_bytes(4, "little")
        new = rng.choice((rng.randbytes(1), bytes([rng.choice(list(OPCODES))]), length, length * 2))
        data[at : at + len(new)] = new


def inserted(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Put opcodes in between."""
    at = rng.randrange(len(data))
    data[at:at] = bytes(rng.choice(list(OPCODES)) for _ in range(rng.choice((1, 2, 8))))


def moved(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Delete, double or move a stretch."""
    start, at = rng.randrange(len(data)), rng.randrange(len(data))
    stretch = bytes(data[start : start + rng.choice((1, 4, 50, 2000))])
    if rng.random() < 0.6:
        del data[start : start + len(stretch)]
    if rng.random() < 0.6:
        data[at:at] = stretch


def spliced(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Continue with another file from anywhere, or stop."""
    other = rng.choice(others)
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :] if rng.random() < 0.8 else b""


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A genuine or hostile file after one or more mutations."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if data:
            rng.choice((flipped, flipped, inserted, moved, spliced))(data, rng, seeds)
    return bytes(data)


def nodes(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every place (container, key) of what is to be pickled that can be given another value."""
    if isinstance(value, Call):
        found += [(value, name) for name in ("function", "args", "state", "pairs", "items")]
        parts: Any = [value.args, value.state, value.pairs]
    elif isinstance(value, dict):
        found += [(value, key) for key in value]
        parts = list(value.values())
    else:
        parts = value if isinstance(value, list | tuple) else []
    for part in parts:
        nodes(part, found)
    return found


def replaced(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A genuine file one or more of whose objects are others."""
    network = Writer(numpy=rng.choice(("direct", "indirect", "create_array")), source="pass").generator(
        tiny_generator(specs=chain())
    )
    attributes(network)  # of the form that the tests rely on
    places = nodes(network, [])
    for _ in range(rng.choice((1, 1, 2, 5))):
        container, key = rng.choice(places)
        new = rng.choice(ODD)
        if isinstance(container, dict):
            other, name = rng.choice(places)
            taken = other.get(name) if isinstance(other, dict) else None
            container[key] = taken if rng.random() < 0.3 and not isinstance(taken, Call) else new
        elif key == "args":
            arguments = list(container.args)
            if arguments:
                arguments[rng.randrange(len(arguments))] = new
            container.args = tuple(arguments[: rng.choice((len(arguments), len(arguments), 1))])
        elif key == "function":
            container.function = rng.choice(
                (Global("torch", "x"), Global("collections", "OrderedDict"), container.function)
            )
        elif key == "state":
            container.state = new
    return dumps({"G_ema": network}, rng.choice((3, 4)))


def random_opcodes(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Opcodes by chance, of which only few go together."""
    codes = list(OPCODES)
    parts = (
        bytes([rng.choice(codes)]) + rng.randbytes(rng.choice((0, 0, 0, 1, 2, 4, 8))) for _ in range(rng.randrange(200))
    )
    return b"\x80\x04}\x8c\x05G_ema" + b"".join(parts) + b"s."


def draw(rng: random.Random, seeds: list[bytes], harmful: list[bytes]) -> tuple[str, bytes]:
    """The kind and content of one case, from genuine files or now and then from harmful ones."""
    kind = rng.choice((mutated, mutated, replaced, random_opcodes))
    return kind.__name__, kind(rng, seeds if rng.random() < 0.8 else harmful)


def check(path: Path, content: bytes) -> str:
    """Read ``content``: 'read' or 'refused'; everything else is an exception."""
    with contextlib.suppress(PickleError):
        load(memoryview(content))
    path.write_bytes(content)
    try:
        found = official.read(path)
    except WeightsError as error:
        if len(str(error)) > 1000 or "\n" in str(error):
            raise ValueError(f"too many words: {str(error)[:2000]}") from error
        return "refused"
    saved = path.with_suffix(".safetensors")
    weights.save(saved, found.generator, **found.facts)
    again, _ = weights.load(saved)
    if [a.spec for a in again.synthesis.layers] != [b.spec for b in found.generator.synthesis.layers]:
        raise ValueError("the geometry is another after it was written and read")
    return "read"


def guard(path: Path) -> None:
    """Limit memory, and let nothing be executed from here on."""
    official.read(path)  # whatever torch imports at its first use
    used = re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())
    assert used is not None
    resource.setrlimit(resource.RLIMIT_AS, (int(used[1]) * 1024 + MEMORY, resource.RLIM_INFINITY))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if EXECUTES.match(event):
            raise ExecutionError(f"{event} {arguments}")

    def late(signum: int, frame: FrameType | None) -> None:
        raise TooLongError(f"{SECONDS} seconds")

    sys.addaudithook(watch)
    signal.signal(signal.SIGVTALRM, late)


def main() -> None:
    """Run for a while and tell what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="where files that break the reader go")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "case.pkl"
    seeds = genuine()
    harmful = [
        content for content, _ in hostile_pickles.everything("echo executed").values() if 0 < len(content) < 2**17
    ]
    path.write_bytes(seeds[0])
    guard(path)
    counts: Counter[str] = Counter()
    end, case = time.monotonic() + 60 * options.minutes, 0
    while time.monotonic() < end:
        kind, content = draw(random.Random(f"{options.seed}/{case}"), seeds, harmful)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            outcome = check(path, content)
        except Exception as error:  # every one of them is a finding
            outcome = f"BROKEN {type(error).__name__} at {traceback.extract_tb(error.__traceback__)[-1].name}"
            if not counts[outcome]:
                (options.out / f"broken-{options.seed}-{case}.pkl").write_bytes(content)
                traceback.print_exc()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        counts[outcome] += 1
        counts[f"{kind}: {outcome.split()[0]}"] += 1
        case += 1
    print(f"{case} cases of seed {options.seed} in {options.minutes:g} minutes")
    for outcome, count in sorted(counts.items()):
        print(f"  {count:7d} {outcome}")
    if any(outcome.startswith("BROKEN") for outcome in counts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
