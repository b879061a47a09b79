"""One Parquet file that Hugging Face ``datasets`` reads as images with class labels, and pandas as a table."""

import io
import json
from pathlib import Path
from typing import Any

import torch

from glad.formats import png
from glad.formats.distilled import Card, Distilled, from_stored, to_stored
from glad.formats.files import readable
from glad.runs.storage import RunError, write_durably


def _pyarrow() -> Any:
    """pyarrow with its reader of Parquet: an extra, since no other format needs it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise RunError("Parquet needs pyarrow: pip install 'glad-distill[export]'") from error
    return pyarrow


def write(source: Distilled, card: Card, path: Path) -> None:
    """Write ``image`` {bytes of a PNG, path}, ``label`` int64 and, if the set has them, ``soft_label`` list of float.

    The schema's metadata hold the card (``glad``) and what ``datasets`` needs to know the types (``huggingface``).
    """
    arrow = _pyarrow()
    images = [{"bytes": png.encode(x), "path": f"{i:05d}.png"} for i, x in enumerate(to_stored(source, card))]
    columns = {
        "image": arrow.array(images, arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])),
        "label": arrow.array(source.labels.numpy()),
    }
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(card.classes), "_type": "ClassLabel"},
    }
    if source.soft_labels is not None:
        columns["soft_label"] = arrow.array(source.soft_labels.tolist(), arrow.list_(arrow.float32()))
        features["soft_label"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}), "glad": card.to_json()}
    buffer = io.BytesIO()
    arrow.parquet.write_table(arrow.table(columns).replace_schema_metadata(metadata), buffer)
    write_durably(path, buffer.getvalue())


def has_card(path: Path) -> bool:
    """Whether ``write`` wrote the file; ``RunError`` when it is damaged."""
    with readable(path):
        return b"glad" in (_pyarrow().parquet.read_schema(path).metadata or {})


def read(path: Path) -> Distilled:
    """Read the file back; ``RunError`` when it is damaged or has no card."""
    arrow = _pyarrow()
    with readable(path):
        table = arrow.parquet.read_table(io.BytesIO(path.read_bytes()))
        card = Card.from_dict(json.loads((table.schema.metadata or {})[b"glad"]))
        columns = table.to_pydict()
        soft = torch.tensor(columns["soft_label"]) if "soft_label" in columns else None
        stored = [png.decode(image["bytes"]) for image in columns["image"]]
        return from_stored(card, stored, torch.tensor(columns["label"]), soft)
