"""Reading a distilled set, from the folder of its run or from any form in which it was exported."""

from collections.abc import Mapping
from pathlib import Path

from generators.classes import read_class_map
from glad.data.dataset import Splits
from glad.data.encoded import hub_address
from glad.formats import FORMATS, codes, run
from glad.formats.distilled import Distilled
from glad.formats.folder import SIDECAR
from glad.formats.foreign import read_foreign
from glad.runs.folder import Run
from glad.runs.storage import RunError, open_tensors, read_json
from glad.settings.sets import Values

RUN = "run"


def load_distilled(
    path: str | Path,
    *,
    prior: str | Path | None = None,
    device: str = "auto",
    data: Splits | None = None,
    values: Values | None = None,
    class_map: Mapping[str, str | int] | str | None = None,
) -> Distilled:
    """Read a distilled set: the folder of its run, what ``glad export`` wrote, or a set of another program.

    Args:
        path: The run's folder, the export, or a file or folder in one of the forms of docs/DATA.md.
        prior: The generator's file, for codes alone whose generator is neither embedded nor in the catalog.
        device: Where codes are rendered: ``auto``, ``cpu`` or ``cuda``.
        data: The splits, for a run that was distilled from an object instead of a name. Sets of other programs get
            their classes, size and normalization; without them they are normalized by their own mean and deviation.
        values: What the floats of another program's set are that lie outside 0 to 1: ``unit``, ``uint8`` (0 to 255) or
            ``normalized`` (by the mean and deviation of ``data``).
        class_map: The class of ``data`` that a class of another program's set stands for, or ``guess``, as
            ``glad.evaluate`` takes it.

    Returns:
        A ``torch.utils.data.Dataset`` of pairs (image, target). ``images`` float32 [N, C, H, W] are normalized,
        ``pixels`` the same in [0, 1] (or beyond, where the set is); ``labels`` int64 [N]; ``soft_labels`` [N, K] or
        None; ``classes``, ``mean``, ``std`` and ``step_size`` come along, and ``card.cost`` says what the format lost.
        A run's folder, ``safetensors`` and, on one machine, codes give the same bytes.

    Raises:
        RunError: Where there is no set, a file is damaged, or the run is not finished.
        DataError: Where another program's set cannot be used, or nobody said what its values or classes are.

    Examples:
        >>> distilled = glad.load_distilled("runs/tiny")
        >>> image, label = distilled[0]
        >>> len(distilled), image.shape, distilled.classes[int(label)]
        (10, torch.Size([1, 28, 28]), 'T-shirt/top')
    """
    path = Path(path)
    if not path.exists() and hub_address(path) is None:
        raise RunError(f"{path} does not exist: check the path")
    kind = find_kind(path)
    if kind is None:
        return read_foreign(path, None if data is None else data.train, values, read_class_map(class_map))
    if kind == RUN:
        return run.read(Run(path), data)
    if kind == "codes":
        return codes.read(path, prior, device)
    return FORMATS[kind].read(path)


def kind_of(path: Path) -> str:
    """``run`` or the name in ``FORMATS`` of what lies at ``path``; ``RunError`` when it is neither."""
    if not path.exists():
        raise RunError(f"{path} does not exist")
    found = find_kind(path)
    if found is None:
        raise RunError(f"{path} is neither the folder of a run nor a set that `glad export` wrote")
    return found


def find_kind(path: Path) -> str | None:
    """``run`` or the name in ``FORMATS`` of what lies at ``path``; None where another program wrote it, or nothing is.

    Raises ``RunError`` where it says that it is a set of a format that this version does not know.
    """
    if (path / "config.yaml").is_file():
        return RUN
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(512)
    if head[8:9] == b"{":  # safetensors: the length of the header, then the header
        with open_tensors(path) as file:
            metadata = file.metadata() or {}
        return "codes" if "codes" in metadata else "safetensors" if "dataset" in metadata else None
    for kind, form in FORMATS.items():
        if form.magic is not None and head[form.magic[0] :].startswith(form.magic[1]) and form.has_card(path):
            return kind
    return None


def _kind_of_folder(path: Path) -> str | None:
    """The format that the card beside the images names; None where there is no card."""
    if not (path / SIDECAR).is_file():
        return None
    content = read_json(path / SIDECAR)
    if not isinstance(content, dict) or "format" not in content:
        return None  # StyleGAN's file of labels has the same name
    if content["format"] not in FORMATS:
        raise RunError(
            f"{path / SIDECAR} names the format {content['format']!r}, this version knows {', '.join(FORMATS)}"
        )
    return str(content["format"])
