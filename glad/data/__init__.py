"""Data: labeled images in three splits, their normalization and their augmentation."""

from glad.data.dataset import DataError, ImageData, Splits
from glad.data.splits import load_data

__all__ = ["DataError", "ImageData", "Splits", "load_data"]
