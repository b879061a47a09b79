"""Data: labeled images in three splits, their normalization and their augmentation."""

from glad.data.dataset import ImageData, Splits
from glad.data.notices import DataError, DataNotice
from glad.data.splits import load_data

__all__ = ["DataError", "DataNotice", "ImageData", "Splits", "load_data"]
