"""What the stored values of a set stand for. Floats outside [0, 1] are asked about, never guessed."""

from torch import Tensor

from glad.data.notices import DataError
from glad.settings.sets import VALUES, Values


def settle_values(images: Tensor, asked: Values | None, where: str) -> Values:
    """What the values of ``images`` are.

    Args:
        images: As stored, uint8 or float32 [N, C, H, W].
        asked: What they were said to be, or None.
        where: What messages call the set.

    Returns:
        One of ``VALUES``.

    Raises:
        DataError: They could be several things and nobody said which, or they cannot be what was said.
    """
    low, high = float(images.min()), float(images.max())
    stated = f"{where} holds {str(images.dtype).removeprefix('torch.')} values from {low:.4g} to {high:.4g}"
    if images.is_floating_point():
        if asked == "unit" and high > 10:
            raise DataError(f"{stated}, which are far beyond 0 to 1: --values uint8 or --values normalized")
        if asked == "uint8" and low >= 0 and high <= 1:
            raise DataError(f"{stated}, almost black as 0 to 255: leave --values out, or --values unit")
        if asked is not None:
            return asked
        if low >= 0 and high <= 1:
            return "unit"
        likely = "uint8" if low >= 0 and high > 10 else "normalized"
        raise DataError(
            f"{stated}: say what they are, {', '.join(f'--values {name} ({text})' for name, text in VALUES.items())}; "
            f"by their range most likely {likely}"
        )
    if asked == "normalized":
        raise DataError(f"{stated}, which cannot be normalized ones: --values uint8")
    if asked == "unit" and high > 1:
        raise DataError(f"{stated}, which are not 0 to 1: leave --values out, or --values uint8")
    if high <= 1 and asked is None:
        raise DataError(f"{stated}, almost black as pixels: --values unit if 1 is white, --values uint8 if 255 is")
    return "uint8" if asked is None else asked


def to_pixels(images: Tensor, values: Values) -> Tensor:
    """Values that are not normalized as pixels of which 1 is white, float32."""
    return images.float() / 255 if values == "uint8" else images.float()
