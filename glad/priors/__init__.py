"""Priors: differentiable maps from latents to images."""

from glad.priors.base import Prior
from glad.priors.pixels import Pixels

__all__ = ["Pixels", "Prior"]
