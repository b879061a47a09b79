"""Reading a distilled set, from the folder of its run or from any form in which it was exported."""

from pathlib import Path

from glad.data.dataset import Splits
from glad.formats import FORMATS, codes, run
from glad.formats.distilled import Distilled
from glad.formats.files import readable
from glad.formats.folder import SIDECAR
from glad.runs.folder import Run
from glad.runs.storage import RunError, read_json, read_tensors

RUN = "run"


def load_distilled(
    path: str | Path, *, prior: str | Path | None = None, device: str = "auto", data: Splits | None = None
) -> Distilled:
    """Read a distilled set: the folder of its run, or a file or folder that ``glad export`` wrote.

    Args:
        path: The run's folder, or the export.
        prior: The generator's file, for codes alone whose generator is neither embedded nor in the catalog.
        device: Where codes are rendered: ``auto``, ``cpu`` or ``cuda``.
        data: The splits, for a run that was distilled from an object instead of a name.

    Returns:
        A ``torch.utils.data.Dataset`` of pairs (image, target). ``images`` float32 [N, C, H, W] are normalized,
        ``pixels`` the same in [0, 1] (or beyond, where the set is); ``labels`` int64 [N]; ``soft_labels`` [N, K] or
        None; ``classes``, ``mean``, ``std`` and ``step_size`` come along, and ``card.cost`` says what the format lost.
        A run's folder, ``safetensors`` and, on one machine, codes give the same bytes.

    Raises:
        RunError: Where there is no set, a file is damaged, or the run is not finished.

    Examples:
        >>> distilled = glad.load_distilled("runs/tiny")
        >>> image, label = distilled[0]
        >>> len(distilled), image.shape, distilled.classes[int(label)]
        (10, torch.Size([1, 28, 28]), 'T-shirt/top')
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == RUN:
        return run.read(Run(path), data)
    if kind == "codes":
        return codes.read(path, prior, device)
    return FORMATS[kind].read(path)


def kind_of(path: Path) -> str:
    """``run`` or the name in ``FORMATS`` of what lies at ``path``; ``RunError`` when it is neither."""
    found = None
    if (path / "config.yaml").is_file():
        return RUN
    if (path / SIDECAR).is_file():
        content = read_json(path / SIDECAR)
        found = content.get("format") if isinstance(content, dict) else None
    elif path.is_file():
        found = _kind_of_file(path)
    elif not path.exists():
        raise RunError(f"{path} does not exist")
    if found not in FORMATS:
        raise RunError(f"{path} is neither the folder of a run nor a set that `glad export` wrote, or it is damaged")
    return str(found)


def _kind_of_file(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(512)
    if head[8:9] == b"{":  # safetensors: the length of the header, then the header
        with readable(path):
            metadata = read_tensors(path)[1]
            return "codes" if "codes" in metadata else "safetensors" if "dataset" in metadata else None
    known = {kind: form.magic for kind, form in FORMATS.items() if form.magic is not None}
    return next((kind for kind, (at, magic) in known.items() if head[at:].startswith(magic)), None)
